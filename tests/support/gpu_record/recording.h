// What NVML really answers on this machine, call by call, in the form of the fake's fixtures
// (tests/fixtures/nvml/README.md). Only asks; changes nothing on a GPU.
#pragma once

#include "src/gpu/nvml.h"

#include <map>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

namespace railhead::testing_support {

struct Recording {
  nlohmann::ordered_json system;
  nlohmann::ordered_json gpus;
  std::map<std::string, double> slowestMicroseconds;  // by call
};

Recording recordNvml(const std::shared_ptr<gpu::Nvml>& nvml);

}  // namespace railhead::testing_support
