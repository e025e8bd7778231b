// One rail of a running test: an open device with its memory, completion queue and queue pairs.
// Not thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/bench/rail_choice.h"
#include "src/bench/verbs_plan.h"
#include "src/bench/verbs_wire.h"
#include "src/verbs/buffer.h"
#include "src/verbs/poller.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace railhead::bench {

class OpenRail {
 public:
  // Opens the device and registers two buffers of plan.bufferBytes(): one that is written from, one
  // that the peer writes into. Each has one more word behind it for latency messages.
  static Result<OpenRail> open(verbs::Verbs& verbs, const RailChoice& choice, std::size_t index,
                               const VerbsPlan& plan);

  RailOffer offer() const;
  // Brings every queue pair up towards the peer's.
  Result<void> connect(const RailOffer& peer);

  // One signalled write of message `slot` of the outgoing buffer to the same place at the peer;
  // the completion's id is the pair's index.
  Result<void> postMessage(std::size_t pair, std::size_t slot);
  // A message without payload on every pair; the peer's receive completion says that all earlier
  // bytes are in its memory. Completes like a message.
  Result<void> postFences();
  Result<void> postLatencyWord(std::uint64_t value);
  // Receives for one fence per pair; none is posted twice.
  Result<void> expectFences();
  // Waits until the peer's fence has arrived on every pair. Ends early, with kUnavailable, when
  // `controlFd` becomes readable.
  Result<void> awaitFences(verbs::Deadline deadline, int controlFd);

  // Last value the peer wrote; safe to call while it writes.
  std::uint64_t receivedWord() const;
  void clearReceivedWord();

  std::span<std::byte> outgoing() const { return outgoing_.bytes().first(bufferBytes_); }
  std::span<std::byte> incoming() const { return incoming_.bytes().first(bufferBytes_); }
  verbs::CompletionQueue& queue() const { return *queue_; }
  std::size_t pairCount() const { return pairs_.size(); }
  std::size_t slotCount() const { return bufferBytes_ / messageBytes_; }
  const RailChoice& choice() const { return choice_; }
  const RailOffer& peer() const { return peer_; }
  int mtu() const { return mtu_; }  // the smaller of both ends; 0 before connect
  // "rail 1 (rxe1 to 10.100.1.2)", for messages.
  std::string label() const;
  // The Error of a failed completion: kCheckFailed, for then the rail does not carry.
  Result<void> checkCompletion(const verbs::Completion& completion) const;

 private:
  OpenRail() = default;
  std::size_t wordOffset() const { return (bufferBytes_ + 63) / 64 * 64; }

  RailChoice choice_;
  std::size_t index_ = 0;
  std::size_t messageBytes_ = 0;
  std::size_t bufferBytes_ = 0;
  std::unique_ptr<verbs::DeviceContext> context_;
  verbs::Buffer outgoing_;
  verbs::Buffer incoming_;
  std::unique_ptr<verbs::MemoryRegion> outgoingRegion_;
  std::unique_ptr<verbs::MemoryRegion> incomingRegion_;
  std::unique_ptr<verbs::CompletionQueue> queue_;
  std::vector<std::unique_ptr<verbs::QueuePair>> pairs_;
  std::vector<std::uint32_t> psns_;
  std::vector<bool> fenceExpected_;
  RailOffer peer_;
  int mtu_ = 0;
};

// Opens every chosen rail, in order.
Result<std::vector<OpenRail>> openRails(verbs::Verbs& verbs, const std::vector<RailChoice>& choices,
                                        const VerbsPlan& plan);

std::vector<RailOffer> offersOf(const std::vector<OpenRail>& rails);

}  // namespace railhead::bench
