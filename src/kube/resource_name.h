// Names of extended resources, "nvidia.com/cx7_qsfp". Pure functions.
#pragma once

#include "src/base/result.h"

#include <string_view>

namespace railhead::kube {

// Kubernetes' rule: a DNS prefix outside kubernetes.io, a slash, and a name of at most 63
// characters; the prefix does not begin with "requests.".
Result<void> checkResourceName(std::string_view name);

}  // namespace railhead::kube
