// The fake fabric's state and its rules; fake_verbs.cc is the layer of objects above. Private to
// that file.
#pragma once

#include "src/os/unique_fd.h"
#include "tests/support/fake_verbs.h"

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
  std::span<std::byte> memory;  // where the bytes really are
  std::string device;
  std::uint64_t address = 0;  // what a peer calls the first of them
};

// As a device writes: other threads may look at the target meanwhile. The last store releases.
inline void copyLikeADevice(std::span<const std::byte> from, std::byte* to) {
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
  bool dmabuf = true;
  bool peermem = true;

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

  // Of a slice that is valid.
  std::span<std::byte> localBytes(const verbs::LocalSlice& slice) const {
    if (slice.length == 0) return {};
    return regions.at(slice.region->localKey()).memory.subspan(slice.offset, slice.length);
  }

  std::byte* remoteTarget(const PairState& peer, const verbs::WriteRequest& request) const {
    const auto region = regions.find(request.remoteKey);
    if (region == regions.end() || region->second.device != peer.device) return nullptr;
    const std::uint64_t start = region->second.address;
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
        const auto bytes = localBytes(request.source);
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
      copyLikeADevice(localBytes(source), receive.target.data());
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

}  // namespace railhead::testing_support
