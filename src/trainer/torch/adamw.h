// AdamW (I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", 2019) over one run
// of float32 values. Private to src/trainer/torch; throws what LibTorch throws.
#pragma once

#include "src/trainer/engine.h"

#include <vector>

#include <ATen/core/Tensor.h>

namespace railhead::trainer {

struct AdamwPiece {
  at::Tensor parameter, firstMoment, secondMoment;  // changed in place
  at::Tensor gradient;                              // may be changed
  double weightDecay = 0;
};

// One source file for each kind of LibTorch (CMakeLists.txt): in single operations, or all pieces
// of one decay in a few kernels.
void adamwUpdate(std::vector<AdamwPiece>& pieces, const StepSettings& settings);

}  // namespace railhead::trainer
