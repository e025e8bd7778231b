#include "src/gpu/nvml.h"

#include <algorithm>
#include <utility>

namespace railhead::gpu {
namespace {

std::string_view codeWords(abi::Return code) {
  switch (code) {
    case abi::kSuccess:
      return "success";
    case abi::kUninitialized:
      return "NVML is not initialised";
    case abi::kInvalidArgument:
      return "invalid argument";
    case abi::kNotSupported:
      return "not supported";
    case abi::kNoPermission:
      return "no permission";
    case abi::kNotFound:
      return "not found";
    case abi::kInsufficientSize:
      return "buffer too small";
    case abi::kDriverNotLoaded:
      return "the NVIDIA driver is not loaded";
    case abi::kTimeout:
      return "timeout";
    case abi::kLibraryNotFound:
      return "the driver's library was not found";
    case abi::kFunctionNotFound:
      return "this NVML lacks the call";
    case abi::kGpuIsLost:
      return "the GPU is lost: it fell off the bus";
    case abi::kResetRequired:
      return "the GPU must be reset";
    case abi::kVersionMismatch:
      return "library and kernel driver have different versions";
    default:
      return "unknown error";
  }
}

}  // namespace

std::string nvmlCodeText(abi::Return code) {
  return std::string(codeWords(code)) + " (NVML code " + std::to_string(code) + ")";
}

Nvml::Nvml(os::DynamicLibrary library) : library_(std::move(library)) {
#define RAILHEAD_NVML_FIND(member, symbol, arguments) \
  member = library_.find<abi::Return arguments>(#symbol);
  RAILHEAD_NVML_CALLS(RAILHEAD_NVML_FIND)
#undef RAILHEAD_NVML_FIND
}

Nvml::~Nvml() {
  if (initialised_ && shutdown != nullptr) shutdown();
}

Result<NvmlOpening> Nvml::open(const std::vector<std::string>& names) {
  auto library = os::DynamicLibrary::open(names);
  if (!library) return NvmlOpening{nullptr, library.error().message};
  std::shared_ptr<Nvml> nvml(new Nvml(std::move(*library)));
  const std::string where = nvml->libraryPath();
  if (nvml->init == nullptr || nvml->shutdown == nullptr || nvml->count == nullptr ||
      nvml->handleByIndex == nullptr || nvml->uuid == nullptr) {
    return Error(ErrorCode::kEnvironment, where + " lacks a call that every NVML since CUDA 10 has",
                 "mount the driver's own libnvidia-ml.so.1 here");
  }
  const abi::Return code = nvml->init();
  if (code == abi::kDriverNotLoaded || code == abi::kLibraryNotFound)
    return NvmlOpening{nullptr, where + ": " + nvmlCodeText(code)};
  if (code != abi::kSuccess) {
    return Error(ErrorCode::kEnvironment, "initialise " + where + ": " + nvmlCodeText(code),
                 code == abi::kVersionMismatch
                     ? "reboot, or reload the NVIDIA kernel modules, after a driver update"
                     : "check that nvidia-smi works and that /dev/nvidiactl may be opened");
  }
  nvml->initialised_ = true;
  return NvmlOpening{std::move(nvml), {}};
}

std::string nvmlText(abi::Return code, const char* buffer, std::size_t size) {
  if (code != abi::kSuccess) return {};
  std::string text(buffer, std::find(buffer, buffer + size, '\0'));
  std::erase_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  return text;
}

std::optional<unsigned int> askField(const Nvml& nvml, abi::Device device, unsigned int field) {
  if (nvml.fieldValues == nullptr) return std::nullopt;
  abi::FieldValue value{};
  value.fieldId = field;
  if (nvml.fieldValues(device, 1, &value) != abi::kSuccess) return std::nullopt;
  if (value.nvmlReturn != abi::kSuccess || value.valueType != abi::kFieldUnsignedInt)
    return std::nullopt;
  return value.value.unsignedInt;
}

}  // namespace railhead::gpu
