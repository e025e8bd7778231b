#include "tests/support/fake_verbs.h"

#include "tests/support/fake_fabric.h"

#include <sys/mman.h>

namespace railhead::testing_support {
namespace {

template <typename Fabric>
class Region final : public verbs::MemoryRegion {
 public:
  Region(std::shared_ptr<Fabric> fabric, std::span<std::byte> memory, std::uint32_t key)
      : fabric_(std::move(fabric)),
        memory_(memory),
        span_{reinterpret_cast<std::uintptr_t>(memory.data()), memory.size()},
        key_(key) {}
  // Of another device; `mapped` is undone at the end.
  Region(std::shared_ptr<Fabric> fabric, const verbs::DeviceSpan& span, std::span<std::byte> mapped,
         std::uint32_t key)
      : fabric_(std::move(fabric)), mapped_(mapped), span_(span), key_(key) {}
  ~Region() override {
    const std::lock_guard lock(fabric_->mutex);
    fabric_->regions.erase(key_);
    if (!mapped_.empty()) ::munmap(mapped_.data(), mapped_.size());
  }
  std::span<std::byte> bytes() const override { return memory_; }
  std::uint64_t address() const override { return span_.address; }
  std::size_t size() const override { return span_.size; }
  std::uint32_t localKey() const override { return key_; }
  std::uint32_t remoteKey() const override { return key_; }

 private:
  std::shared_ptr<Fabric> fabric_;
  std::span<std::byte> memory_;
  std::span<std::byte> mapped_;
  verbs::DeviceSpan span_;
  std::uint32_t key_;
};

template <typename Fabric>
class Queue final : public verbs::CompletionQueue {
 public:
  explicit Queue(std::shared_ptr<Fabric> fabric) : fabric_(std::move(fabric)) {}

  Result<std::size_t> poll(std::span<Completion> out) override {
    const std::lock_guard lock(fabric_->mutex);
    std::size_t count = 0;
    auto& pending = state_->pending;
    while (count < out.size() && !pending.empty() && pending.begin()->first <= SteadyClock::now()) {
      out[count] = pending.begin()->second;
      pending.erase(pending.begin());
      const bool sendSide = out[count].kind != CompletionKind::kReceive &&
                            out[count].kind != CompletionKind::kReceiveImmediate;
      const auto pair = fabric_->pairs.find(out[count].queuePair);
      if (sendSide && pair != fabric_->pairs.end()) --pair->second->outstanding;
      ++count;
    }
    return count;
  }
  Result<void> arm() override {
    const std::lock_guard lock(fabric_->mutex);
    state_->armed = true;
    state_->startTimer();
    return {};
  }
  int eventFd() const override { return state_->timer.get(); }
  Result<void> clearEvents() override {
    const std::lock_guard lock(fabric_->mutex);
    state_->armed = false;
    std::uint64_t expirations = 0;
    if (::read(state_->timer.get(), &expirations, sizeof expirations) < 0 && errno != EAGAIN) {
      return Error::fromErrno(errno, "read completion events");
    }
    return {};
  }
  const std::shared_ptr<QueueState>& state() const { return state_; }

 private:
  std::shared_ptr<Fabric> fabric_;
  std::shared_ptr<QueueState> state_ = std::make_shared<QueueState>();
};

template <typename Fabric>
class Pair final : public verbs::QueuePair {
 public:
  Pair(std::shared_ptr<Fabric> fabric, std::shared_ptr<PairState> state)
      : fabric_(std::move(fabric)), state_(std::move(state)) {}
  ~Pair() override {
    const std::lock_guard lock(fabric_->mutex);
    fabric_->pairs.erase(state_->number);
  }
  std::uint32_t number() const override { return state_->number; }

  Result<void> connect(const verbs::QueuePairPath& path) override {
    const std::lock_guard lock(fabric_->mutex);
    if (state_->connected) return Error::fromErrno(EINVAL, "connect twice");
    state_->path = path;
    state_->connected = true;
    return {};
  }

  Result<void> postWrite(const verbs::WriteRequest& request) override {
    const std::lock_guard lock(fabric_->mutex);
    RAILHEAD_TRY(fabric_->admit(*state_));
    const auto fault = fabric_->takeFault(state_->device);
    if (fault && fault->kind == FaultKind::kStall) return {};
    fabric_->start(*state_, {request.id, CompletionKind::kWrite, request.source,
                             request.remoteAddress, request.remoteKey, request.immediate, fault});
    return {};
  }

  Result<void> postRead(const verbs::ReadRequest& request) override {
    const std::lock_guard lock(fabric_->mutex);
    RAILHEAD_TRY(fabric_->admit(*state_));
    const auto fault = fabric_->takeFault(state_->device);
    if (fault && fault->kind == FaultKind::kStall) return {};
    fabric_->start(*state_, {request.id, CompletionKind::kRead, request.target,
                             request.remoteAddress, request.remoteKey, std::nullopt, fault});
    return {};
  }

  Result<void> postSend(std::uint64_t id, const verbs::LocalSlice& source,
                        std::optional<std::uint32_t> immediate) override {
    const std::lock_guard lock(fabric_->mutex);
    RAILHEAD_TRY(fabric_->admit(*state_));
    const auto fault = fabric_->takeFault(state_->device);
    if (fault && fault->kind == FaultKind::kStall) return {};
    fabric_->start(*state_, {id, CompletionKind::kSend, source, 0, 0, immediate, fault});
    return {};
  }

  Result<void> postReceive(std::uint64_t id, const verbs::LocalSlice& target) override {
    const std::lock_guard lock(fabric_->mutex);
    if (state_->receives.size() >= state_->size.receiveDepth) {
      return Error::fromErrno(ENOMEM, "post a receive on " + state_->device);
    }
    state_->receives.push_back({id, fabric_->localBytes(target)});
    fabric_->resumePeerOf(*state_);
    return {};
  }

 private:
  std::shared_ptr<Fabric> fabric_;
  std::shared_ptr<PairState> state_;
};

template <typename Fabric>
class OpenFake final : public verbs::DeviceContext {
 public:
  OpenFake(std::shared_ptr<Fabric> fabric, verbs::DeviceInfo info, verbs::Gid gid)
      : fabric_(std::move(fabric)), info_(std::move(info)), gid_(gid) {}
  const verbs::DeviceInfo& info() const override { return info_; }

  Result<std::unique_ptr<verbs::MemoryRegion>> registerMemory(
      std::span<std::byte> memory) override {
    const std::lock_guard lock(fabric_->mutex);
    if (memory.size() > fabric_->memoryLimit) {
      return Error::fromErrno(ENOMEM, "register memory with " + info_.name)
          .withRemedy("lift the locked-memory limit");
    }
    const std::uint32_t key = fabric_->nextKey++;
    fabric_->regions[key] = {memory, info_.name, reinterpret_cast<std::uintptr_t>(memory.data())};
    return std::make_unique<Region<Fabric>>(fabric_, memory, key);
  }
  Result<std::unique_ptr<verbs::MemoryRegion>> registerDmabuf(
      int fd, std::uint64_t offset, const verbs::DeviceSpan& memory) override {
    const std::lock_guard lock(fabric_->mutex);
    if (!fabric_->dmabuf) return cannot("ibv_reg_dmabuf_mr is missing");
    const std::size_t whole = static_cast<std::size_t>(offset) + memory.size;
    void* mapped = ::mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) return Error::fromErrno(errno, "register a dma-buf");
    auto* first = static_cast<std::byte*>(mapped);
    const std::uint32_t key = fabric_->nextKey++;
    fabric_->regions[key] = {{first + offset, memory.size}, info_.name, memory.address};
    return std::make_unique<Region<Fabric>>(fabric_, memory, std::span(first, whole), key);
  }
  Result<std::unique_ptr<verbs::MemoryRegion>> registerDevicePointer(
      const verbs::DeviceSpan& memory) override {
    const std::lock_guard lock(fabric_->mutex);
    if (!fabric_->peermem) return cannot("nvidia-peermem is not loaded");
    const std::uint32_t key = fabric_->nextKey++;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of the device's
    auto* const start = reinterpret_cast<std::byte*>(memory.address);
    fabric_->regions[key] = {{start, memory.size}, info_.name, memory.address};
    return std::make_unique<Region<Fabric>>(fabric_, memory, std::span<std::byte>(), key);
  }
  Result<std::unique_ptr<verbs::CompletionQueue>> createCompletionQueue(int) override {
    return std::make_unique<Queue<Fabric>>(fabric_);
  }
  Result<std::unique_ptr<verbs::QueuePair>> createQueuePair(
      verbs::CompletionQueue& queue, const verbs::QueuePairSize& size) override {
    const std::lock_guard lock(fabric_->mutex);
    auto state = std::make_shared<PairState>();
    state->number = fabric_->nextPair++;
    state->device = info_.name;
    state->gid = gid_;
    state->size = size;
    state->queue = static_cast<Queue<Fabric>&>(queue).state();
    fabric_->pairs[state->number] = state;
    return std::make_unique<Pair<Fabric>>(fabric_, std::move(state));
  }

 private:
  Error cannot(const std::string& why) const {
    return {ErrorCode::kUnsupported, "register device memory with " + info_.name + ": " + why,
            "use another way"};
  }

  std::shared_ptr<Fabric> fabric_;
  verbs::DeviceInfo info_;
  verbs::Gid gid_;
};

verbs::DeviceInfo describeDevice(const FakeRdmaDevice& device, std::size_t position) {
  verbs::DeviceInfo info;
  info.name = device.name;
  info.problem = device.problem;
  if (!device.problem.empty()) return info;
  info.state = verbs::PortState::kActive;
  info.linkLayer = verbs::LinkLayer::kEthernet;
  info.activeMtu = device.mtu;
  info.maxMtu = 4096;
  info.firmware = "fake";
  info.software = true;
  info.maxReadsInFlight = 4;
  for (const auto type : {verbs::GidType::kRoceV1, verbs::GidType::kRoceV2}) {
    verbs::GidEntry entry;
    entry.index = static_cast<std::uint32_t>(2 + position) + (type == verbs::GidType::kRoceV2);
    entry.type = type;
    entry.gid = verbs::Gid::fromIp(IpAddress::parse(device.address).value());
    entry.local = device.local;
    if (device.local) entry.netdev = device.netdev;
    entry.prefixLength = device.local ? device.prefixLength : 0;
    info.gids.push_back(entry);
  }
  return info;
}

}  // namespace

FakeFabric::FakeFabric() : state_(std::make_shared<State>()) {}
FakeFabric::~FakeFabric() = default;

void FakeFabric::failWrite(const std::string& device, std::size_t writesBefore,
                           CompletionStatus status) {
  const std::lock_guard lock(state_->mutex);
  state_->faults.emplace(device, Fault{FaultKind::kFail, writesBefore, status, 0});
}

void FakeFabric::dropWrite(const std::string& device, std::size_t writesBefore) {
  const std::lock_guard lock(state_->mutex);
  state_->faults.emplace(device, Fault{FaultKind::kDrop, writesBefore});
}

void FakeFabric::stallWrite(const std::string& device, std::size_t writesBefore) {
  const std::lock_guard lock(state_->mutex);
  state_->faults.emplace(device, Fault{FaultKind::kStall, writesBefore});
}

void FakeFabric::corruptByte(const std::string& device, std::size_t writesBefore,
                             std::size_t offset) {
  const std::lock_guard lock(state_->mutex);
  state_->faults.emplace(
      device, Fault{FaultKind::kCorrupt, writesBefore, CompletionStatus::kSuccess, offset});
}

void FakeFabric::setRate(const std::string& device, BitRate rate) {
  const std::lock_guard lock(state_->mutex);
  state_->rates[device] = rate;
}

void FakeFabric::setMemoryLimit(std::size_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->memoryLimit = bytes;
}

void FakeFabric::setDeviceMemory(bool dmabuf, bool peermem) {
  const std::lock_guard lock(state_->mutex);
  state_->dmabuf = dmabuf;
  state_->peermem = peermem;
}

std::size_t FakeFabric::liveObjects() const {
  const std::lock_guard lock(state_->mutex);
  return state_->regions.size() + state_->pairs.size();
}

FakeVerbs::FakeVerbs(const FakeFabric& fabric, std::vector<FakeRdmaDevice> devices)
    : state_(fabric.state_), devices_(std::move(devices)) {}

Result<std::vector<verbs::DeviceInfo>> FakeVerbs::listDevices() {
  std::vector<verbs::DeviceInfo> out;
  for (std::size_t i = 0; i < devices_.size(); ++i) out.push_back(describeDevice(devices_[i], i));
  return out;
}

Result<std::unique_ptr<verbs::DeviceContext>> FakeVerbs::open(const std::string& device) {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (devices_[i].name != device) continue;
    if (!devices_[i].problem.empty()) {
      return Error(ErrorCode::kPermissionDenied, devices_[i].problem);
    }
    return std::make_unique<OpenFake<FakeFabric::State>>(
        state_, describeDevice(devices_[i], i),
        verbs::Gid::fromIp(IpAddress::parse(devices_[i].address).value()));
  }
  return Error(ErrorCode::kNotFound, "no RDMA device " + device);
}

}  // namespace railhead::testing_support
