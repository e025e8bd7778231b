#include "tests/support/fake_verbs.h"

#include "src/os/unique_fd.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>

#include <sys/timerfd.h>

namespace railhead::testing_support {
namespace {

using SteadyClock = std::chrono::steady_clock;
using verbs::Completion;
using verbs::CompletionKind;
using verbs::CompletionStatus;

enum class FaultKind { kFail, kDrop, kStall, kCorrupt };

struct Fault {
  FaultKind kind = FaultKind::kFail;
  std::size_t writesLeft = 0;
  CompletionStatus status = CompletionStatus::kOther;
  std::size_t offset = 0;
};

struct QueueState {
  std::multimap<SteadyClock::time_point, Completion> pending;  // by the time each becomes visible
  bool armed = false;
  os::UniqueFd timer{::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};

  void add(SteadyClock::time_point due, const Completion& completion) {
    pending.emplace(due, completion);
    if (armed) startTimer();
  }
  void startTimer() {
    if (pending.empty()) return;
    const auto due = std::chrono::duration_cast<std::chrono::nanoseconds>(
                         pending.begin()->first.time_since_epoch())
                         .count();
    itimerspec spec{};
    spec.it_value = {due / 1'000'000'000, std::max<long>(due % 1'000'000'000, 1)};
    ::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
  }
};

struct PairState {
  std::uint32_t number = 0;
  std::string device;
  verbs::Gid gid;
  verbs::QueuePairSize size;
  verbs::QueuePairPath path;
  bool connected = false;
  bool failed = false;
  std::size_t outstanding = 0;
  struct PostedReceive {
    std::uint64_t id = 0;
    std::span<std::byte> target;
  };
  std::deque<PostedReceive> receives;
  std::shared_ptr<QueueState> queue;
};

struct RegionState {
  std::span<std::byte> memory;
  std::string device;
};

// As a device writes: other threads may look at the target meanwhile. The last store releases.
void copyLikeADevice(std::span<const std::byte> from, std::byte* to) {
  const std::size_t words = reinterpret_cast<std::uintptr_t>(to) % 8 == 0 ? from.size() / 8 : 0;
  for (std::size_t i = 0; i < words; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, from.data() + i * 8, 8);
    std::atomic_ref(*reinterpret_cast<std::uint64_t*>(to + i * 8))
        .store(word, std::memory_order_release);
  }
  for (std::size_t i = words * 8; i < from.size(); ++i) {
    std::atomic_ref(to[i]).store(from[i], std::memory_order_release);
  }
}

}  // namespace

struct FakeFabric::State {
  mutable std::mutex mutex;
  std::uint32_t nextPair = 17;
  std::uint32_t nextKey = 0x1000;
  std::map<std::uint32_t, std::shared_ptr<PairState>> pairs;
  std::map<std::uint32_t, RegionState> regions;
  std::multimap<std::string, Fault> faults;
  std::map<std::string, BitRate> rates;
  std::map<std::string, SteadyClock::time_point> wireFree;
  std::size_t memoryLimit = ~std::size_t{0};

  std::optional<Fault> takeFault(const std::string& device) {
    std::optional<Fault> due;
    auto [at, end] = faults.equal_range(device);
    while (at != end) {
      if (at->second.writesLeft > 0) {
        --at->second.writesLeft;
        ++at;
      } else if (!due) {
        due = at->second;
        at = faults.erase(at);
      } else {
        ++at;
      }
    }
    return due;
  }

  SteadyClock::time_point arrival(const std::string& device, std::size_t bytes) {
    const auto now = SteadyClock::now();
    const auto rate = rates.find(device);
    if (rate == rates.end()) return now;
    auto& free = wireFree[device];
    free =
        std::max(free, now) + std::chrono::nanoseconds(static_cast<std::int64_t>(
                                  static_cast<double>(bytes) * 8e9 / rate->second.bitsPerSecond));
    return free;
  }

  // The peer's end of a connection, if both ends agree on it.
  std::shared_ptr<PairState> peerOf(const PairState& pair) {
    const auto found = pairs.find(pair.path.remoteNumber);
    if (found == pairs.end()) return nullptr;
    const PairState& peer = *found->second;
    const bool agrees = peer.connected && !peer.failed && peer.gid == pair.path.remoteGid &&
                        peer.path.remoteGid == pair.gid && peer.path.remoteNumber == pair.number &&
                        peer.path.remotePsn == pair.path.localPsn && peer.path.mtu == pair.path.mtu;
    return agrees ? found->second : nullptr;
  }

  bool localValid(const verbs::LocalSlice& slice, const std::string& device) const {
    if (slice.length == 0) return true;
    const auto region = regions.find(slice.region->localKey());
    return region != regions.end() && region->second.device == device &&
           slice.offset <= region->second.memory.size() &&
           slice.length <= region->second.memory.size() - slice.offset;
  }

  std::byte* remoteTarget(const PairState& peer, const verbs::WriteRequest& request) const {
    const auto region = regions.find(request.remoteKey);
    if (region == regions.end() || region->second.device != peer.device) return nullptr;
    const auto start = reinterpret_cast<std::uintptr_t>(region->second.memory.data());
    const std::size_t size = region->second.memory.size();
    if (request.remoteAddress < start || request.remoteAddress - start > size) return nullptr;
    const std::size_t offset = request.remoteAddress - start;
    if (request.source.length > size - offset) return nullptr;
    return region->second.memory.data() + offset;
  }

  // Moves the bytes; the status is what the writer's completion will say.
  CompletionStatus deliver(PairState& pair, const verbs::WriteRequest& request,
                           const std::optional<Fault>& fault, SteadyClock::time_point due) {
    if (pair.failed) return CompletionStatus::kFlushed;
    if (fault && fault->kind == FaultKind::kFail) return fault->status;
    if (!localValid(request.source, pair.device)) return CompletionStatus::kLocalProtection;
    const auto peer = peerOf(pair);
    if (!peer) return CompletionStatus::kRetryExceeded;
    if (request.source.length > 0) {
      std::byte* target = remoteTarget(*peer, request);
      if (target == nullptr) return CompletionStatus::kRemoteAccess;
      if (!fault || fault->kind != FaultKind::kDrop) {
        const auto bytes =
            request.source.region->bytes().subspan(request.source.offset, request.source.length);
        copyLikeADevice(bytes, target);
        if (fault && fault->kind == FaultKind::kCorrupt) {
          const std::size_t at = fault->offset % bytes.size();
          std::atomic_ref(target[at]).store(bytes[at] ^ std::byte{0x10});
        }
      }
    }
    if (!request.immediate) return CompletionStatus::kSuccess;
    if (peer->receives.empty()) return CompletionStatus::kReceiverNotReady;
    Completion arrival;
    arrival.id = peer->receives.front().id;
    peer->receives.pop_front();
    arrival.kind = CompletionKind::kReceiveImmediate;
    arrival.byteLength = static_cast<std::uint32_t>(request.source.length);
    arrival.immediate = request.immediate;
    arrival.queuePair = peer->number;
    peer->queue->add(due, arrival);
    return CompletionStatus::kSuccess;
  }

  CompletionStatus deliverSend(PairState& pair, const verbs::LocalSlice& source,
                               SteadyClock::time_point due) {
    if (pair.failed) return CompletionStatus::kFlushed;
    if (!localValid(source, pair.device)) return CompletionStatus::kLocalProtection;
    const auto peer = peerOf(pair);
    if (!peer) return CompletionStatus::kRetryExceeded;
    if (peer->receives.empty()) return CompletionStatus::kReceiverNotReady;
    const auto receive = peer->receives.front();
    peer->receives.pop_front();
    if (receive.target.size() < source.length) return CompletionStatus::kRemoteAccess;
    if (source.length > 0) {
      copyLikeADevice(source.region->bytes().subspan(source.offset, source.length),
                      receive.target.data());
    }
    Completion arrival;
    arrival.id = receive.id;
    arrival.kind = CompletionKind::kReceive;
    arrival.byteLength = static_cast<std::uint32_t>(source.length);
    arrival.queuePair = peer->number;
    peer->queue->add(due, arrival);
    return CompletionStatus::kSuccess;
  }

  Result<void> admit(PairState& pair) const {
    if (!pair.connected) return Error::fromErrno(EINVAL, "post a request on " + pair.device);
    if (pair.outstanding >= pair.size.sendDepth) {
      return Error::fromErrno(ENOMEM, "post a request on " + pair.device);
    }
    ++pair.outstanding;
    return {};
  }

  static void finish(PairState& pair, std::uint64_t id, CompletionKind kind,
                     CompletionStatus status, SteadyClock::time_point due) {
    Completion done;
    done.id = id;
    done.kind = kind;
    done.status = status;
    done.vendorStatus = static_cast<int>(status);
    done.queuePair = pair.number;
    if (status != CompletionStatus::kSuccess) pair.failed = true;
    pair.queue->add(due, done);
  }
};

namespace {

template <typename Fabric>
class Region final : public verbs::MemoryRegion {
 public:
  Region(std::shared_ptr<Fabric> fabric, std::span<std::byte> memory, std::uint32_t key)
      : fabric_(std::move(fabric)), memory_(memory), key_(key) {}
  ~Region() override {
    const std::lock_guard lock(fabric_->mutex);
    fabric_->regions.erase(key_);
  }
  std::span<std::byte> bytes() const override { return memory_; }
  std::uint32_t localKey() const override { return key_; }
  std::uint32_t remoteKey() const override { return key_; }

 private:
  std::shared_ptr<Fabric> fabric_;
  std::span<std::byte> memory_;
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
      const bool sendSide =
          out[count].kind == CompletionKind::kWrite || out[count].kind == CompletionKind::kSend;
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
    const auto due = fabric_->arrival(state_->device, request.source.length);
    if (fault && fault->kind == FaultKind::kStall) return {};
    const auto status = fabric_->deliver(*state_, request, fault, due);
    Fabric::finish(*state_, request.id, CompletionKind::kWrite, status, due);
    return {};
  }

  Result<void> postSend(std::uint64_t id, const verbs::LocalSlice& source) override {
    const std::lock_guard lock(fabric_->mutex);
    RAILHEAD_TRY(fabric_->admit(*state_));
    const auto due = fabric_->arrival(state_->device, source.length);
    const auto status = fabric_->deliverSend(*state_, source, due);
    Fabric::finish(*state_, id, CompletionKind::kSend, status, due);
    return {};
  }

  Result<void> postReceive(std::uint64_t id, const verbs::LocalSlice& target) override {
    const std::lock_guard lock(fabric_->mutex);
    if (state_->receives.size() >= state_->size.receiveDepth) {
      return Error::fromErrno(ENOMEM, "post a receive on " + state_->device);
    }
    std::span<std::byte> memory;
    if (target.length > 0) memory = target.region->bytes().subspan(target.offset, target.length);
    state_->receives.push_back({id, memory});
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
    fabric_->regions[key] = {memory, info_.name};
    return std::make_unique<Region<Fabric>>(fabric_, memory, key);
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
