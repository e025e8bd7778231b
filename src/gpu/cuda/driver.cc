#include "src/gpu/cuda/driver.h"

namespace railhead::gpu::cuda {
namespace {

ErrorCode classOf(abi::Return code) {
  switch (code) {
    case abi::kOutOfMemory:
      return ErrorCode::kExhausted;
    case abi::kInvalidValue:
      return ErrorCode::kInvalidArgument;
    case abi::kDeviceUnavailable:
      return ErrorCode::kBusy;
    case abi::kNotPermitted:
      return ErrorCode::kPermissionDenied;
    case abi::kNotSupported:
      return ErrorCode::kUnsupported;
    case abi::kNoDevice:
    case abi::kInvalidDevice:
    case abi::kNotFound:
      return ErrorCode::kNotFound;
    case abi::kNoBinaryForGpu:
    case abi::kJitCompilerNotFound:
    case abi::kUnsupportedPtxVersion:
    case abi::kStubLibrary:
    case abi::kSystemNotReady:
    case abi::kDriverMismatch:
    case abi::kCompatNotSupported:
      return ErrorCode::kEnvironment;
    default:
      return code >= abi::kMpsFirst && code <= abi::kMpsLast ? ErrorCode::kEnvironment
                                                             : ErrorCode::kIo;
  }
}

std::string_view remedyFor(abi::Return code) {
  switch (code) {
    case abi::kDriverMismatch:
      return "reboot, or reload the NVIDIA kernel modules, after a driver update; in a container "
             "use the driver's libcuda.so.1, not one of the image";
    case abi::kSystemNotReady:
      return "start nvidia-fabricmanager (NVSwitch machines), then try again";
    case abi::kCompatNotSupported:
      return "take the image's CUDA compatibility library out of LD_LIBRARY_PATH";
    case abi::kDeviceUnavailable:
      return "another process holds the GPU exclusively; nvidia-smi names it";
    case abi::kJitCompilerNotFound:
      return "mount libnvidia-ptxjitcompiler.so.1 of the driver beside libcuda.so.1 (in a "
             "container "
             "the capability 'compute')";
    case abi::kUnknown:
      return "check that nvidia-smi works and that /dev/nvidia* and /dev/nvidia-uvm may be opened";
    default:
      return code >= abi::kMpsFirst && code <= abi::kMpsLast
                 ? "look into the log of nvidia-cuda-mps-control; clear CUDA_MPS_PIPE_DIRECTORY to "
                   "do without it"
                 : "";
  }
}

}  // namespace

std::string Driver::findCalls() {
  std::string lacking;
#define RAILHEAD_CUDA_FIND(member, symbol, arguments)     \
  member = library_.find<abi::Return arguments>(#symbol); \
  if (member == nullptr && lacking.empty()) lacking = #symbol;
  RAILHEAD_CUDA_CALLS(RAILHEAD_CUDA_FIND)
#undef RAILHEAD_CUDA_FIND
#define RAILHEAD_CUDA_FIND(member, symbol, arguments) \
  member = library_.find<abi::Return arguments>(#symbol);
  RAILHEAD_CUDA_LATER_CALLS(RAILHEAD_CUDA_FIND)
#undef RAILHEAD_CUDA_FIND
  return lacking;
}

Result<DriverOpening> Driver::open(const std::vector<std::string>& names) {
  auto library = os::DynamicLibrary::open(names, os::Unload::kNever);
  if (!library) return DriverOpening{nullptr, library.error().message};
  const std::shared_ptr<Driver> driver(new Driver(std::move(*library)));
  if (const std::string lacking = driver->findCalls(); !lacking.empty()) {
    return Error(ErrorCode::kEnvironment,
                 driver->path() + " lacks " + lacking + ", which every driver since CUDA 11 has",
                 "update the NVIDIA driver, or mount its own libcuda.so.1 here");
  }
  const abi::Return code = driver->init(0);
  if (code == abi::kNoDevice || code == abi::kStubLibrary)
    return DriverOpening{nullptr, driver->path() + ": " + driver->codeText(code)};
  if (code != abi::kSuccess) {
    Error error = driver->error(code, "initialise " + driver->path());
    error.code = ErrorCode::kEnvironment;
    return error;
  }
  return DriverOpening{driver, {}};
}

std::string Driver::codeText(abi::Return code) const {
  const char* name = nullptr;
  const char* text = nullptr;
  if (errorName(code, &name) != abi::kSuccess || name == nullptr)
    return "CUDA code " + std::to_string(code);
  if (errorString(code, &text) != abi::kSuccess || text == nullptr) return name;
  return std::string(text) + " (" + name + ")";
}

Error Driver::error(abi::Return code, std::string_view what) const {
  return {classOf(code), std::string(what) + ": " + codeText(code), std::string(remedyFor(code))};
}

}  // namespace railhead::gpu::cuda
