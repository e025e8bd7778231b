// The exported calls of the fake. Each takes the lock, checks its arguments as NVML does, and looks
// the answer up.
#include "tests/support/fake_nvml/control.h"
#include "tests/support/fake_nvml/state.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <type_traits>

using namespace railhead::gpu::abi;         // NOLINT: this file is NVML's interface
using namespace railhead::testing_support;  // NOLINT
#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

thread_local std::string message;

using Lock = std::unique_lock<std::mutex>;

Return copyText(const Json& value, char* out, unsigned int size) {
  if (!value.is_string()) return kUnknown;
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() + 1 > size) return kInsufficientSize;
  std::memcpy(out, text.c_str(), text.size() + 1);
  return kSuccess;
}

// What every call on a device checks first; then `read` turns the answer into out-arguments.
template <typename Read>
Return onDevice(Device device, const void* out, const char* call, Read read) {
  auto& state = fakeNvml();
  const Lock lock(state.mutex);
  if (state.sessions == 0) return kUninitialized;
  if (device == nullptr || out == nullptr) return kInvalidArgument;
  if (device->isLost()) return kGpuIsLost;
  Return code = kSuccess;
  const Json* value = answer(device->answers, call, code);
  return value == nullptr ? code : read(*value);
}

template <typename Number>
Return scalar(Device device, const char* call, Number* out) {
  return onDevice(device, out, call, [&](const Json& value) {
    const auto found = number(value);
    if (!found) return kUnknown;
    *out = static_cast<Number>(*found);
    return kSuccess;
  });
}

// A member of an object answer; 0 when the fixture leaves it out.
template <typename Number>
void member(const Json& object, const char* key, Number& out) {
  const auto found = object.find(key);
  out = static_cast<Number>(found == object.end() ? 0 : number(*found).value_or(0));
}

Return pair(Device device, const char* call, const char* first, const char* second,
            unsigned int* firstOut, unsigned int* secondOut) {
  if (secondOut == nullptr) return kInvalidArgument;
  return onDevice(device, firstOut, call, [&](const Json& value) {
    if (!value.is_object()) return kUnknown;
    member(value, first, *firstOut);
    member(value, second, *secondOut);
    return kSuccess;
  });
}

Return readPci(const Json& value, PciInfo* out) {
  if (!value.is_object()) return kUnknown;
  *out = PciInfo{};
  member(value, "domain", out->domain);
  member(value, "bus", out->bus);
  member(value, "device", out->device);
  member(value, "pciDeviceId", out->pciDeviceId);
  member(value, "pciSubSystemId", out->pciSubSystemId);
  (void)copyText(value.value("busId", Json("")), out->busId, sizeof out->busId);
  (void)copyText(value.value("busIdLegacy", Json("")), out->busIdLegacy, sizeof out->busIdLegacy);
  return kSuccess;
}

// An answer that is a list with one entry for each link or peer; past its end: invalid.
template <typename Read>
Return entry(Device device, const void* out, const char* call, unsigned int index, Read read) {
  return onDevice(device, out, call, [&](const Json& list) {
    if (!list.is_array()) return kUnknown;
    if (index >= list.size()) return kInvalidArgument;
    const Json& value = list[index];
    if (value.is_object() && value.contains("return")) return value.value("return", kUnknown);
    return value.is_null() ? kNotSupported : read(value);
  });
}

template <typename Read>
Return onSystem(const void* out, const char* call, Read read) {
  auto& state = fakeNvml();
  const Lock lock(state.mutex);
  if (state.sessions == 0) return kUninitialized;
  if (out == nullptr) return kInvalidArgument;
  Return code = kSuccess;
  const Json* value = answer(state.system, call, code);
  return value == nullptr ? code : read(*value);
}

}  // namespace

EXPORTED int fakeNvmlControl(const char* command) {
  auto& state = fakeNvml();
  const Lock lock(state.mutex);
  message = state.command(command);
  return message.empty() ? 0 : -1;
}
EXPORTED const char* fakeNvmlMessage(void) { return message.c_str(); }
EXPORTED int fakeNvmlSessions(void) {
  const Lock lock(fakeNvml().mutex);
  return fakeNvml().sessions;
}
EXPORTED int fakeNvmlEventSets(void) {
  const Lock lock(fakeNvml().mutex);
  return static_cast<int>(fakeNvml().eventSets.size());
}
EXPORTED int fakeNvmlEventSetsMade(void) {
  const Lock lock(fakeNvml().mutex);
  return fakeNvml().eventSetsMade;
}
EXPORTED int fakeNvmlRegistrations(void) {
  const Lock lock(fakeNvml().mutex);
  std::size_t count = 0;
  for (const auto& set : fakeNvml().eventSets) count += set->registrations.size();
  return static_cast<int>(count);
}

EXPORTED Return nvmlInit_v2(void) {
  auto& state = fakeNvml();
  const Lock lock(state.mutex);
  if (!state.loaded) {
    const char* path = std::getenv("RAILHEAD_FAKE_NVML");  // NOLINT(concurrency-mt-unsafe)
    if (path == nullptr) return kDriverNotLoaded;
    const std::string problem = state.load(path);
    if (!problem.empty()) {
      std::fprintf(stderr, "fake NVML: %s\n", problem.c_str());
      return kUnknown;
    }
  }
  state.readControlFile();
  if (state.failInit != kSuccess) return state.failInit;
  ++state.sessions;
  return kSuccess;
}

EXPORTED Return nvmlShutdown(void) {
  auto& state = fakeNvml();
  const Lock lock(state.mutex);
  if (state.sessions == 0) return kUninitialized;
  if (--state.sessions == 0) state.eventSets.clear();
  return kSuccess;
}

EXPORTED Return nvmlSystemGetDriverVersion(char* out, unsigned int size) {
  return onSystem(out, __func__, [&](const Json& value) { return copyText(value, out, size); });
}
EXPORTED Return nvmlSystemGetNVMLVersion(char* out, unsigned int size) {
  return onSystem(out, __func__, [&](const Json& value) { return copyText(value, out, size); });
}
EXPORTED Return nvmlSystemGetCudaDriverVersion_v2(int* out) {
  return onSystem(out, __func__, [&](const Json& value) {
    *out = static_cast<int>(number(value).value_or(0));
    return kSuccess;
  });
}

EXPORTED Return nvmlDeviceGetCount_v2(unsigned int* out) {
  auto& state = fakeNvml();
  const Lock lock(state.mutex);
  if (state.sessions == 0) return kUninitialized;
  if (out == nullptr) return kInvalidArgument;
  *out = static_cast<unsigned int>(state.present().size());
  return kSuccess;
}
EXPORTED Return nvmlDeviceGetHandleByIndex_v2(unsigned int index, Device* out) {
  auto& state = fakeNvml();
  const Lock lock(state.mutex);
  if (state.sessions == 0) return kUninitialized;
  const auto devices = state.present();
  if (out == nullptr || index >= devices.size()) return kInvalidArgument;
  if (devices[index]->isLost()) return kGpuIsLost;
  *out = devices[index];
  return kSuccess;
}

EXPORTED Return nvmlDeviceGetName(Device device, char* out, unsigned int size) {
  return onDevice(device, out, __func__, [&](const Json& v) { return copyText(v, out, size); });
}
EXPORTED Return nvmlDeviceGetUUID(Device device, char* out, unsigned int size) {
  return onDevice(device, out, __func__, [&](const Json& v) { return copyText(v, out, size); });
}
#define SCALAR(call) \
  EXPORTED Return call(Device device, unsigned int* out) { return scalar(device, #call, out); }
SCALAR(nvmlDeviceGetMinorNumber)
SCALAR(nvmlDeviceGetNumaNodeId)
SCALAR(nvmlDeviceGetMaxMigDeviceCount)
SCALAR(nvmlDeviceGetGpuInstanceId)
SCALAR(nvmlDeviceGetComputeInstanceId)
SCALAR(nvmlDeviceGetCurrPcieLinkGeneration)
SCALAR(nvmlDeviceGetMaxPcieLinkGeneration)
SCALAR(nvmlDeviceGetCurrPcieLinkWidth)
SCALAR(nvmlDeviceGetMaxPcieLinkWidth)
SCALAR(nvmlDeviceGetRetiredPagesPendingStatus)
#undef SCALAR

EXPORTED Return nvmlDeviceGetPciInfo_v3(Device device, PciInfo* out) {
  return onDevice(device, out, __func__, [&](const Json& value) { return readPci(value, out); });
}
EXPORTED Return nvmlDeviceGetMemoryInfo(Device device, Memory* out) {
  return onDevice(device, out, __func__, [&](const Json& value) {
    member(value, "total", out->total);
    member(value, "free", out->free);
    member(value, "used", out->used);
    return kSuccess;
  });
}
EXPORTED Return nvmlDeviceGetMemoryInfo_v2(Device device, MemoryV2* out) {
  return onDevice(device, out, __func__, [&](const Json& value) {
    if (out->version != kMemoryV2Version) return Return{25};  // ARGUMENT_VERSION_MISMATCH
    member(value, "total", out->total);
    member(value, "reserved", out->reserved);
    member(value, "free", out->free);
    member(value, "used", out->used);
    return kSuccess;
  });
}
EXPORTED Return nvmlDeviceGetCudaComputeCapability(Device device, int* major, int* minor) {
  return onDevice(device, major, __func__, [&](const Json& value) {
    member(value, "major", *major);
    member(value, "minor", *minor);
    return kSuccess;
  });
}
EXPORTED Return nvmlDeviceGetMigMode(Device device, unsigned int* current, unsigned int* pending) {
  return pair(device, __func__, "current", "pending", current, pending);
}
EXPORTED Return nvmlDeviceGetEccMode(Device device, unsigned int* current, unsigned int* pending) {
  return pair(device, __func__, "current", "pending", current, pending);
}
EXPORTED Return nvmlDeviceGetMigDeviceHandleByIndex(Device device, unsigned int slot, Device* out) {
  auto& state = fakeNvml();
  const Lock lock(state.mutex);
  if (state.sessions == 0) return kUninitialized;
  if (device == nullptr || out == nullptr) return kInvalidArgument;
  if (device->isLost()) return kGpuIsLost;
  for (const auto& mig : device->migs) {
    if (mig->answers.value("slot", mig->index) != slot) continue;
    *out = mig.get();
    return kSuccess;
  }
  return kNotFound;
}
EXPORTED Return nvmlDeviceGetAttributes_v2(Device device, Attributes* out) {
  return onDevice(device, out, __func__, [&](const Json& value) {
    member(value, "multiprocessorCount", out->multiprocessorCount);
    member(value, "sharedCopyEngineCount", out->sharedCopyEngineCount);
    member(value, "sharedDecoderCount", out->sharedDecoderCount);
    member(value, "sharedEncoderCount", out->sharedEncoderCount);
    member(value, "sharedJpegCount", out->sharedJpegCount);
    member(value, "sharedOfaCount", out->sharedOfaCount);
    member(value, "gpuInstanceSliceCount", out->gpuInstanceSliceCount);
    member(value, "computeInstanceSliceCount", out->computeInstanceSliceCount);
    member(value, "memorySizeMB", out->memorySizeMB);
    return kSuccess;
  });
}
EXPORTED Return nvmlDeviceGetTopologyCommonAncestor(Device one, Device other, unsigned int* out) {
  if (other == nullptr) return kInvalidArgument;
  return entry(one, out, __func__, other->index, [&](const Json& value) {
    *out = static_cast<unsigned int>(number(value).value_or(0));
    return kSuccess;
  });
}
EXPORTED Return nvmlDeviceGetNvLinkState(Device device, unsigned int link, unsigned int* out) {
  return entry(device, out, __func__, link, [&](const Json& value) {
    *out = static_cast<unsigned int>(number(value).value_or(0));
    return kSuccess;
  });
}
EXPORTED Return nvmlDeviceGetNvLinkRemoteDeviceType(Device device, unsigned int link,
                                                    unsigned int* out) {
  return entry(device, out, __func__, link, [&](const Json& value) {
    *out = static_cast<unsigned int>(number(value).value_or(0xff));
    return kSuccess;
  });
}
EXPORTED Return nvmlDeviceGetNvLinkRemotePciInfo_v2(Device device, unsigned int link,
                                                    PciInfo* out) {
  return entry(device, out, __func__, link, [&](const Json& v) { return readPci(v, out); });
}
EXPORTED Return nvmlDeviceGetTotalEccErrors(Device device, unsigned int type, unsigned int counter,
                                            unsigned long long* out) {
  return onDevice(device, out, __func__, [&](const Json& value) {
    if (type > 1 || counter > 1) return kInvalidArgument;
    const char* keys[2][2] = {{"volatileCorrected", "aggregateCorrected"},
                              {"volatileUncorrected", "aggregateUncorrected"}};
    member(value, keys[type][counter], *out);
    return kSuccess;
  });
}
EXPORTED Return nvmlDeviceGetRemappedRows(Device device, unsigned int* corrected,
                                          unsigned int* uncorrected, unsigned int* pending,
                                          unsigned int* failure) {
  return onDevice(device, corrected, __func__, [&](const Json& value) {
    member(value, "corrected", *corrected);
    member(value, "uncorrected", *uncorrected);
    member(value, "pending", *pending);
    member(value, "failure", *failure);
    return kSuccess;
  });
}
// Fields are keyed by their number; one that is not there is unknown to this driver.
EXPORTED Return nvmlDeviceGetFieldValues(Device device, int count, FieldValue* values) {
  return onDevice(device, values, __func__, [&](const Json& fields) {
    for (int i = 0; i < count; ++i) {
      Return code = kSuccess;
      const Json* value = answer(fields, std::to_string(values[i].fieldId).c_str(), code);
      values[i].nvmlReturn = code;
      if (value == nullptr) continue;
      values[i].valueType = kFieldUnsignedInt;
      values[i].value.unsignedInt = static_cast<unsigned int>(number(*value).value_or(0));
    }
    return kSuccess;
  });
}

EXPORTED Return nvmlDeviceGetSupportedEventTypes(Device device, unsigned long long* out) {
  return scalar(device, __func__, out);
}
EXPORTED Return nvmlEventSetCreate(EventSet* out) {
  auto& state = fakeNvml();
  const Lock lock(state.mutex);
  if (state.sessions == 0) return kUninitialized;
  if (out == nullptr) return kInvalidArgument;
  state.eventSets.push_back(std::make_unique<EventSetOpaque>());
  ++state.eventSetsMade;
  *out = state.eventSets.back().get();
  return kSuccess;
}
EXPORTED Return nvmlEventSetFree(EventSet set) {
  auto& state = fakeNvml();
  const Lock lock(state.mutex);
  if (state.sessions == 0) return kUninitialized;
  const auto removed =
      std::erase_if(state.eventSets, [&](const auto& each) { return each.get() == set; });
  return removed == 1 ? kSuccess : kInvalidArgument;
}
EXPORTED Return nvmlDeviceRegisterEvents(Device device, unsigned long long types, EventSet set) {
  auto& state = fakeNvml();
  const Lock lock(state.mutex);
  if (state.sessions == 0) return kUninitialized;
  auto* found = state.find(set);
  if (device == nullptr || found == nullptr || types == 0) return kInvalidArgument;
  if (device->isLost()) return kGpuIsLost;
  Return code = kSuccess;
  const Json* supported = answer(device->answers, "nvmlDeviceGetSupportedEventTypes", code);
  if (supported == nullptr) return code;
  // What a recorder saw for each type on its own: {"8": 0, "2": 3}.
  const auto recorded = device->answers.find("nvmlDeviceRegisterEvents");
  for (int bit = 0; bit < 64; ++bit) {
    const unsigned long long type = 1ULL << bit;
    if ((types & type) == 0) continue;
    if ((number(*supported).value_or(0) & type) == 0) return kNotSupported;
    if (recorded == device->answers.end() || !recorded->is_object()) continue;
    const Return seen = recorded->value(std::to_string(type), kSuccess);
    if (seen != kSuccess) return seen;
  }
  found->registrations.push_back({device, types});
  return kSuccess;
}
EXPORTED Return nvmlEventSetWait_v2(EventSet set, EventData* out, unsigned int timeoutMs) {
  auto& state = fakeNvml();
  Lock lock(state.mutex);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeoutMs);
  for (;;) {
    if (state.sessions == 0) return kUninitialized;
    state.readControlFile();
    auto* found = state.find(set);
    if (out == nullptr || found == nullptr) return kInvalidArgument;
    if (!found->queue.empty()) {
      *out = found->queue.front();
      found->queue.pop_front();
      return kSuccess;
    }
    const auto& registered = found->registrations;
    if (std::any_of(registered.begin(), registered.end(),
                    [](const auto& each) { return each.device->isLost(); }))
      return kGpuIsLost;
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) return kTimeout;
    state.changed.wait_until(lock, state.hasControlFile()
                                       ? std::min(deadline, now + std::chrono::milliseconds(20))
                                       : deadline);
  }
}

// The fake's calls have the types that the client calls them by.
#define SAME_TYPE(member, symbol, arguments) \
  static_assert(std::is_same_v<decltype(symbol), Return arguments>);
RAILHEAD_NVML_CALLS(SAME_TYPE)
#undef SAME_TYPE
