#include "src/trainer/checkpoint_folder.h"

#include "src/base/text.h"
#include "src/digest/sha256.h"
#include "src/json/json.h"
#include "src/os/durable_file.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::trainer {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSchema = "railhead.checkpoint/1";
constexpr std::string_view kNamePrefix = "step-";
constexpr std::string_view kUnfinishedSuffix = ".part";
constexpr std::string_view kReplacedSuffix = ".old";
constexpr std::size_t kMaxFields = 64;
constexpr std::size_t kMaxFieldText = 256;
constexpr std::size_t kReadAtOnce = 4 << 20;

Error broken(const std::string& what) {
  return {ErrorCode::kCorrupt, std::string(kCheckpointFile) + ": " + what};
}

Result<std::uint64_t> unsignedMember(const Json& object, const char* name) {
  const Json* value = json::member(object, name);
  if (value == nullptr) return broken(std::string(name) + " is missing: expected a number");
  if (!value->is_number_unsigned()) {
    return broken(std::string(name) + " is " + json::shown(*value) + ": expected a number");
  }
  return value->get<std::uint64_t>();
}

// A name in the folder itself.
bool isPlainName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxFieldText && name[0] != '.' &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string::npos &&
         name != kCheckpointFile;
}

Result<CheckpointFile> readFileEntry(const Json& value) {
  CheckpointFile out;
  const auto text = [&](const char* name) {
    const Json* found = json::member(value, name);
    return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
  };
  out.name = text("name");
  if (!isPlainName(out.name)) return broken("files: name " + inQuotes(out.name) + " is none");
  RAILHEAD_TRY_ASSIGN(out.bytes, unsignedMember(value, "bytes"));
  out.sha256 = text("sha256");
  if (out.sha256.size() != 64 ||
      out.sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return broken("files: sha256 of " + inQuotes(out.name) + " is " + inQuotes(out.sha256) +
                  ": expected 64 hexadecimal digits");
  }
  return out;
}

Result<void> readFields(const Json& root, CheckpointRecord& out) {
  const Json* model = json::member(root, "model");
  if (model == nullptr || !model->is_object() || model->size() > kMaxFields) {
    return broken("model: expected an object of numbers");
  }
  for (const auto& [name, value] : model->items()) {
    RAILHEAD_TRY_ASSIGN(out.model[name], unsignedMember(*model, name.c_str()));
  }
  const Json* run = json::member(root, "run");
  if (run == nullptr) return {};
  if (!run->is_object() || run->size() > kMaxFields) return broken("run: expected an object");
  for (const auto& [name, value] : run->items()) {
    if (!value.is_string()) return broken("run: " + inQuotes(name) + ": expected a text");
    out.run[name] = value.get<std::string>();
  }
  return {};
}

Result<void> checkDigest(const std::string& path, const CheckpointFile& file) {
  RAILHEAD_TRY_ASSIGN(const auto opened, os::RandomAccessFile::open(path));
  if (opened.size() != file.bytes) {
    return Error(ErrorCode::kCorrupt, path + " has " + std::to_string(opened.size()) +
                                          " bytes: expected " + std::to_string(file.bytes));
  }
  digest::Sha256 hash;
  std::vector<std::byte> part(std::min<std::uint64_t>(kReadAtOnce, file.bytes));
  for (std::uint64_t at = 0; at < file.bytes; at += part.size()) {
    part.resize(std::min<std::uint64_t>(part.size(), file.bytes - at));
    RAILHEAD_TRY(opened.read(at, part));
    hash.add({reinterpret_cast<const char*>(part.data()), part.size()});
  }
  if (hash.hex() == file.sha256) return {};
  return Error(ErrorCode::kCorrupt, path + " is not what was written: its SHA-256 is " +
                                        hash.hex() + ", expected " + file.sha256);
}

// Files of one folder, and the folder.
Result<void> removeFolder(os::Filesystem& files, const std::string& path) {
  if (!files.exists(path)) return {};
  RAILHEAD_TRY_ASSIGN(const auto names, files.listDirectory(path));
  for (const auto& name : names) RAILHEAD_TRY(files.remove(path + "/" + name));
  return files.remove(path);
}

// Another name, which no checkpoint has.
Result<void> leaveBehind(os::Filesystem& files, const std::string& path) {
  std::string aside;
  for (int number = 1; aside.empty() || files.exists(aside); ++number) {
    aside = path + ".left-" + std::to_string(number);
  }
  return files.rename(path, aside);
}

}  // namespace

std::string encode(const CheckpointRecord& record) {
  Json files = Json::array();
  for (const auto& file : record.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  }
  Json root = {{"schema", kSchema},
               {"step", record.step},
               {"world", record.world},
               {"files", files},
               {"model", record.model}};
  if (!record.run.empty()) root["run"] = record.run;
  return json::dump(root) + "\n";
}

Result<CheckpointRecord> decodeCheckpointRecord(std::string_view text) {
  auto parsed = json::parseObject(text, kCheckpointFile);
  if (!parsed.has_value()) return Error(ErrorCode::kCorrupt, parsed.error().message);
  const Json& root = *parsed;
  const Json* schema = json::member(root, "schema");
  if (schema == nullptr || *schema != kSchema) {
    return broken("schema is " + (schema == nullptr ? "missing" : json::shown(*schema)) +
                  ": expected " + std::string(kSchema));
  }
  CheckpointRecord out;
  RAILHEAD_TRY_ASSIGN(out.step, unsignedMember(root, "step"));
  RAILHEAD_TRY_ASSIGN(out.world, unsignedMember(root, "world"));
  const Json* list = json::member(root, "files");
  if (list == nullptr || !list->is_array() || list->size() > kMaxCheckpointFiles) {
    return broken("files: expected a list");
  }
  for (const auto& value : *list) {
    RAILHEAD_TRY_ASSIGN(auto file, readFileEntry(value));
    out.files.push_back(std::move(file));
  }
  RAILHEAD_TRY(readFields(root, out));
  return out;
}

std::string checkpointName(std::uint64_t step) {
  std::string digits = std::to_string(step);
  if (digits.size() < 8) digits.insert(0, 8 - digits.size(), '0');
  return std::string(kNamePrefix) + digits;
}

std::string unfinishedName(std::uint64_t step) {
  return "." + checkpointName(step) + std::string(kUnfinishedSuffix);
}

std::optional<std::uint64_t> stepOfCheckpoint(std::string_view name) {
  if (!name.starts_with(kNamePrefix)) return std::nullopt;
  const auto step = parseUnsigned(name.substr(kNamePrefix.size()));
  return step && checkpointName(*step) == name ? step : std::nullopt;
}

Result<CheckpointRecord> readCheckpoint(os::Filesystem& files, const std::string& path) {
  RAILHEAD_TRY_ASSIGN(const auto text,
                      files.readFile(path + "/" + kCheckpointFile, kMaxCheckpointRecord));
  RAILHEAD_TRY_ASSIGN(auto record, decodeCheckpointRecord(text).addContext(path));
  for (const auto& file : record.files) RAILHEAD_TRY(checkDigest(path + "/" + file.name, file));
  return record;
}

Result<std::optional<FoundCheckpoint>> latestCheckpoint(os::Filesystem& files,
                                                        const std::string& folder,
                                                        std::vector<std::string>& notes) {
  if (!files.exists(folder)) return std::optional<FoundCheckpoint>();
  RAILHEAD_TRY_ASSIGN(const auto names, files.listDirectory(folder));
  std::vector<std::uint64_t> steps;
  for (const auto& name : names) {
    if (const auto step = stepOfCheckpoint(name)) steps.push_back(*step);
  }
  std::sort(steps.rbegin(), steps.rend());
  for (const std::uint64_t step : steps) {
    const std::string path = folder + "/" + checkpointName(step);
    auto record = readCheckpoint(files, path);
    if (record.has_value() && record->step == step) {
      return std::optional<FoundCheckpoint>({path, std::move(*record)});
    }
    notes.push_back(path + " is ignored: " +
                    (record.has_value() ? "it is of step " + std::to_string(record->step)
                                        : record.error().message));
  }
  return std::optional<FoundCheckpoint>();
}

Result<std::string> beginCheckpoint(os::Filesystem& files, const std::string& folder,
                                    std::uint64_t step) {
  const std::string path = folder + "/" + unfinishedName(step);
  RAILHEAD_TRY(files.makeDirectories(folder));
  RAILHEAD_TRY(removeFolder(files, path));
  RAILHEAD_TRY(files.makeDirectories(path));
  return path;
}

Result<std::string> finishCheckpoint(os::Filesystem& files, const std::string& folder,
                                     const CheckpointRecord& record) {
  const std::string part = folder + "/" + unfinishedName(record.step);
  const std::string whole = folder + "/" + checkpointName(record.step);
  const std::string replaced =
      folder + "/." + checkpointName(record.step) + std::string(kReplacedSuffix);
  RAILHEAD_TRY(files.replaceFile(part + "/" + kCheckpointFile, encode(record)));
  RAILHEAD_TRY(os::syncFolder(part));
  if (files.exists(whole)) {
    RAILHEAD_TRY(removeFolder(files, replaced));
    RAILHEAD_TRY(files.rename(whole, replaced));
  }
  RAILHEAD_TRY(files.rename(part, whole));
  RAILHEAD_TRY(os::syncFolder(folder));
  RAILHEAD_TRY(removeFolder(files, replaced));
  return whole;
}

Result<void> pruneCheckpoints(os::Filesystem& files, const std::string& folder, std::uint64_t step,
                              std::size_t keep) {
  RAILHEAD_TRY_ASSIGN(const auto names, files.listDirectory(folder));
  std::vector<std::uint64_t> steps;
  for (const auto& name : names) {
    if (const auto found = stepOfCheckpoint(name)) {
      if (*found > step) RAILHEAD_TRY(leaveBehind(files, folder + "/" + name));
      if (*found <= step) steps.push_back(*found);
    }
    const bool leftover = name.starts_with("." + std::string(kNamePrefix)) &&
                          (name.ends_with(kUnfinishedSuffix) || name.ends_with(kReplacedSuffix));
    if (leftover) RAILHEAD_TRY(removeFolder(files, folder + "/" + name));
  }
  std::sort(steps.rbegin(), steps.rend());
  for (std::size_t i = keep; keep > 0 && i < steps.size(); ++i) {
    // Its record first: what is left of it is then no checkpoint.
    const std::string path = folder + "/" + checkpointName(steps[i]);
    RAILHEAD_TRY(files.remove(path + "/" + kCheckpointFile));
    RAILHEAD_TRY(removeFolder(files, path));
  }
  return {};
}

}  // namespace railhead::trainer
