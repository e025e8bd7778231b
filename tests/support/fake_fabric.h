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

// A write, read or send under way.
struct Request {
  std::uint64_t id = 0;
  CompletionKind kind = CompletionKind::kWrite;
  verbs::LocalSlice local;
  std::uint64_t remoteAddress = 0;
  std::uint32_t remoteKey = 0;
  std::optional<std::uint32_t> immediate;
  std::optional<Fault> fault;
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
  std::deque<Request> waiting;  // for a receive of the peer's, and what comes after
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

  // Where a peer's write or read goes; null when key, rights or bounds do not fit.
  std::byte* remoteBytes(const PairState& peer, const Request& request) const {
    const auto region = regions.find(request.remoteKey);
    if (region == regions.end() || region->second.device != peer.device) return nullptr;
    const std::uint64_t start = region->second.address;
    const std::size_t size = region->second.memory.size();
    if (request.remoteAddress < start || request.remoteAddress - start > size) return nullptr;
    const std::size_t offset = request.remoteAddress - start;
    if (request.local.length > size - offset) return nullptr;
    return region->second.memory.data() + offset;
  }

  static void copy(std::span<const std::byte> from, std::byte* to,
                   const std::optional<Fault>& fault) {
    if (from.empty() || (fault && fault->kind == FaultKind::kDrop)) return;
    copyLikeADevice(from, to);
    if (!fault || fault->kind != FaultKind::kCorrupt) return;
    const std::size_t at = fault->offset % from.size();
    std::atomic_ref(to[at]).store(from[at] ^ std::byte{0x10});
  }

  // A connection is in order: what needs a receive that the peer has not posted holds up what
  // comes after it.
  void start(PairState& pair, const Request& request) {
    pair.waiting.push_back(request);
    resume(pair);
  }
  void resume(PairState& pair) {
    while (!pair.waiting.empty()) {
      const Request& request = pair.waiting.front();
      const auto peer = peerOf(pair);
      const bool needsReceive = request.kind == CompletionKind::kSend || request.immediate;
      const bool patient = pair.path.rnrRetryCount == 7;
      if (!pair.failed && needsReceive && patient && peer && peer->receives.empty()) return;
      const auto due = arrival(pair.device, request.local.length);
      finish(pair, request.id, request.kind, deliver(pair, peer, request, due), due);
      pair.waiting.pop_front();
    }
  }
  void resumePeerOf(PairState& pair) {
    if (const auto peer = pairs.find(pair.path.remoteNumber); peer != pairs.end())
      resume(*peer->second);
  }

  // Moves the bytes; the status is what the requester's completion will say.
  CompletionStatus deliver(PairState& pair, const std::shared_ptr<PairState>& peer,
                           const Request& request, SteadyClock::time_point due) {
    if (pair.failed) return CompletionStatus::kFlushed;
    if (request.fault && request.fault->kind == FaultKind::kFail) return request.fault->status;
    if (!localValid(request.local, pair.device)) return CompletionStatus::kLocalProtection;
    if (!peer) return CompletionStatus::kRetryExceeded;
    if (request.kind == CompletionKind::kSend) return deliverSend(*peer, request, due);
    const auto local = localBytes(request.local);
    if (!local.empty()) {
      std::byte* const remote = remoteBytes(*peer, request);
      if (remote == nullptr) return CompletionStatus::kRemoteAccess;
      if (request.kind == CompletionKind::kWrite) copy(local, remote, request.fault);
      if (request.kind == CompletionKind::kRead)
        copy({remote, local.size()}, local.data(), request.fault);
    }
    if (!request.immediate) return CompletionStatus::kSuccess;
    if (peer->receives.empty()) return CompletionStatus::kReceiverNotReady;
    arrive(*peer, CompletionKind::kReceiveImmediate, request, due);
    return CompletionStatus::kSuccess;
  }

  CompletionStatus deliverSend(PairState& peer, const Request& request,
                               SteadyClock::time_point due) {
    if (peer.receives.empty()) return CompletionStatus::kReceiverNotReady;
    const auto target = peer.receives.front().target;
    if (target.size() < request.local.length) return CompletionStatus::kRemoteAccess;
    copy(localBytes(request.local), target.data(), request.fault);
    arrive(peer, CompletionKind::kReceive, request, due);
    return CompletionStatus::kSuccess;
  }

  // Uses up the peer's oldest receive.
  static void arrive(PairState& peer, CompletionKind kind, const Request& request,
                     SteadyClock::time_point due) {
    Completion arrival;
    arrival.id = peer.receives.front().id;
    peer.receives.pop_front();
    arrival.kind = kind;
    arrival.byteLength = static_cast<std::uint32_t>(request.local.length);
    arrival.immediate = request.immediate;
    arrival.queuePair = peer.number;
    peer.queue->add(due, arrival);
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
