// NVML, loaded at run time: one library session with the addresses of its calls. A machine without
// the library or without a loaded driver is a normal machine, not an error. Private to src/gpu and
// its recorder: others take src/gpu/gpu.h.
#pragma once

#include "src/base/result.h"
#include "src/gpu/nvml_abi.h"
#include "src/os/dynamic_library.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::gpu {

class Nvml;

struct NvmlOpening {
  std::shared_ptr<Nvml> session;  // null: no GPU driver here
  std::string absence;            // then, in one line: what is missing
};

// Every call of nvml_abi.h as a member. A null member: this driver's NVML is older than the call.
// NVML itself is thread-safe, and so is this once open.
class Nvml {
 public:
  // Loads the first of `names` that there is and initialises NVML; the last owner shuts it down.
  // kEnvironment: library and kernel driver do not fit, or the device nodes may not be opened.
  static Result<NvmlOpening> open(const std::vector<std::string>& names);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  std::string libraryPath() const { return library_.path(); }

  // The list names its types without their namespace.
  using Device = abi::Device;
  using PciInfo = abi::PciInfo;
  using Memory = abi::Memory;
  using MemoryV2 = abi::MemoryV2;
  using Attributes = abi::Attributes;
  using EventSet = abi::EventSet;
  using EventData = abi::EventData;
  using FieldValue = abi::FieldValue;
#define RAILHEAD_NVML_MEMBER(member, symbol, arguments) abi::Return(*member) arguments = nullptr;
  RAILHEAD_NVML_CALLS(RAILHEAD_NVML_MEMBER)
#undef RAILHEAD_NVML_MEMBER

 private:
  explicit Nvml(os::DynamicLibrary library);
  os::DynamicLibrary library_;
  bool initialised_ = false;
};

// "GPU is lost (NVML code 15)".
std::string nvmlCodeText(abi::Return code);

// call(arguments..., &value): the value, or nothing when the library lacks the call or the device
// refuses it ("not supported" is a fact about a device, not a failure). `code` gets the answer.
template <typename Value, typename Call, typename... Arguments>
std::optional<Value> ask(abi::Return& code, Call call, Arguments... arguments) {
  Value value{};
  code = call == nullptr ? abi::kFunctionNotFound : call(arguments..., &value);
  if (code != abi::kSuccess) return std::nullopt;
  return value;
}
template <typename Value, typename Call, typename... Arguments>
std::optional<Value> ask(Call call, Arguments... arguments) {
  abi::Return code = abi::kSuccess;
  return ask<Value>(code, call, arguments...);
}

// call(arguments..., buffer, size): a text without control characters, empty when there is none.
std::string nvmlText(abi::Return code, const char* buffer, std::size_t size);
template <std::size_t Bytes, typename Call, typename... Arguments>
std::string askText(Call call, Arguments... arguments) {
  char buffer[Bytes] = {};
  if (call == nullptr) return {};
  return nvmlText(call(arguments..., buffer, static_cast<unsigned int>(Bytes)), buffer, Bytes);
}

// One field of nvmlDeviceGetFieldValues, when the driver knows it as an unsigned number.
std::optional<unsigned int> askField(const Nvml& nvml, abi::Device device, unsigned int field);

}  // namespace railhead::gpu
