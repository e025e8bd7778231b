// Sums of elements as NCCL numbers their types.
#pragma once

#include "src/nccl/nccl_abi.h"

#include <cstddef>

namespace railhead::testing_support {

namespace abi = nccl::abi;

std::size_t bytesOf(abi::DataType type);  // 0: no such type
// into[i] += from[i]
void add(abi::DataType type, std::byte* into, const std::byte* from, std::size_t count);

}  // namespace railhead::testing_support
