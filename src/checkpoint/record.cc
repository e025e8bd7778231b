#include "src/checkpoint/record.h"

#include "src/base/text.h"
#include "src/digest/sha256.h"
#include "src/json/json.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include <nlohmann/json.hpp>

namespace railhead::checkpoint {
namespace {

using Json = json::Value;

constexpr std::string_view kSchema = "railhead.checkpoint/1";
constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kPartEnd = ".part";
constexpr std::string_view kGoneEnd = ".gone";
constexpr std::string_view kOldEnd = ".old";  // as earlier versions named it

Error misread(const std::string& where, const std::string& what) {
  return {ErrorCode::kCorrupt, where + ": " + what};
}

Result<std::uint64_t> unsignedAt(const Json& object, const char* name, const std::string& path,
                                 const std::string& where) {
  const Json* value = json::member(object, name);
  if (value == nullptr) return misread(where, path + name + " is missing: expected a number");
  if (!value->is_number_unsigned()) {
    return misread(where, path + name + " is " + json::shown(*value) + ": expected a number");
  }
  return value->get<std::uint64_t>();
}

Result<std::string> textAt(const Json& object, const char* name, const std::string& path,
                           const std::string& where) {
  const Json* value = json::member(object, name);
  if (value == nullptr) return misread(where, path + name + " is missing: expected a text");
  if (!value->is_string()) {
    return misread(where, path + name + " is " + json::shown(*value) + ": expected a text");
  }
  return value->get<std::string>();
}

// A name in the folder itself.
bool staysInside(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string::npos &&
         name != kCheckpointFile;
}

Result<CheckpointFile> readEntry(const Json& value, const std::string& path,
                                 const std::string& where) {
  CheckpointFile out;
  RAILHEAD_TRY_ASSIGN(out.name, textAt(value, "name", path, where));
  if (!staysInside(out.name)) {
    return misread(where, path + "name " + inQuotes(out.name) +
                              " is none: expected a name in the checkpoint's folder");
  }
  RAILHEAD_TRY_ASSIGN(out.bytes, unsignedAt(value, "bytes", path, where));
  RAILHEAD_TRY_ASSIGN(out.sha256, textAt(value, "sha256", path, where));
  if (out.sha256.size() != 64 ||
      out.sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return misread(where, path + "sha256 of " + inQuotes(out.name) + " is " + inQuotes(out.sha256) +
                              ": expected 64 hexadecimal digits");
  }
  return out;
}

Result<std::vector<CheckpointFile>> readFiles(const Json& root, const std::string& where) {
  const Json* list = json::member(root, "files");
  if (list == nullptr || !list->is_array()) return misread(where, "files: expected a list");
  std::vector<CheckpointFile> out;
  std::set<std::string> names;
  for (const auto& value : *list) {
    const std::string path = "files[" + std::to_string(out.size()) + "].";
    RAILHEAD_TRY_ASSIGN(auto file, readEntry(value, path, where));
    if (!names.insert(file.name).second) {
      return misread(where, path + "name " + inQuotes(file.name) + " is there twice");
    }
    out.push_back(std::move(file));
  }
  if (out.empty()) return misread(where, "files is empty: expected at least one");
  return out;
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

std::string hidden(std::uint64_t step, std::string_view end) {
  return "." + checkpointName(step) + std::string(end);
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

std::string unfinishedName(std::uint64_t step) { return hidden(step, kPartEnd); }
std::string goneName(std::uint64_t step) { return hidden(step, kGoneEnd); }

bool isUnfinished(std::string_view name) {
  return name.starts_with('.') && name.substr(1).starts_with(kPrefix) &&
         (name.ends_with(kPartEnd) || name.ends_with(kGoneEnd) || name.ends_with(kOldEnd));
}

std::string writeCheckpoint(const Checkpoint& checkpoint) {
  Json root = {{"schema", kSchema}, {"step", checkpoint.step}, {"world", checkpoint.world}};
  Json& files = root["files"] = Json::array();
  for (const auto& file : checkpoint.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  }
  Json& model = root["model"] = Json::object();
  for (const auto& [name, value] : checkpoint.model) {
    const Json read = Json::parse(value, nullptr, false);
    model[name] = read.is_discarded() ? Json(value) : read;
  }
  if (!checkpoint.run.empty()) root["run"] = checkpoint.run;
  return json::dump(root) + "\n";
}

Result<Checkpoint> parseCheckpoint(std::string_view text, const std::string& where) {
  if (text.size() > kMaxRecord) return misread(where, "it has more than 16 MiB");
  const auto parsed = json::parseObject(text, where);
  if (!parsed.has_value()) return Error(ErrorCode::kCorrupt, parsed.error().message);
  const Json& root = *parsed;
  RAILHEAD_TRY_ASSIGN(const auto schema, textAt(root, "schema", "", where));
  if (schema != kSchema) {
    return misread(where, "schema is " + inQuotes(schema) + ": expected " + std::string(kSchema));
  }
  Checkpoint out;
  RAILHEAD_TRY_ASSIGN(out.step, unsignedAt(root, "step", "", where));
  RAILHEAD_TRY_ASSIGN(out.world, unsignedAt(root, "world", "", where));
  RAILHEAD_TRY_ASSIGN(out.files, readFiles(root, where));
  // Both are the trainer's: whatever it says there is kept.
  if (const Json* model = json::member(root, "model"); model != nullptr && model->is_object()) {
    for (const auto& [name, value] : model->items()) out.model[name] = json::dump(value);
  }
  if (const Json* run = json::member(root, "run"); run != nullptr && run->is_object()) {
    for (const auto& [name, value] : run->items())
      out.run[name] = value.is_string() ? value.get<std::string>() : json::dump(value);
  }
  out.sha256 = digest::sha256Hex(text);
  out.content = contentOf(out.files);
  return out;
}

}  // namespace railhead::checkpoint
