// A node's sysfs as real files, for a program that is measured from outside.
#pragma once

#include "src/base/result.h"

#include <string>

namespace railhead::bench_programs {

struct NodeShape {
  int railSets = 64;  // a VF on each of two PFs
};

// Below the existing folder `root`: two mlx5-like PFs "rail0" and "rail1" with their VFs, RDMA
// devices and counters.
Result<void> writeNode(const NodeShape& shape, const std::string& root);

}  // namespace railhead::bench_programs
