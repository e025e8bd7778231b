#include "src/kube/api/nad.h"

#include "src/base/text.h"
#include "src/config/field.h"
#include "src/json/json.h"

#include <nlohmann/json.hpp>

namespace railhead::kube {
namespace {

using config::Field;
using json::member;
using Json = json::Value;

constexpr const char* kResourceName = "k8s.v1.cni.cncf.io/resourceName";
constexpr const char* kKind = "NetworkAttachmentDefinition";
constexpr const char* kList = "List";
constexpr std::size_t kMaxResourceName = 253 + 1 + 63;
constexpr std::size_t kMaxDocuments = 64;

Result<void> checkName(std::string_view field, const std::string& name, std::size_t most,
                       std::string_view extra) {
  bool good = !name.empty() && name.size() <= most && name.front() != '-' && name.back() != '-';
  for (const char c : name) {
    good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                    extra.find(c) != std::string_view::npos);
  }
  if (good) return {};
  return Error(ErrorCode::kInvalidArgument, std::string(field) + " is " + inQuotes(name) +
                                                "; allowed: 1 to " + std::to_string(most) +
                                                " lower-case letters, digits and '" +
                                                std::string(extra) + "'");
}

Result<Nad> checked(Nad nad) {
  RAILHEAD_TRY(checkName("metadata.namespace", nad.podNamespace, 63, "-"));
  RAILHEAD_TRY(checkName("metadata.name", nad.name, 253, "-."));
  return nad;
}

const Json& memberOr(const Json& object, std::string_view key) {
  static const Json kNothing = Json::object();
  const Json* found = member(object, key);
  return found != nullptr ? *found : kNothing;
}

Result<Nad> fromField(const Field& document) {
  Nad nad;
  const Field metadata = document.child("metadata");
  const auto read = [](const Field& field, std::string_view allowed, std::size_t most,
                       std::string& into) -> Result<void> {
    if (!field.present()) return {};
    RAILHEAD_TRY_ASSIGN(into, field.text(allowed, most));
    return {};
  };
  nad.podNamespace = "default";
  if (metadata.present() && !metadata.isMap()) return metadata.complainAllowed("a map");
  RAILHEAD_TRY(read(metadata.child("namespace"), "a namespace", 63, nad.podNamespace));
  RAILHEAD_TRY(read(metadata.child("name"), "a network's name", 253, nad.name));
  const Field annotations = metadata.child("annotations");
  if (annotations.present() && !annotations.isMap()) return annotations.complainAllowed("a map");
  RAILHEAD_TRY(
      read(annotations.child(kResourceName), "domain/name", kMaxResourceName, nad.resourceName));
  const Field spec = document.child("spec");
  if (spec.present() && !spec.isMap()) return spec.complainAllowed("a map");
  RAILHEAD_TRY(
      read(spec.child("config"), "a CNI configuration as text", kMaxNadConfig, nad.config));
  auto done = checked(std::move(nad));
  if (done.has_value()) return done;
  return metadata.complain("cannot be used: " + done.error().message);
}

// One definition, or the list of them that kubectl get -o yaml prints; other kinds are passed over.
Result<void> addFrom(const Field& object, std::vector<Nad>& nads) {
  RAILHEAD_TRY_ASSIGN(const Field kind, object.required("kind", kKind));
  RAILHEAD_TRY_ASSIGN(const std::string name, kind.text(kKind));
  if (name == kKind) {
    RAILHEAD_TRY_ASSIGN(Nad nad, fromField(object));
    nads.push_back(std::move(nad));
  } else if (name == kList || name == std::string(kKind) + kList) {
    const Field items = object.child("items");
    if (!items.present()) return {};
    RAILHEAD_TRY_ASSIGN(const auto all, items.list(0, kMaxNads));
    for (const Field& item : all) {
      const auto inner = item.child("kind").text(kKind);
      if (!inner.has_value() || *inner != kKind) continue;
      RAILHEAD_TRY(addFrom(item, nads));
    }
  }
  return {};
}

}  // namespace

Result<Nad> parseNad(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json object, json::parseObject(text, "the network's definition"));
  const Json& metadata = memberOr(object, "metadata");
  Nad nad;
  RAILHEAD_TRY_ASSIGN(nad.podNamespace, json::textMember(metadata, "namespace", 253));
  RAILHEAD_TRY_ASSIGN(nad.name, json::textMember(metadata, "name", 253));
  RAILHEAD_TRY_ASSIGN(nad.resourceName, json::textMember(memberOr(metadata, "annotations"),
                                                         kResourceName, kMaxResourceName));
  RAILHEAD_TRY_ASSIGN(nad.config,
                      json::textMember(memberOr(object, "spec"), "config", kMaxNadConfig));
  return checked(std::move(nad));
}

Result<std::vector<Nad>> parseNadManifest(std::string_view text, const std::string& source) {
  std::vector<Nad> nads;
  // Lines that are skipped are kept as empty ones: a complaint names the file's own line.
  std::string document;
  std::size_t lines = 0;
  std::size_t documents = 0;
  const auto finish = [&]() -> Result<void> {
    if (trim(document).empty()) return {};
    if (++documents > kMaxDocuments)
      return Error(
          ErrorCode::kInvalidArgument,
          source + " has more than the " + std::to_string(kMaxDocuments) + " documents allowed");
    RAILHEAD_TRY_ASSIGN(const Field root, Field::parse(document, source));
    if (!root.isMap()) return {};  // comments alone
    return addFrom(root, nads);
  };
  for (const std::string_view line : split(text, '\n')) {
    ++lines;
    if (line.starts_with("---")) {
      RAILHEAD_TRY(finish());
      document.assign(lines, '\n');
    } else {
      document.append(line).push_back('\n');
    }
    if (document.size() > config::kMaxBytes)
      return Error(ErrorCode::kInvalidArgument, source + " has a document of more than the " +
                                                    std::to_string(config::kMaxBytes) +
                                                    " bytes allowed");
  }
  RAILHEAD_TRY(finish());
  return nads;
}

std::string encodeNads(const std::vector<Nad>& nads) {
  Json list = Json::array();
  for (const auto& nad : nads) {
    list.push_back({{"namespace", nad.podNamespace},
                    {"name", nad.name},
                    {"resourceName", nad.resourceName},
                    {"config", nad.config}});
  }
  return json::dump(Json{{"version", 1}, {"nads", std::move(list)}});
}

Result<std::vector<Nad>> decodeNads(std::string_view text) {
  const auto corrupt = [](std::string message) {
    return Error(ErrorCode::kCorrupt, std::move(message));
  };
  const auto root = json::parseObject(text, "the remembered definitions");
  if (!root.has_value()) return corrupt(root.error().message);
  const Json* list = member(*root, "nads");
  if (list == nullptr || !list->is_array() || list->size() > kMaxNads)
    return corrupt("nads is no list of at most " + std::to_string(kMaxNads));
  std::vector<Nad> nads;
  for (const Json& one : *list) {
    const auto nad = [&]() -> Result<Nad> {
      Nad read;
      RAILHEAD_TRY_ASSIGN(read.podNamespace, json::textMember(one, "namespace", 253));
      RAILHEAD_TRY_ASSIGN(read.name, json::textMember(one, "name", 253));
      RAILHEAD_TRY_ASSIGN(read.resourceName,
                          json::textMember(one, "resourceName", kMaxResourceName));
      RAILHEAD_TRY_ASSIGN(read.config, json::textMember(one, "config", kMaxNadConfig));
      return checked(std::move(read));
    }();
    if (!nad.has_value()) return corrupt(nad.error().message);
    nads.push_back(*nad);
  }
  return nads;
}

}  // namespace railhead::kube
