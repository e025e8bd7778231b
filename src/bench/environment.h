// The circumstances a figure was measured under: a number without them cannot be compared.
#pragma once

#include "src/bench/ceiling.h"
#include "src/os/filesystem.h"
#include "src/verbs/types.h"

#include <optional>
#include <string>
#include <vector>

namespace railhead::bench {

struct DeviceEnvironment {
  std::string device;
  std::string driver;    // "mlx5_core", "rdma_rxe"; empty when sysfs does not say
  std::string firmware;  // empty for soft devices
  std::optional<Ceiling> pcie;
};

struct Environment {
  std::string hostname;
  std::string kernel;
  std::string architecture;
  std::vector<DeviceEnvironment> devices;  // in the order of the rails
};

// Reads sysfs below `sys` ("/sys"); what cannot be read stays empty, for a figure is worth more
// than its label.
Environment readEnvironment(os::Filesystem& filesystem, const std::string& sys,
                            const std::vector<verbs::DeviceInfo>& devices);

}  // namespace railhead::bench
