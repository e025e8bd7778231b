#include "src/train/manifest.h"

#include "src/base/text.h"
#include "src/digest/sha256.h"
#include "src/train/json_fields.h"
#include "src/train/manifest_fields.h"

#include <set>

#include <nlohmann/json.hpp>

namespace railhead::train {
namespace {

constexpr const char* kManifestSchema = "railhead.train/1";

Json manifestJson(const Manifest& manifest) {
  Json fields;
  FieldWriter writer(fields);
  visitFields(writer, manifest);
  Json out = {{"schema", kManifestSchema}};
  out.update(fields);
  return out;
}

// Over the fields as they stand, in their order, without white space.
std::string digestOfFields(Json json) {
  json.erase("digest");
  return digest::sha256Hex(json::dump(json));
}

// "place.nodes[0].cpu" -> its JSON.
void flatten(const Json& value, const std::string& path, std::map<std::string, std::string>& out) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [name, member] : value.items())
      flatten(member, path.empty() ? name : path + "." + name, out);
  } else if (value.is_array() && !value.empty()) {
    std::size_t index = 0;
    for (const Json& member : value)
      flatten(member, path + "[" + std::to_string(index++) + "]", out);
  } else if (!value.is_null() && !(value.is_structured() && value.empty())) {
    out[path] = json::dump(value);
  }
}

std::map<std::string, std::string> whatDecides(const Manifest& manifest) {
  static const std::set<std::string> kDecide = {"command", "image", "image_digest", "seed",
                                                "code",    "data",  "profile",      "environment",
                                                "facts",   "place", "railhead",     "run_file"};
  const Json json = manifestJson(manifest);
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : json.items()) {
    if (kDecide.contains(name)) flatten(value, name, out);
  }
  // Names of places, not what is there: the digests beside them tell.
  out.erase("code.folder");
  out.erase("run_file.path");
  out.erase("run_file.bytes");
  return out;
}

}  // namespace

std::string writeManifest(const Manifest& manifest) {
  Json json = manifestJson(manifest);
  json["digest"] = digestOfFields(json);
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Manifest> parseManifest(std::string_view text, const std::string& where) {
  RAILHEAD_TRY_ASSIGN(const Json json, parseObject(text, where));
  const Json* schema = json::member(json, "schema");
  if (schema == nullptr || *schema != kManifestSchema) {
    return Error(ErrorCode::kCorrupt, where + ": schema is " +
                                          (schema == nullptr ? "missing" : json::shown(*schema)) +
                                          "; allowed: " + kManifestSchema);
  }
  const Json* digest = json::member(json, "digest");
  if (digest == nullptr || *digest != digestOfFields(json)) {
    return Error(ErrorCode::kCorrupt, where + ": digest is not that of the content",
                 "take the file as railhead train wrote it");
  }
  Manifest out;
  FieldReader reader(json, where);
  visitFields(reader, out);
  RAILHEAD_TRY(reader.result());
  return out;
}

std::vector<FieldDifference> differences(const Manifest& first, const Manifest& second) {
  const auto left = whatDecides(first);
  const auto right = whatDecides(second);
  std::set<std::string> names;
  for (const auto& [name, value] : left) names.insert(name);
  for (const auto& [name, value] : right) names.insert(name);
  const auto at = [](const std::map<std::string, std::string>& from, const std::string& name) {
    const auto found = from.find(name);
    return found == from.end() ? std::string() : found->second;
  };
  std::vector<FieldDifference> out;
  for (const auto& name : names) {
    std::string a = at(left, name);
    std::string b = at(right, name);
    if (a != b) out.push_back({name, std::move(a), std::move(b)});
  }
  return out;
}

}  // namespace railhead::train
