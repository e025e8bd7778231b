// The exported calls of the fake. Each checks what CUDA checks, in its order: initialised, a
// current context, one that is not spoiled, the arguments.
#include "tests/support/fake_cuda/control.h"
#include "tests/support/fake_cuda/state.h"

#include <algorithm>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

using namespace railhead::gpu::cuda::abi;   // NOLINT: this file is CUDA's interface
using namespace railhead::testing_support;  // NOLINT
#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

using Lock = std::unique_lock<std::mutex>;

thread_local std::string message;
thread_local std::vector<Context> current;

std::uintptr_t number(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }
// NOLINTNEXTLINE(performance-no-int-to-ptr): device addresses are numbers
void* pointer(DevicePointer address) { return reinterpret_cast<void*>(address); }

// What every call checks first. `lock` is held afterwards.
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

#define ENTER(needsContext) \
  Lock lock;                \
  if (const Return code = enter(__func__, lock, needsContext); code != kSuccess) return code

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

std::shared_ptr<StreamOpaque> streamOf(Stream stream) {
  if (stream == nullptr && !current.empty()) {
    auto& made = fakeCuda().defaultStreams[current.back()];
    if (made == nullptr) made = std::make_shared<StreamOpaque>(current.back());
    return made;
  }
  const auto found = fakeCuda().streams.find(stream);
  return found == fakeCuda().streams.end() ? nullptr : found->second;
}

// A span of device memory that work on this stream will touch.
struct Span {
  std::uintptr_t address;
  std::size_t bytes;
};

// With the lock held. Work on memory that is not there spoils the context, as on a device, later:
// the call itself succeeds.
Return start(Stream handle, const std::vector<Span>& spans, std::function<void()> work) {
  const auto stream = streamOf(handle);
  if (stream == nullptr) return kInvalidHandle;
  for (const Span& span : spans) {
    if (span.bytes == 0 || fakeCuda().covers(span.address, span.bytes)) continue;
    Context context = stream->context;
    work = [context] { context->spoiled = kIllegalAddress; };
  }
  stream->push(std::move(work));
  return kSuccess;
}

std::int64_t nowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
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

EXPORTED Return cuStreamCreate(Stream* out, unsigned int) {
  ENTER(true);
  auto stream = std::make_shared<StreamOpaque>(current.back());
  *out = stream.get();
  fakeCuda().streams[stream.get()] = std::move(stream);
  return kSuccess;
}
EXPORTED Return cuStreamDestroy_v2(Stream stream) {
  ENTER(true);
  const auto dying = streamOf(stream);
  if (dying == nullptr) return kInvalidHandle;
  fakeCuda().streams.erase(stream);
  lock.unlock();
  dying->drain();
  return kSuccess;
}
EXPORTED Return cuStreamQuery(Stream stream) {
  ENTER(true);
  const auto found = streamOf(stream);
  if (found == nullptr) return kInvalidHandle;
  if (!found->idle()) return kNotReady;
  return found->context->spoiled;  // by work that ended since this call began, too
}

EXPORTED Return cuEventCreate(Event* out, unsigned int flags) {
  ENTER(true);
  auto event = std::make_shared<EventOpaque>();
  event->context = current.back();
  event->timing = flags != kEventDisableTiming;
  *out = event.get();
  fakeCuda().events[event.get()] = std::move(event);
  return kSuccess;
}
EXPORTED Return cuEventDestroy_v2(Event event) {
  ENTER(true);
  return fakeCuda().events.erase(event) == 1 ? kSuccess : kInvalidHandle;
}
EXPORTED Return cuEventRecord(Event event, Stream stream) {
  ENTER(true);
  const auto found = fakeCuda().events.find(event);
  if (found == fakeCuda().events.end()) return kInvalidHandle;
  const auto mark = found->second;
  ++mark->pending;
  const int record = mark->recorded + 1;
  const Return code = start(stream, {}, [mark, record] {
    mark->passedNs = nowNs();
    mark->passed = record;
    --mark->pending;
  });
  if (code == kSuccess) {
    mark->recorded = record;
  } else {
    --mark->pending;
  }
  return code;
}
EXPORTED Return cuStreamWaitEvent(Stream stream, Event event, unsigned int) {
  ENTER(true);
  const auto found = fakeCuda().events.find(event);
  if (found == fakeCuda().events.end()) return kInvalidHandle;
  // As it was last recorded: later records do not count.
  const auto mark = found->second;
  const int record = mark->recorded;
  return start(stream, {}, [mark, record] {
    while (mark->passed < record) std::this_thread::yield();
  });
}
EXPORTED Return cuEventQuery(Event event) {
  ENTER(false);
  const auto found = fakeCuda().events.find(event);
  if (found == fakeCuda().events.end()) return kInvalidHandle;
  if (const Return spoiled = found->second->context->spoiled; spoiled != kSuccess) return spoiled;
  return found->second->pending == 0 ? kSuccess : kNotReady;
}
EXPORTED Return cuEventElapsedTime(float* out, Event from, Event to) {
  ENTER(false);
  const auto& events = fakeCuda().events;
  const auto first = events.find(from);
  const auto last = events.find(to);
  if (first == events.end() || last == events.end()) return kInvalidHandle;
  if (!first->second->timing || !last->second->timing) return kInvalidHandle;
  if (first->second->pending != 0 || last->second->pending != 0) return kNotReady;
  *out = static_cast<float>(last->second->passedNs - first->second->passedNs) / 1e6F;
  return kSuccess;
}

EXPORTED Return cuModuleLoadDataEx(Module* out, const void* image, unsigned int, int*, void**) {
  ENTER(true);
  auto module = std::make_unique<ModuleOpaque>();
  module->context = current.back();
  module->functions = ptxEntries(static_cast<const char*>(image));
  if (module->functions.empty()) return kInvalidPtx;
  *out = module.get();
  fakeCuda().modules[module.get()] = std::move(module);
  return kSuccess;
}
EXPORTED Return cuModuleUnload(Module module) {
  ENTER(true);
  return fakeCuda().modules.erase(module) == 1 ? kSuccess : kInvalidHandle;
}
EXPORTED Return cuModuleGetFunction(Function* out, Module module, const char* name) {
  ENTER(true);
  const auto found = fakeCuda().modules.find(module);
  if (found == fakeCuda().modules.end()) return kInvalidHandle;
  for (const auto& function : found->second->functions) {
    if (function->name != name) continue;
    *out = function.get();
    return kSuccess;
  }
  return kNotFound;
}
EXPORTED Return cuLaunchKernel(Function function, unsigned int blocks, unsigned int, unsigned int,
                               unsigned int threads, unsigned int, unsigned int, unsigned int,
                               Stream stream, void** arguments, void**) {
  ENTER(true);
  if (function == nullptr || blocks == 0 || threads == 0 || threads > 1024) return kInvalidValue;
  std::map<std::string, std::uint64_t> values;
  for (std::size_t i = 0; i < function->parameters.size(); ++i) {
    std::uint64_t value = 0;
    std::memcpy(&value, arguments[i], function->parameters[i].bytes);
    values[function->parameters[i].name] = value;
  }
  auto run = kernelRun(function->name, values);
  if (!run) return kNotFound;
  std::vector<Span> spans;
  for (const auto& [address, bytes] : run->spans) spans.push_back({address, bytes});
  return start(stream, spans, std::move(run->work));
}
