#include "src/advertise/cdi.h"

#include "src/config/field.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::advertise {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kOurs = "railhead-";
constexpr std::size_t kMaxForeignFiles = 64;
constexpr std::size_t kMaxNodes = 64;  // of one device

bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool isAlphanumeric(char c) { return isLetter(c) || (c >= '0' && c <= '9'); }

bool isPart(std::string_view part, std::string_view extra) {
  return !part.empty() && isLetter(part.front()) && isAlphanumeric(part.back()) &&
         std::all_of(part.begin(), part.end(), [&](char c) {
           return isAlphanumeric(c) || extra.find(c) != std::string_view::npos;
         });
}

Json nodesJson(const std::vector<std::string>& nodes) {
  Json list = Json::array();
  for (const auto& node : nodes) list.push_back({{"path", node}});
  return {{"deviceNodes", std::move(list)}};
}

// The entries under `devices` when the specification is of this kind.
std::vector<config::Field> devicesIn(const std::string& text, const std::string& path,
                                     const std::string& kind) {
  const auto root = config::Field::parse(text, path);
  if (!root || !root->isMap()) return {};
  const auto given = root->child("kind");
  const auto devices = root->child("devices");
  if (!given.present() || !devices.isList() || given.text("a CDI kind").value_or("") != kind)
    return {};
  return devices.list(0, config::kMaxValues).value_or(std::vector<config::Field>());
}

// The names in one specification, JSON or YAML, when it is of this kind.
std::vector<std::string> namesIn(const std::string& text, const std::string& path,
                                 const std::string& kind) {
  std::vector<std::string> names;
  for (const auto& entry : devicesIn(text, path, kind)) {
    if (!entry.isMap() || !entry.child("name").present()) continue;
    if (auto name = entry.child("name").text("a device's name")) names.push_back(std::move(*name));
  }
  return names;
}

std::vector<std::string> nodesOf(const config::Field& device) {
  std::vector<std::string> nodes;
  const auto list = device.nearest("containerEdits.deviceNodes");
  if (!list.isList()) return nodes;
  const auto entries = list.list(0, kMaxNodes);
  if (!entries) return nodes;
  for (const auto& entry : *entries) {
    if (!entry.isMap() || !entry.child("path").present()) continue;
    if (auto path = entry.child("path").text("a device node")) nodes.push_back(std::move(*path));
  }
  return nodes;
}

}  // namespace

CdiNodes decodeCdiNodes(const std::string& text, const std::string& path, const std::string& kind) {
  CdiNodes found;
  for (const auto& entry : devicesIn(text, path, kind)) {
    if (!entry.isMap() || !entry.child("name").present()) continue;
    const auto name = entry.child("name").text("a device's name");
    if (name) found[*name] = nodesOf(entry);
  }
  return found;
}

std::string encodeCdiSpec(const CdiSpec& spec) {
  Json out{{"cdiVersion", "0.5.0"}, {"kind", spec.kind}, {"devices", Json::array()}};
  for (const auto& device : spec.devices) {
    if (device.deviceNodes.empty()) continue;  // runtimes refuse a device that changes nothing
    out["devices"].push_back(
        {{"name", device.name}, {"containerEdits", nodesJson(device.deviceNodes)}});
  }
  if (out["devices"].empty()) return {};
  if (!spec.common.empty()) out["containerEdits"] = nodesJson(spec.common);
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

bool isCdiKind(std::string_view kind) {
  const auto slash = kind.find('/');
  return slash != std::string_view::npos && isPart(kind.substr(0, slash), "-_.") &&
         isPart(kind.substr(slash + 1), "-_.");
}

std::string cdiDeviceName(std::string_view id) {
  std::string name(id);
  for (char& c : name) {
    if (!isAlphanumeric(c) && c != '-' && c != '_' && c != '.' && c != ':') c = '_';
  }
  return name;
}

CdiFolder::CdiFolder(os::Filesystem& files, std::string folder, std::vector<std::string> others)
    : files_(files), folder_(std::move(folder)), others_(std::move(others)) {}

Result<void> CdiFolder::put(const std::string& name, const std::string& text) {
  const std::lock_guard lock(mutex_);
  const std::string path = folder_ + "/" + name;
  const auto known = written_.find(name);
  // A boot's /run is empty, and a person may clear it: hence the look at the file itself.
  if (known != written_.end() && known->second == text && files_.exists(path) == !text.empty())
    return {};
  if (text.empty()) {
    if (files_.exists(path)) RAILHEAD_TRY(files_.remove(path).addContext("CDI"));
  } else if (files_.readFile(path).value_or("") != text) {
    RAILHEAD_TRY(files_.makeDirectories(folder_, 0755).addContext("CDI"));
    RAILHEAD_TRY(files_.replaceFile(path, text, 0644).addContext("CDI"));
  }
  written_[name] = text;
  return {};
}

CdiNodes CdiFolder::ourNodes(const std::string& name, const std::string& kind) const {
  const std::string path = folder_ + "/" + name;
  const auto text = files_.readFile(path, config::kMaxBytes);
  return text ? decodeCdiNodes(*text, path, kind) : CdiNodes();
}

Result<void> CdiFolder::removeOthers(const std::string& prefix, const std::set<std::string>& keep) {
  const std::lock_guard lock(mutex_);
  const auto names = files_.listDirectory(folder_);
  if (!names) {
    if (names.error().code == ErrorCode::kNotFound) return {};
    return Error(names.error()).addContext("CDI");
  }
  for (const auto& name : *names) {
    if (!name.starts_with(prefix) || !name.ends_with(".json") || keep.contains(name)) continue;
    RAILHEAD_TRY(files_.remove(folder_ + "/" + name).addContext("CDI"));
    written_.erase(name);
  }
  return {};
}

std::map<std::string, std::string> CdiFolder::foreignNames(const std::string& kind) const {
  std::map<std::string, std::string> found;
  std::vector<std::string> folders = others_;
  folders.push_back(folder_);
  for (const auto& folder : folders) {
    const auto names = files_.listDirectory(folder);
    if (!names) continue;
    std::size_t read = 0;
    for (const auto& name : *names) {
      const bool spec = name.ends_with(".json") || name.ends_with(".yaml");
      if (!spec || name.starts_with(kOurs) || ++read > kMaxForeignFiles) continue;
      const std::string path = folder + "/" + name;
      const auto text = files_.readFile(path, config::kMaxBytes);
      if (!text) continue;
      for (auto& device : namesIn(*text, path, kind)) found[std::move(device)] = path;
    }
  }
  return found;
}

}  // namespace railhead::advertise
