// The exported calls for devices, contexts and memory.
#include "tests/support/fake_cuda/entry.h"

#include <algorithm>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

namespace railhead::testing_support {

Return enter(const char* call, Lock& lock, bool needsContext) {
  auto& state = fakeCuda();
  lock = Lock(state.mutex);
  if (!state.initialised) return kNotInitialized;
  if (needsContext) {
    if (current.empty() || current.back() == nullptr) return kInvalidContext;
    if (const Return spoiled = current.back()->spoiled; spoiled != kSuccess) return spoiled;
  }
  return state.takeFailure(call);
}

}  // namespace railhead::testing_support

namespace {

thread_local std::string message;

std::uintptr_t number(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }
// NOLINTNEXTLINE(performance-no-int-to-ptr): device addresses are numbers
void* pointer(DevicePointer address) { return reinterpret_cast<void*>(address); }

FakeDevice* deviceOf(Device device) {
  auto& devices = fakeCuda().devices;
  const auto index = static_cast<std::size_t>(device);
  return device >= 0 && index < devices.size() ? devices[index].get() : nullptr;
}

Return copyText(const std::string& text, char* out, int size) {
  if (out == nullptr || size <= 0) return kInvalidValue;
  const std::size_t bytes = std::min(text.size(), static_cast<std::size_t>(size) - 1);
  std::memcpy(out, text.data(), bytes);
  out[bytes] = '\0';
  return kSuccess;
}

// Memory that can be handed out as a file, too.
bool map(std::size_t bytes, FakeAllocation& allocation, void*& memory) {
  allocation.bytes = bytes;
  allocation.fd = ::memfd_create("fake-cuda", MFD_CLOEXEC);
  if (allocation.fd < 0) return false;
  memory = MAP_FAILED;
  if (::ftruncate(allocation.fd, static_cast<off_t>(bytes)) == 0)
    memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, allocation.fd, 0);
  if (memory != MAP_FAILED) return true;
  ::close(allocation.fd);
  return false;
}

Return allocate(std::size_t bytes, bool pinned, void*& memory) {
  auto& state = fakeCuda();
  const Device device = current.back()->device;
  if (bytes == 0) return kInvalidValue;
  const FakeDevice& owner = *deviceOf(device);
  if (!pinned && (owner.memory < state.used(device) || bytes > owner.memory - state.used(device)))
    return kOutOfMemory;
  FakeAllocation allocation;
  allocation.device = device;
  allocation.pinned = pinned;
  if (!map(bytes, allocation, memory)) return kOutOfMemory;
  state.allocations[number(memory)] = allocation;
  return kSuccess;
}

Return release(Lock& lock, std::uintptr_t address, bool pinned) {
  auto& state = fakeCuda();
  auto found = state.allocations.find(address);
  if (found == state.allocations.end() || found->second.pinned != pinned) return kInvalidValue;
  const auto streams = state.streamsOf(found->second.device);
  lock.unlock();  // the work that is waited for may take its time
  for (const auto& stream : streams) stream->drain();
  lock.lock();
  found = state.allocations.find(address);
  if (found == state.allocations.end()) return kInvalidValue;
  ::munmap(pointer(address), found->second.bytes);
  ::close(found->second.fd);
  state.allocations.erase(found);
  return kSuccess;
}

template <typename Objects>
void eraseOf(Objects& objects, const ContextOpaque& context) {
  std::erase_if(objects, [&](const auto& each) { return each.second->context == &context; });
}

// What its last owner left behind goes with it.
void closeContext(Lock& lock, ContextOpaque& context) {
  auto& state = fakeCuda();
  const auto streams = state.streamsOf(context.device);
  eraseOf(state.streams, context);
  std::shared_ptr<StreamOpaque> usual;
  if (const auto found = state.defaultStreams.find(&context); found != state.defaultStreams.end()) {
    usual = std::move(found->second);
    state.defaultStreams.erase(found);
  }
  lock.unlock();
  for (const auto& stream : streams) stream->drain();
  if (usual != nullptr) usual->drain();
  lock.lock();
  eraseOf(state.events, context);
  eraseOf(state.modules, context);
  std::erase_if(state.allocations, [&](const auto& each) {
    if (each.second.device != context.device) return false;
    ::munmap(pointer(each.first), each.second.bytes);
    ::close(each.second.fd);
    return true;
  });
  context.spoiled = kSuccess;
}

}  // namespace

EXPORTED int fakeCudaControl(const char* command) {
  const Lock lock(fakeCuda().mutex);
  message = fakeCuda().command(command);
  return message.empty() ? 0 : -1;
}
EXPORTED const char* fakeCudaMessage(void) { return message.c_str(); }
EXPORTED int fakeCudaObjects(void) {
  const Lock lock(fakeCuda().mutex);
  return fakeCuda().objects();
}
EXPORTED int fakeCudaEnqueue(void* stream, void (*run)(void*), void* argument) {
  const Lock lock(fakeCuda().mutex);
  return start(static_cast<Stream>(stream), {}, [run, argument] { run(argument); });
}
EXPORTED int fakeCudaCurrentDevice(void) {
  return current.empty() || current.back() == nullptr ? -1 : current.back()->device;
}

EXPORTED Return cuInit(unsigned int) {
  auto& state = fakeCuda();
  const Lock lock(state.mutex);
  if (state.failInit != kSuccess) return state.failInit;
  if (state.devices.empty()) return kNoDevice;
  state.initialised = true;
  return kSuccess;
}
EXPORTED Return cuDriverGetVersion(int* version) {
  *version = 13000;
  return kSuccess;
}

EXPORTED Return cuGetErrorName(Return code, const char** name) {
  static const std::map<Return, const char*> kNames{
      {kSuccess, "CUDA_SUCCESS"},
      {kInvalidValue, "CUDA_ERROR_INVALID_VALUE"},
      {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY"},
      {kNotInitialized, "CUDA_ERROR_NOT_INITIALIZED"},
      {kNoDevice, "CUDA_ERROR_NO_DEVICE"},
      {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT"},
      {kInvalidPtx, "CUDA_ERROR_INVALID_PTX"},
      {kNotFound, "CUDA_ERROR_NOT_FOUND"},
      {kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS"},
      {kNotSupported, "CUDA_ERROR_NOT_SUPPORTED"},
      {kDriverMismatch, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"}};
  const auto found = kNames.find(code);
  *name = found == kNames.end() ? nullptr : found->second;
  return found == kNames.end() ? kInvalidValue : kSuccess;
}
EXPORTED Return cuGetErrorString(Return code, const char** text) {
  const char* name = nullptr;
  if (cuGetErrorName(code, &name) != kSuccess) return kInvalidValue;
  *text = "as the fake says it";
  return kSuccess;
}

EXPORTED Return cuDeviceGetCount(int* count) {
  ENTER(false);
  *count = static_cast<int>(fakeCuda().devices.size());
  return kSuccess;
}
EXPORTED Return cuDeviceGet(Device* out, int ordinal) {
  ENTER(false);
  if (deviceOf(ordinal) == nullptr) return kInvalidDevice;
  *out = ordinal;
  return kSuccess;
}
EXPORTED Return cuDeviceGetName(char* out, int size, Device device) {
  ENTER(false);
  const FakeDevice* found = deviceOf(device);
  return found == nullptr ? kInvalidDevice : copyText(found->name, out, size);
}
EXPORTED Return cuDeviceGetUuid(Uuid* out, Device device) {
  ENTER(false);
  const FakeDevice* found = deviceOf(device);
  if (found == nullptr) return kInvalidDevice;
  *out = found->uuid;
  return kSuccess;
}
EXPORTED Return cuDeviceGetUuid_v2(Uuid* out, Device device) {
  return cuDeviceGetUuid(out, device);
}
EXPORTED Return cuDeviceTotalMem_v2(std::size_t* out, Device device) {
  ENTER(false);
  const FakeDevice* found = deviceOf(device);
  if (found == nullptr) return kInvalidDevice;
  *out = found->memory;
  return kSuccess;
}
EXPORTED Return cuDeviceGetAttribute(int* out, Attribute attribute, Device device) {
  ENTER(false);
  const FakeDevice* found = deviceOf(device);
  if (found == nullptr) return kInvalidDevice;
  const auto value = found->attributes.find(attribute);
  if (value == found->attributes.end()) return kInvalidValue;
  *out = value->second;
  return kSuccess;
}
EXPORTED Return cuDeviceGetPCIBusId(char* out, int size, Device device) {
  ENTER(false);
  const FakeDevice* found = deviceOf(device);
  return found == nullptr ? kInvalidDevice : copyText(found->pci, out, size);
}

EXPORTED Return cuDevicePrimaryCtxRetain(Context* out, Device device) {
  ENTER(false);
  FakeDevice* found = deviceOf(device);
  if (found == nullptr) return kInvalidDevice;
  ++found->context.retained;
  *out = &found->context;
  return kSuccess;
}
EXPORTED Return cuDevicePrimaryCtxRelease_v2(Device device) {
  ENTER(false);
  FakeDevice* found = deviceOf(device);
  if (found == nullptr || found->context.retained == 0) return kInvalidContext;
  if (--found->context.retained == 0) closeContext(lock, found->context);
  return kSuccess;
}
EXPORTED Return cuCtxPushCurrent_v2(Context context) {
  ENTER(false);
  if (context == nullptr || context->retained == 0) return kInvalidContext;
  current.push_back(context);
  return kSuccess;
}
EXPORTED Return cuCtxPopCurrent_v2(Context* out) {
  if (current.empty()) return kInvalidContext;
  if (out != nullptr) *out = current.back();
  current.pop_back();
  return kSuccess;
}

EXPORTED Return cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  ENTER(true);
  const Device device = current.back()->device;
  *total = deviceOf(device)->memory;
  *free = *total - std::min(*total, fakeCuda().used(device));
  return kSuccess;
}
EXPORTED Return cuMemAlloc_v2(DevicePointer* out, std::size_t bytes) {
  ENTER(true);
  void* memory = nullptr;
  const Return code = allocate(bytes, false, memory);
  if (code == kSuccess) *out = number(memory);
  return code;
}
EXPORTED Return cuMemFree_v2(DevicePointer address) {
  ENTER(true);
  return release(lock, address, false);
}
EXPORTED Return cuMemHostAlloc(void** out, std::size_t bytes, unsigned int) {
  ENTER(true);
  return allocate(bytes, true, *out);
}
EXPORTED Return cuMemFreeHost(void* memory) {
  ENTER(true);
  return release(lock, number(memory), true);
}
EXPORTED Return cuMemHostGetDevicePointer_v2(DevicePointer* out, void* memory, unsigned int) {
  ENTER(true);
  if (!fakeCuda().covers(number(memory), 1)) return kInvalidValue;
  *out = number(memory);
  return kSuccess;
}
EXPORTED Return cuPointerSetAttribute(const void* value, int attribute, DevicePointer address) {
  ENTER(true);
  if (value == nullptr || attribute != kPointerSyncMemops) return kInvalidValue;
  return fakeCuda().covers(address, 1) ? kSuccess : kInvalidValue;
}
EXPORTED Return cuMemGetHandleForAddressRange(void* out, DevicePointer address, std::size_t bytes,
                                              int kind, unsigned long long) {
  ENTER(true);
  const auto found = fakeCuda().allocations.find(address);
  if (kind != kRangeHandleDmaBuf || found == fakeCuda().allocations.end()) return kInvalidValue;
  if (bytes > found->second.bytes || bytes % 4096 != 0) return kInvalidValue;
  const auto& attributes = deviceOf(found->second.device)->attributes;
  const auto supported = attributes.find(kDmaBuf);
  if (supported == attributes.end() || supported->second == 0) return kNotSupported;
  *static_cast<int*>(out) = ::dup(found->second.fd);
  return kSuccess;
}
EXPORTED Return cuFlushGPUDirectRDMAWrites(int, int) {
  ENTER(true);
  return kSuccess;
}

EXPORTED Return cuMemcpyHtoDAsync_v2(DevicePointer to, const void* from, std::size_t bytes,
                                     Stream stream) {
  ENTER(true);
  return start(stream, {{to, bytes}}, [=] { std::memcpy(pointer(to), from, bytes); });
}
EXPORTED Return cuMemcpyDtoHAsync_v2(void* to, DevicePointer from, std::size_t bytes,
                                     Stream stream) {
  ENTER(true);
  return start(stream, {{from, bytes}}, [=] { std::memcpy(to, pointer(from), bytes); });
}
EXPORTED Return cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, std::size_t bytes,
                                     Stream stream) {
  ENTER(true);
  return start(stream, {{to, bytes}, {from, bytes}},
               [=] { std::memmove(pointer(to), pointer(from), bytes); });
}
EXPORTED Return cuMemsetD8Async(DevicePointer to, unsigned char value, std::size_t bytes,
                                Stream stream) {
  ENTER(true);
  return start(stream, {{to, bytes}}, [=] { std::memset(pointer(to), value, bytes); });
}
