// Renders a folder of manifests as `kubectl kustomize` does, for machines without kubectl: the part
// of the language that deploy/ uses. What it does not know it refuses.
#pragma once

#include "src/base/result.h"

#include <string>
#include <vector>

#include <yaml-cpp/yaml.h>

namespace railhead::testing_support {

// The objects of the kustomization in `folder`.
Result<std::vector<YAML::Node>> renderManifests(const std::string& folder);

// The object as text that is equal for equal objects, in whatever order their keys stand.
std::string canonicalText(const YAML::Node& node);

}  // namespace railhead::testing_support
