// One NetworkAttachmentDefinition, read from what the API server or a file says. Pure.
#pragma once

#include "src/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace railhead::kube {

struct Nad {
  std::string podNamespace;
  std::string name;
  std::string resourceName;  // annotation k8s.v1.cni.cncf.io/resourceName; empty when absent
  std::string config;        // spec.config; empty is allowed

  std::string qualifiedName() const { return podNamespace + "/" + name; }
  bool operator==(const Nad&) const = default;
};

inline constexpr std::size_t kMaxNads = 1024;
inline constexpr std::size_t kMaxNadConfig = 64U << 10;  // bytes of one spec.config

// kInvalidArgument names the field, its value and what is allowed. Of the configuration only the
// length is checked: who uses it checks the rest.
Result<Nad> parseNad(std::string_view object);
// The same from a manifest: one or several documents, YAML ("---" between them) or JSON; other
// kinds are passed over, lists looked into. Without metadata.namespace: "default". `source` is the
// file's name.
Result<std::vector<Nad>> parseNadManifest(std::string_view text, const std::string& source);

// All of them as one JSON text, and back; kCorrupt.
std::string encodeNads(const std::vector<Nad>& nads);
Result<std::vector<Nad>> decodeNads(std::string_view text);

}  // namespace railhead::kube
