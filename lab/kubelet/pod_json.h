// Inside lab/kubelet only: the JSON picture of a pod as a value, for status to embed.
#pragma once

#include "lab/kubelet/pod.h"

#include <nlohmann/json_fwd.hpp>

namespace railhead::lab {

nlohmann::json podAsJson(const Pod& pod);

}  // namespace railhead::lab
