#include "src/verbs/system_verbs.h"

#include "src/os/dynamic_library.h"
#include "src/verbs/ibv_handles.h"
#include "src/verbs/ibv_queue_pair.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/resource.h>

namespace railhead::verbs {
namespace {

constexpr std::string_view kMemlockRemedy =
    "lift the locked-memory limit: `ulimit -l unlimited` in a shell, the IPC_LOCK capability in a "
    "pod, LimitMEMLOCK=infinity for the container runtime's service; if it is unlimited already, "
    "memory itself is short";

std::string memlockLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return "unknown";
  return limit.rlim_cur == RLIM_INFINITY ? "unlimited" : formatBytes(limit.rlim_cur);
}

constexpr int kAccess = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;

// ibv_reg_dmabuf_mr came with rdma-core 34; an older library starts this program all the same.
using RegisterDmabuf = ibv_mr*(ibv_pd*, std::uint64_t, std::size_t, std::uint64_t, int, int);
Result<RegisterDmabuf*> dmabufCall() {
  RAILHEAD_TRY_ASSIGN(const auto library,
                      os::DynamicLibrary::open({"libibverbs.so.1"}, os::Unload::kNever));
  auto* call = library.find<RegisterDmabuf>("ibv_reg_dmabuf_mr");
  if (call != nullptr) return call;
  return Error(ErrorCode::kUnsupported, library.path() + " lacks ibv_reg_dmabuf_mr",
               "install rdma-core 34 or newer, or load nvidia-peermem");
}

class IbvRegion final : public MemoryRegion {
 public:
  // `memory`: of this process; for another device's memory `device` says where it is.
  IbvRegion(std::span<std::byte> memory, std::shared_ptr<ibv_mr> mr)
      : memory_(memory),
        span_{reinterpret_cast<std::uintptr_t>(memory.data()), memory.size()},
        mr_(std::move(mr)) {}
  IbvRegion(const DeviceSpan& device, std::shared_ptr<ibv_mr> mr)
      : span_(device), mr_(std::move(mr)) {}
  std::span<std::byte> bytes() const override { return memory_; }
  std::uint64_t address() const override { return span_.address; }
  std::size_t size() const override { return span_.size; }
  std::uint32_t localKey() const override { return mr_->lkey; }
  std::uint32_t remoteKey() const override { return mr_->rkey; }

 private:
  std::span<std::byte> memory_;
  DeviceSpan span_;
  std::shared_ptr<ibv_mr> mr_;
};

// What a driver says when it does not know the call or cannot do it with this device.
bool meansUnsupported(int code) {
  return code == EOPNOTSUPP || code == ENOSYS || code == EPROTONOSUPPORT || code == ENOTTY;
}

class IbvContext final : public DeviceContext {
 public:
  explicit IbvContext(OpenDevice device) : device_(std::move(device)) {}
  const DeviceInfo& info() const override { return device_.info; }

  Result<std::unique_ptr<MemoryRegion>> registerMemory(std::span<std::byte> memory) override {
    ibv_mr* mr = ibv_reg_mr(device_.pd.get(), memory.data(), memory.size(), kAccess);
    if (mr == nullptr) {
      const int code = errno;
      Error error = Error::fromErrno(
          code, "register " + formatBytes(memory.size()) + " with " + device_.info.name);
      if (code == ENOMEM) {
        error.message += " (locked-memory limit: " + memlockLimit() + ")";
        error.withRemedy(kMemlockRemedy);
      }
      return error;
    }
    return std::make_unique<IbvRegion>(memory, own(mr, ibv_dereg_mr, device_.pd));
  }

  Result<std::unique_ptr<MemoryRegion>> registerDmabuf(int fd, std::uint64_t offset,
                                                       const DeviceSpan& memory) override {
    RAILHEAD_TRY_ASSIGN(auto* const call, dmabufCall());
    ibv_mr* mr = call(device_.pd.get(), offset, memory.size, memory.address, fd, kAccess);
    if (mr != nullptr)
      return std::make_unique<IbvRegion>(memory, own(mr, ibv_dereg_mr, device_.pd));
    const int code = errno;
    Error error = Error::fromErrno(
        code, "register a dma-buf of " + formatBytes(memory.size) + " with " + device_.info.name);
    if (meansUnsupported(code)) {
      error.code = ErrorCode::kUnsupported;
      error.withRemedy("dma-buf needs Linux 5.12 and a NIC driver that imports it (mlx5)");
    }
    return error;
  }

  Result<std::unique_ptr<MemoryRegion>> registerDevicePointer(const DeviceSpan& memory) override {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of the device's
    auto* const start = reinterpret_cast<void*>(memory.address);
    ibv_mr* mr = ibv_reg_mr(device_.pd.get(), start, memory.size, kAccess);
    if (mr != nullptr)
      return std::make_unique<IbvRegion>(memory, own(mr, ibv_dereg_mr, device_.pd));
    const int code = errno;
    Error error = Error::fromErrno(code, "register " + formatBytes(memory.size) +
                                             " of device memory with " + device_.info.name);
    if (code == EFAULT || meansUnsupported(code)) {  // nobody translates such addresses
      error.code = ErrorCode::kUnsupported;
      error.withRemedy("load the kernel module nvidia-peermem, or use dma-buf");
    }
    return error;
  }

  Result<std::unique_ptr<CompletionQueue>> createCompletionQueue(int depth) override {
    return openCompletionQueue(device_, depth);
  }

  Result<std::unique_ptr<QueuePair>> createQueuePair(CompletionQueue& queue,
                                                     const QueuePairSize& size) override {
    return openQueuePair(device_, queue, size);
  }

 private:
  OpenDevice device_;
};

struct DeviceList {
  std::unique_ptr<ibv_device*, void (*)(ibv_device**)> owner{nullptr, ibv_free_device_list};
  std::vector<ibv_device*> devices;
};

Result<DeviceList> deviceList() {
  int count = 0;
  DeviceList list;
  list.owner.reset(ibv_get_device_list(&count));
  if (!list.owner) {
    if (errno == ENOSYS || errno == ENOENT) return list;  // a kernel without RDMA: no devices
    return Error::fromErrno(errno, "list RDMA devices");
  }
  list.devices.assign(list.owner.get(), list.owner.get() + count);
  std::sort(list.devices.begin(), list.devices.end(), [](ibv_device* a, ibv_device* b) {
    return std::string_view(ibv_get_device_name(a)) < ibv_get_device_name(b);
  });
  return list;
}

Result<std::shared_ptr<ibv_context>> openContext(ibv_device* device) {
  errno = 0;
  ibv_context* context = ibv_open_device(device);
  if (context == nullptr) {
    return Error::fromErrno(errno != 0 ? errno : ENODEV,
                            std::string("open RDMA device ") + ibv_get_device_name(device))
        .withRemedy("the process needs its node below /dev/infiniband and the right to open it");
  }
  return std::shared_ptr<ibv_context>(context, [](ibv_context* dying) { ibv_close_device(dying); });
}

}  // namespace

Result<std::vector<DeviceInfo>> SystemVerbs::listDevices() {
  RAILHEAD_TRY_ASSIGN(const DeviceList list, deviceList());
  std::vector<DeviceInfo> out;
  for (ibv_device* device : list.devices) {
    const auto info = [&]() -> Result<DeviceInfo> {
      RAILHEAD_TRY_ASSIGN(const auto context, openContext(device));
      return queryDevice(*context);
    }();
    if (info.has_value()) {
      out.push_back(*info);
    } else {
      DeviceInfo broken;
      broken.name = ibv_get_device_name(device);
      broken.problem = info.error().describe();
      out.push_back(std::move(broken));
    }
  }
  return out;
}

Result<std::unique_ptr<DeviceContext>> SystemVerbs::open(const std::string& device) {
  RAILHEAD_TRY_ASSIGN(const DeviceList list, deviceList());
  std::string present;
  for (ibv_device* each : list.devices) {
    const std::string name = ibv_get_device_name(each);
    present += (present.empty() ? "" : ", ") + name;
    if (name != device) continue;
    OpenDevice opened;
    RAILHEAD_TRY_ASSIGN(opened.context, openContext(each));
    RAILHEAD_TRY_ASSIGN(opened.info, queryDevice(*opened.context));
    ibv_pd* pd = ibv_alloc_pd(opened.context.get());
    if (pd == nullptr) return Error::fromErrno(errno, "allocate a protection domain on " + name);
    opened.pd = own(pd, ibv_dealloc_pd, opened.context);
    return std::make_unique<IbvContext>(std::move(opened));
  }
  return Error(ErrorCode::kNotFound, "no RDMA device " + device + " (there are: " +
                                         (present.empty() ? "none" : present) + ")");
}

}  // namespace railhead::verbs
