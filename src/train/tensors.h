// The tensors of a safetensors file, compared with those of another.
#pragma once

#include "src/base/result.h"
#include "src/checkpoint/tensor_file.h"

#include <string>
#include <vector>

namespace railhead::train {

struct TensorDifference {
  std::string tensor;
  std::string what;  // "is only in the first", "has another shape", "3 of 64 values differ"
  // The largest difference over the largest value in either; infinite where it cannot be measured.
  double relative = 0;
};

// Those that are not the same byte for byte, by name.
Result<std::vector<TensorDifference>> differingTensors(const checkpoint::TensorFile& first,
                                                       const checkpoint::TensorFile& second);

}  // namespace railhead::train
