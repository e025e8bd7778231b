#include "src/train/checkpoint.h"

#include "src/base/text.h"
#include "src/digest/sha256.h"
#include "src/train/file_digest.h"
#include "src/train/json_fields.h"
#include "src/train/manifest_fields.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include <nlohmann/json.hpp>

namespace railhead::train {
namespace {

constexpr const char* kCheckpointSchema = "railhead.checkpoint/1";
constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kPartEnd = ".part";
constexpr std::string_view kGoneEnd = ".gone";
constexpr std::size_t kMaxCheckpointManifest = 16 << 20;

bool staysInside(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos &&
         name != kCheckpointManifest;
}

bool isUnfinished(const std::string& name) {
  return name.starts_with("." + std::string(kPrefix)) &&
         (name.ends_with(kPartEnd) || name.ends_with(kGoneEnd));
}

// A folder of files, as a checkpoint is one.
Result<void> removeFolder(os::Filesystem& files, const std::string& folder) {
  auto names = files.listDirectory(folder);
  if (!names.has_value() && names.error().code == ErrorCode::kNotFound) return {};
  if (!names.has_value()) return std::move(names).error();
  for (const auto& name : *names) RAILHEAD_TRY(files.remove(folder + "/" + name));
  return files.remove(folder);
}

std::string contentOf(std::vector<CheckpointFile> files) {
  std::sort(files.begin(), files.end(),
            [](const auto& left, const auto& right) { return left.name < right.name; });
  std::string text;
  for (const auto& file : files) {
    text += file.name + "/" + std::to_string(file.bytes) + "/" + file.sha256 + "\n";
  }
  return digest::sha256Hex(text);
}

Error notComplete(const std::string& folder, const std::string& why) {
  return Error(ErrorCode::kCorrupt, folder + " is no complete checkpoint: " + why);
}

// A file that is missing makes a checkpoint incomplete. One that cannot be read now says nothing of
// it: shared storage has such moments.
Error withoutFile(const std::string& folder, const Error& error) {
  if (error.code == ErrorCode::kNotFound) return notComplete(folder, error.message);
  Error out = error;
  if (out.code == ErrorCode::kCorrupt) out.code = ErrorCode::kIo;
  return std::move(out).addContext("checkpoint " + folder);
}

Result<void> checkFile(os::Filesystem& files, const std::string& folder, const CheckpointFile& file,
                       Depth depth) {
  const std::string path = folder + "/" + file.name;
  const auto status = files.status(path);
  if (!status.has_value()) return withoutFile(folder, status.error());
  if (status->kind != os::FileKind::kFile || status->size != file.bytes) {
    return notComplete(folder, file.name + " has " + std::to_string(status->size) + " bytes and " +
                                   kCheckpointManifest + " says " + std::to_string(file.bytes));
  }
  if (depth == Depth::kSizes) return {};
  const auto digest = digestOf(path);
  if (!digest.has_value()) return withoutFile(folder, digest.error());
  if (digest->sha256 == file.sha256) return {};
  return notComplete(folder, file.name + " has the digest " + digest->sha256.substr(0, 16) +
                                 "… and " + kCheckpointManifest + " says " +
                                 file.sha256.substr(0, 16) + "…");
}

}  // namespace

std::string checkpointName(std::uint64_t step) {
  char text[40];
  std::snprintf(text, sizeof text, "step-%08llu", static_cast<unsigned long long>(step));
  return text;
}

std::optional<std::uint64_t> checkpointStep(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const auto step = parseUnsigned(name.substr(kPrefix.size()));
  if (!step || checkpointName(*step) != name) return std::nullopt;
  return step;
}

std::string writeCheckpoint(const Checkpoint& checkpoint) {
  Json json;
  FieldWriter writer(json);
  writer("schema", std::string(kCheckpointSchema));
  writer("step", checkpoint.step);
  writer("world", checkpoint.world);
  writer("files", checkpoint.files);
  Json& model = json["model"] = Json::object();
  for (const auto& [name, value] : checkpoint.model) {
    const Json read = Json::parse(value, nullptr, false);
    model[name] = read.is_discarded() ? Json(value) : read;
  }
  return json::dump(json) + "\n";
}

Result<Checkpoint> parseCheckpoint(std::string_view text, const std::string& where) {
  RAILHEAD_TRY_ASSIGN(const Json json, parseObject(text, where));
  FieldReader reader(json, where);
  Checkpoint out;
  std::string schema;
  reader("schema", schema);
  reader("step", out.step);
  reader("world", out.world);
  reader("files", out.files);
  RAILHEAD_TRY(reader.result());
  if (schema != kCheckpointSchema) {
    return Error(ErrorCode::kCorrupt,
                 where + ": schema is " + inQuotes(schema) + "; allowed: " + kCheckpointSchema);
  }
  std::set<std::string> names;
  for (const auto& file : out.files) {
    const bool digest = file.sha256.size() == 64 &&
                        file.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!staysInside(file.name) || !names.insert(file.name).second || !digest) {
      return Error(ErrorCode::kCorrupt,
                   where + ": files: " + inQuotes(file.name) +
                       " needs a name of its own inside the folder and a SHA-256");
    }
  }
  if (out.files.empty()) return Error(ErrorCode::kCorrupt, where + ": files is empty");
  if (const Json* model = json::member(json, "model"); model != nullptr && isObject(*model)) {
    for (const auto& [name, value] : membersOf(*model)) out.model[name] = json::dump(*value);
  }
  out.sha256 = digest::sha256Hex(text);
  out.content = contentOf(out.files);
  return out;
}

Result<Checkpoint> readCheckpoint(os::Filesystem& files, const std::string& folder, Depth depth) {
  RAILHEAD_TRY(files.status(folder));
  const std::string path = folder + "/" + kCheckpointManifest;
  const auto text = files.readFile(path, kMaxCheckpointManifest);
  if (!text.has_value()) {
    const bool tooLarge = text.error().code == ErrorCode::kExhausted;
    return tooLarge ? notComplete(folder, text.error().message) : withoutFile(folder, text.error());
  }
  RAILHEAD_TRY_ASSIGN(auto out, parseCheckpoint(*text, path));
  const auto named = checkpointStep(folder.substr(folder.rfind('/') + 1));
  if (named && *named != out.step) {
    return notComplete(folder,
                       std::string(kCheckpointManifest) + " says step " + std::to_string(out.step));
  }
  for (const auto& file : out.files) RAILHEAD_TRY(checkFile(files, folder, file, depth));
  return out;
}

Result<std::vector<std::uint64_t>> checkpointSteps(os::Filesystem& files,
                                                   const std::string& folder) {
  std::vector<std::uint64_t> out;
  const auto names = files.listDirectory(folder);
  if (!names.has_value() && names.error().code == ErrorCode::kNotFound) return out;
  if (!names.has_value()) return names.error();
  for (const auto& name : *names) {
    if (const auto step = checkpointStep(name)) out.push_back(*step);
  }
  // Names of more than eight digits do not sort as numbers do.
  std::sort(out.begin(), out.end());
  return out;
}

Result<FoundCheckpoints> findCheckpoints(os::Filesystem& files, const std::string& folder) {
  RAILHEAD_TRY_ASSIGN(const auto steps, checkpointSteps(files, folder));
  FoundCheckpoints out;
  for (const std::uint64_t step : steps) {
    const auto read = readCheckpoint(files, folder + "/" + checkpointName(step), Depth::kSizes);
    if (read.has_value()) {
      out.complete.push_back(step);
    } else {
      if (read.error().code != ErrorCode::kCorrupt) return read.error();
      out.notes.push_back(read.error().message);
    }
  }
  return out;
}

Result<NewestCheckpoint> newestCheckpoint(os::Filesystem& files, const std::string& folder) {
  RAILHEAD_TRY_ASSIGN(auto found, findCheckpoints(files, folder));
  NewestCheckpoint out;
  out.notes = std::move(found.notes);
  for (auto step = found.complete.rbegin(); step != found.complete.rend(); ++step) {
    const std::string path = folder + "/" + checkpointName(*step);
    auto read = readCheckpoint(files, path, Depth::kDigests);
    if (!read.has_value()) {
      if (read.error().code != ErrorCode::kCorrupt) return read.error();
      out.notes.push_back(read.error().message);
      continue;
    }
    out.checkpoint = std::move(*read);
    out.path = path;
    break;
  }
  return out;
}

Result<void> removeCheckpoint(os::Filesystem& files, const std::string& folder,
                              std::uint64_t step) {
  const std::string gone = folder + "/." + checkpointName(step) + std::string(kGoneEnd);
  RAILHEAD_TRY(removeFolder(files, gone));
  const auto renamed = files.rename(folder + "/" + checkpointName(step), gone);
  if (!renamed.has_value() && renamed.error().code == ErrorCode::kNotFound) return {};
  RAILHEAD_TRY(renamed);
  return removeFolder(files, gone);
}

Result<std::vector<std::string>> setAside(os::Filesystem& files, const std::string& folder,
                                          std::uint64_t newest) {
  RAILHEAD_TRY_ASSIGN(const auto steps, checkpointSteps(files, folder));
  std::vector<std::string> out;
  for (const std::uint64_t step : steps) {
    const std::string path = folder + "/" + checkpointName(step);
    const auto read = readCheckpoint(files, path, Depth::kSizes);
    if (!read.has_value() && read.error().code != ErrorCode::kCorrupt) return read.error();
    if (step <= newest && read.has_value()) continue;
    std::string aside;
    for (int number = 1; aside.empty() || files.exists(aside); ++number)
      aside = path + ".broken-" + std::to_string(number);
    RAILHEAD_TRY(files.rename(path, aside));
    out.push_back(path + " was set aside as " + aside.substr(aside.rfind('/') + 1));
  }
  return out;
}

Result<void> removeUnfinished(os::Filesystem& files, const std::string& folder) {
  const auto names = files.listDirectory(folder);
  if (!names.has_value() && names.error().code == ErrorCode::kNotFound) return {};
  if (!names.has_value()) return names.error();
  for (const auto& name : *names) {
    if (isUnfinished(name)) RAILHEAD_TRY(removeFolder(files, folder + "/" + name));
  }
  return {};
}

}  // namespace railhead::train
