#include "src/gpu/cuda/context.h"

#include "src/base/units.h"
#include "src/gpu/cuda/driver.h"

#include <array>
#include <cstring>

#include <unistd.h>

namespace railhead::gpu::cuda {

Context::Current::Current(const Context& context) : context_(context) {
  const Driver& driver = *context.driver_;
  const abi::Return code = driver.pushCurrent(static_cast<abi::Context>(context.handle_));
  if (code == abi::kSuccess) return;
  result_ =
      driver.error(code, "make CUDA device " + std::to_string(context.facts_.ordinal) + " current");
}

Context::Current::~Current() {
  abi::Context left = nullptr;
  if (result_) context_.driver_->popCurrent(&left);
}

Result<std::shared_ptr<const Context>> Context::retain(std::shared_ptr<const Driver> driver,
                                                       DeviceFacts facts) {
  const std::string what =
      "open CUDA device " + std::to_string(facts.ordinal) + " (" + facts.name + ")";
  const std::shared_ptr<Context> context(new Context(std::move(driver), std::move(facts)));
  const Driver& calls = *context->driver_;
  RAILHEAD_TRY(
      calls.check(calls.deviceByOrdinal(&context->device_, context->facts_.ordinal), what));
  abi::Context handle = nullptr;
  RAILHEAD_TRY(calls.check(calls.retainPrimary(&handle, context->device_), what));
  context->handle_ = handle;
  return std::shared_ptr<const Context>(context);
}

Context::~Context() {
  if (handle_ != nullptr) driver_->releasePrimary(device_);
}

Result<MemoryRoom> Context::room() const {
  const Current current(*this);
  RAILHEAD_TRY(current.result());
  std::size_t free = 0;
  std::size_t total = 0;
  RAILHEAD_TRY(driver_->check(driver_->memoryInfo(&free, &total), "ask for free device memory"));
  return MemoryRoom{free, total};
}

Result<DeviceMemory> Context::allocate(std::size_t bytes) const {
  const Current current(*this);
  RAILHEAD_TRY(current.result());
  abi::DevicePointer address = 0;
  const abi::Return code = driver_->allocate(&address, bytes);
  if (code != abi::kSuccess) {
    Error error = driver_->error(code, "allocate " + formatBytes(bytes) + " on " + facts_.name);
    std::size_t free = 0;
    std::size_t total = 0;
    if (code == abi::kOutOfMemory && driver_->memoryInfo(&free, &total) == abi::kSuccess)
      error.message += "; " + formatBytes(free) + " of " + formatBytes(total) + " are free";
    return error;
  }
  const auto destroy = [](const Context& context, std::uint64_t dying) {
    const Current now(context);
    if (now.result()) context.driver().free(dying);
  };
  return DeviceMemory({shared_from_this(), address, destroy}, bytes);
}

Result<PinnedMemory> Context::allocatePinned(std::size_t bytes) const {
  const Current current(*this);
  RAILHEAD_TRY(current.result());
  const std::string what = "allocate " + formatBytes(bytes) + " of pinned host memory";
  void* memory = nullptr;
  RAILHEAD_TRY(driver_->check(
      driver_->allocateHost(&memory, bytes, abi::kHostAllocPortable | abi::kHostAllocDeviceMap),
      what));
  Owned<void*> owned(shared_from_this(), memory, [](const Context& context, void* dying) {
    const Current now(context);
    if (now.result()) context.driver().freeHost(dying);
  });
  abi::DevicePointer address = 0;
  RAILHEAD_TRY(driver_->check(driver_->hostDevicePointer(&address, memory, 0), what));
  return PinnedMemory(std::move(owned), address, bytes);
}

Result<Stream> Context::createStream() const {
  const Current current(*this);
  RAILHEAD_TRY(current.result());
  abi::Stream stream = nullptr;
  RAILHEAD_TRY(driver_->check(driver_->createStream(&stream, abi::kStreamNonBlocking),
                              "create a CUDA stream"));
  return Stream({shared_from_this(), stream, [](const Context& context, void* dying) {
                   const Current now(context);
                   if (now.result())
                     context.driver().destroyStream(static_cast<abi::Stream>(dying));
                 }});
}

Result<Event> Context::createEvent(bool timing) const {
  const Current current(*this);
  RAILHEAD_TRY(current.result());
  abi::Event event = nullptr;
  RAILHEAD_TRY(driver_->check(
      driver_->createEvent(&event, timing ? abi::kEventDefault : abi::kEventDisableTiming),
      "create a CUDA event"));
  return Event({shared_from_this(), event, [](const Context& context, void* dying) {
                  const Current now(context);
                  if (now.result()) context.driver().destroyEvent(static_cast<abi::Event>(dying));
                }});
}

Result<void> Context::recordOn(void* stream, const Event& event) const {
  const Current current(*this);
  RAILHEAD_TRY(current.result());
  return driver_->check(driver_->recordEvent(static_cast<abi::Event>(event.handle()),
                                             static_cast<abi::Stream>(stream)),
                        "record an event");
}

Result<void> Context::letFollow(void* stream, const Event& event) const {
  const Current current(*this);
  RAILHEAD_TRY(current.result());
  return driver_->check(driver_->waitEvent(static_cast<abi::Stream>(stream),
                                           static_cast<abi::Event>(event.handle()), 0),
                        "let a stream wait for an event");
}

Result<Module> Context::load(const std::string& ptx) const {
  const Current current(*this);
  RAILHEAD_TRY(current.result());
  std::array<char, 4096> log{};
  std::array<int, 2> options{abi::kJitErrorLog, abi::kJitErrorLogBytes};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): CUDA takes this number in place of a pointer
  std::array<void*, 2> values{log.data(), reinterpret_cast<void*>(log.size())};
  abi::Module module = nullptr;
  const abi::Return code =
      driver_->loadModule(&module, ptx.c_str(), options.size(), options.data(), values.data());
  if (code != abi::kSuccess) {
    Error error = driver_->error(code, "compile kernels for " + facts_.name);
    const std::string said(log.data(), ::strnlen(log.data(), log.size()));
    if (!said.empty()) error.message += ": " + said;
    return error;
  }
  return Module({shared_from_this(), module, [](const Context& context, void* dying) {
                   const Current now(context);
                   if (now.result()) context.driver().unloadModule(static_cast<abi::Module>(dying));
                 }});
}

Result<os::UniqueFd> Context::exportDmabuf(std::uint64_t address, std::size_t bytes) const {
  const std::string what = "export device memory as dma-buf";
  if (driver_->rangeHandle == nullptr) {
    return Error(ErrorCode::kUnsupported, what + ": this driver is older than CUDA 11.7",
                 "update the NVIDIA driver, or load nvidia-peermem");
  }
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (address % page != 0 || bytes % page != 0 || bytes == 0) {
    return Error(ErrorCode::kInvalidArgument,
                 what + ": start and size must be multiples of " + formatBytes(page));
  }
  if (facts_.dmaBuf == false) {
    return Error(
        ErrorCode::kUnsupported,
        what + ": " + facts_.name + " cannot (CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED is 0)");
  }
  const Current current(*this);
  RAILHEAD_TRY(current.result());
  int fd = -1;
  RAILHEAD_TRY(
      driver_->check(driver_->rangeHandle(&fd, address, bytes, abi::kRangeHandleDmaBuf, 0), what));
  return os::UniqueFd(fd);
}

Result<void> Context::orderWithRemoteAccess(std::uint64_t address) const {
  const Current current(*this);
  RAILHEAD_TRY(current.result());
  const unsigned int on = 1;
  return driver_->check(driver_->setPointerAttribute(&on, abi::kPointerSyncMemops, address),
                        "order copies with a NIC's");
}

Result<void> Context::flushRemoteWrites() const {
  const std::string what = "flush a NIC's writes";
  if (driver_->flushRemoteWrites == nullptr)
    return Error(ErrorCode::kUnsupported, what + ": this driver is older than CUDA 11.3");
  const Current current(*this);
  RAILHEAD_TRY(current.result());
  return driver_->check(driver_->flushRemoteWrites(abi::kFlushCurrentContext, abi::kFlushToOwner),
                        what);
}

Result<bool> Event::passed() const {
  const Driver& driver = owned_.context().driver();
  const abi::Return code = driver.queryEvent(static_cast<abi::Event>(owned_.get()));
  if (code == abi::kNotReady) return false;
  RAILHEAD_TRY(driver.check(code, "work on " + owned_.context().facts().name));
  return true;
}

Result<double> Event::secondsBetween(const Event& from, const Event& to) {
  const Driver& driver = from.owned_.context().driver();
  float milliseconds = 0;
  RAILHEAD_TRY(
      driver.check(driver.elapsedTime(&milliseconds, static_cast<abi::Event>(from.handle()),
                                      static_cast<abi::Event>(to.handle())),
                   "read the time between two CUDA events"));
  return static_cast<double>(milliseconds) / 1e3;
}

Result<Kernel> Module::kernel(const std::string& name) const {
  const Driver& driver = owned_.context().driver();
  const Context::Current current(owned_.context());
  RAILHEAD_TRY(current.result());
  abi::Function function = nullptr;
  RAILHEAD_TRY(driver.check(
      driver.moduleFunction(&function, static_cast<abi::Module>(owned_.get()), name.c_str()),
      "find the kernel " + name));
  return Kernel(function);
}

}  // namespace railhead::gpu::cuda
