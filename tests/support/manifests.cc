#include "tests/support/manifests.h"

#include "src/base/text.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

namespace railhead::testing_support {
namespace {

namespace fs = std::filesystem;

Error refused(const std::string& where, const std::string& what) {
  return Error(ErrorCode::kUnsupported, where + ": " + what);
}

std::string textAt(const YAML::Node& node, const char* key) {
  return node[key] ? node[key].as<std::string>() : std::string();
}

std::string fileText(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// "/a/b~1c" as its parts.
std::vector<std::string> pointerParts(const std::string& pointer) {
  std::vector<std::string> parts;
  for (const auto part : split(pointer.substr(1), '/')) {
    std::string text(part);
    for (auto at = text.find("~1"); at != std::string::npos; at = text.find("~1", at + 1))
      text.replace(at, 2, "/");
    parts.push_back(std::move(text));
  }
  return parts;
}

YAML::Node childOf(const YAML::Node& node, const std::string& part) {
  return node.IsSequence() ? node[std::stoul(part)] : node[part];
}

// One operation of a JSON patch (RFC 6902) on `object`.
Result<void> change(YAML::Node object, const YAML::Node& operation) {
  const std::string path = textAt(operation, "path");
  auto parts = pointerParts(path);
  const std::string last = parts.back();
  parts.pop_back();
  YAML::Node parent = object;
  for (const auto& part : parts) {
    const YAML::Node next = childOf(parent, part);
    if (!next) return refused("patch " + path, "there is no " + part);
    parent.reset(next);
  }
  const std::string op = textAt(operation, "op");
  if (op == "add" && parent.IsSequence()) {
    if (last != "-") return refused("patch " + path, "only '-' adds to a list");
    parent.push_back(YAML::Clone(operation["value"]));
    return {};
  }
  const bool present = static_cast<bool>(childOf(parent, last));
  if (op != "add" && !present) return refused("patch " + path, "it is not there");
  if (op == "add" || op == "replace") {
    parent[last] = YAML::Clone(operation["value"]);
  } else if (op == "remove") {
    parent.remove(last);
  } else {
    return refused("patch " + path, "op is '" + op + "'");
  }
  return {};
}

class Renderer {
 public:
  Result<void> add(const fs::path& folder) {
    const YAML::Node rules = YAML::LoadFile((folder / "kustomization.yaml").string());
    static const std::set<std::string> kKnown{
        "apiVersion", "kind",   "resources",          "components",
        "patches",    "labels", "configMapGenerator", "generatorOptions",
        "images"};
    for (const auto& rule : rules) {
      const auto key = rule.first.as<std::string>();
      if (!kKnown.contains(key)) return refused(folder.string(), key + " is not known here");
    }
    for (const auto& one : rules["resources"]) RAILHEAD_TRY(load(folder / one.as<std::string>()));
    for (const auto& one : rules["components"]) RAILHEAD_TRY(add(folder / one.as<std::string>()));
    for (const auto& one : rules["configMapGenerator"]) RAILHEAD_TRY(generate(folder, one));
    for (const auto& one : rules["patches"]) RAILHEAD_TRY(patch(folder, one));
    for (const auto& one : rules["labels"]) label(one["pairs"]);
    for (const auto& one : rules["images"]) rename(one);
    return {};
  }
  std::vector<YAML::Node> take() { return std::move(objects_); }

 private:
  Result<void> load(const fs::path& path) {
    if (fs::is_directory(path)) return add(path);
    if (!fs::exists(path)) return refused(path.string(), "it is not there");
    for (const YAML::Node& one : YAML::LoadAllFromFile(path.string())) objects_.push_back(one);
    return {};
  }

  YAML::Node find(const std::string& kind, const std::string& name) {
    for (const YAML::Node& one : objects_) {
      if (textAt(one, "kind") == kind && textAt(one["metadata"], "name") == name) return one;
    }
    return YAML::Node(YAML::NodeType::Undefined);
  }

  Result<void> generate(const fs::path& folder, const YAML::Node& rule) {
    const std::string name = textAt(rule, "name");
    YAML::Node map = find("ConfigMap", name);
    if (textAt(rule, "behavior") == "replace") {
      if (!map) return refused(folder.string(), "there is no ConfigMap " + name + " to replace");
    } else {
      map.reset(YAML::Node(YAML::NodeType::Map));
      map["apiVersion"] = "v1";
      map["kind"] = "ConfigMap";
      map["metadata"]["name"] = name;
      map["metadata"]["namespace"] = textAt(rule, "namespace");
      objects_.push_back(map);
    }
    YAML::Node data;
    for (const auto& file : rule["files"])
      data[file.as<std::string>()] = fileText(folder / file.as<std::string>());
    map["data"] = data;
    return {};
  }

  Result<void> patch(const fs::path& folder, const YAML::Node& rule) {
    const YAML::Node object = find(textAt(rule["target"], "kind"), textAt(rule["target"], "name"));
    if (!object) return refused(folder.string(), "a patch has no target");
    for (const auto& operation : YAML::Load(textAt(rule, "patch")))
      RAILHEAD_TRY(change(object, operation).addContext(folder.string()));
    return {};
  }

  void label(const YAML::Node& pairs) {
    for (YAML::Node one : objects_) {
      for (const auto& pair : pairs)
        one["metadata"]["labels"][pair.first.as<std::string>()] = pair.second.as<std::string>();
    }
  }

  void rename(const YAML::Node& rule) {
    for (const YAML::Node& one : objects_) {
      const YAML::Node workload = one["spec"];
      if (!workload || !workload["template"]) continue;
      for (YAML::Node container : workload["template"]["spec"]["containers"]) {
        const std::string name = textAt(container, "image");
        if (name.substr(0, name.find(':')) != textAt(rule, "name")) continue;
        const std::string renamed =
            rule["newName"] ? textAt(rule, "newName") : textAt(rule, "name");
        container["image"] = renamed + ":" + textAt(rule, "newTag");
      }
    }
  }

  std::vector<YAML::Node> objects_;
};

}  // namespace

Result<std::vector<YAML::Node>> renderManifests(const std::string& folder) {
  Renderer renderer;
  RAILHEAD_TRY(renderer.add(folder));
  return renderer.take();
}

std::string canonicalText(const YAML::Node& node) {
  if (node.IsScalar()) return "'" + node.Scalar() + "'";
  std::string text;
  if (node.IsSequence()) {
    for (const auto& one : node) text += canonicalText(one) + ",";
    return "[" + text + "]";
  }
  std::map<std::string, std::string> sorted;
  for (const auto& one : node) sorted[one.first.as<std::string>()] = canonicalText(one.second);
  for (const auto& [key, value] : sorted) text += key + ":" + value + ",";
  return "{" + text + "}";
}

}  // namespace railhead::testing_support
