// The CUDA driver's library, loaded at run time: the addresses of its calls, and its codes as
// errors. Private to src/gpu/cuda: others take src/gpu/cuda/cuda.h.
#pragma once

#include "src/base/result.h"
#include "src/gpu/cuda/cuda_abi.h"
#include "src/os/dynamic_library.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::gpu::cuda {

class Driver;

struct DriverOpening {
  std::shared_ptr<const Driver> driver;  // null: no CUDA driver here
  std::string absence;                   // then, in one line: what is missing
};

// Every call of cuda_abi.h as a member. CUDA itself is thread-safe, and so is this once open. The
// library stays loaded until the process ends: its threads do.
class Driver {
 public:
  // kEnvironment: library and kernel driver do not fit, or the device nodes may not be opened.
  static Result<DriverOpening> open(const std::vector<std::string>& names);

  std::string path() const { return library_.path(); }

  // "out of memory (CUDA_ERROR_OUT_OF_MEMORY)".
  std::string codeText(abi::Return code) const;
  Error error(abi::Return code, std::string_view what) const;
  Result<void> check(abi::Return code, std::string_view what) const {
    if (code == abi::kSuccess) return {};
    return error(code, what);
  }

  // The list names its types without their namespace.
  using Return = abi::Return;
  using Device = abi::Device;
  using DevicePointer = abi::DevicePointer;
  using Context = abi::Context;
  using Stream = abi::Stream;
  using Event = abi::Event;
  using Module = abi::Module;
  using Function = abi::Function;
  using Uuid = abi::Uuid;
  using Attribute = abi::Attribute;
#define RAILHEAD_CUDA_MEMBER(member, symbol, arguments) abi::Return(*member) arguments = nullptr;
  RAILHEAD_CUDA_CALLS(RAILHEAD_CUDA_MEMBER)
  RAILHEAD_CUDA_LATER_CALLS(RAILHEAD_CUDA_MEMBER)
#undef RAILHEAD_CUDA_MEMBER

 private:
  explicit Driver(os::DynamicLibrary library) : library_(std::move(library)) {}
  // The first call of the 11.0 list that the library lacks; empty when it has all.
  std::string findCalls();

  os::DynamicLibrary library_;
};

}  // namespace railhead::gpu::cuda
