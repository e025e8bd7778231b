// The addresses of NCCL's calls, and its codes as errors. Private to src/nccl.
#pragma once

#include "src/base/result.h"
#include "src/nccl/nccl_abi.h"
#include "src/os/dynamic_library.h"

#include <string>
#include <string_view>
#include <utility>

namespace railhead::nccl {

struct Calls {
  explicit Calls(os::DynamicLibrary opened) : library(std::move(opened)) {}

  // Names what the library lacks; empty when it has all.
  std::string find();
  // "what: unhandled system error (NCCL code 2): Call to connect failed". `comm` may be null.
  Error error(abi::Return code, std::string_view what, abi::Comm comm = nullptr) const;

  os::DynamicLibrary library;

  // The list names its types without their namespace.
  using Return = abi::Return;
  using Comm = abi::Comm;
  using Stream = abi::Stream;
  using UniqueId = abi::UniqueId;
  using Config = abi::Config;
  using DataType = abi::DataType;
  using Reduction = abi::Reduction;
#define RAILHEAD_NCCL_MEMBER(member, symbol, answer, arguments) answer(*member) arguments = nullptr;
  RAILHEAD_NCCL_CALLS(RAILHEAD_NCCL_MEMBER)
#undef RAILHEAD_NCCL_MEMBER
};

}  // namespace railhead::nccl
