// One rail of a running test: an open device with its memory, completion queue and queue pairs.
// Not thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/bench/rail_choice.h"
#include "src/bench/slot_turns.h"
#include "src/bench/transfer_memory.h"
#include "src/bench/verbs_plan.h"
#include "src/bench/verbs_wire.h"
#include "src/verbs/poller.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace railhead::bench {

class OpenRail {
 public:
  // Opens the device and registers two buffers of plan.bufferBytes(): one whose bytes go to the
  // peer, one that takes the peer's. Each has one more word behind it for latency messages.
  static Result<OpenRail> open(verbs::Verbs& verbs, const RailChoice& choice, std::size_t index,
                               const VerbsPlan& plan, const MemoryChoice& memory);

  RailOffer offer() const;
  // Brings every queue pair up towards the peer's.
  Result<void> connect(const RailOffer& peer);

  // One signalled message of the plan's operation, the bytes at `offset` of the outgoing buffer to
  // the same place of the peer's incoming one, or for a read the peer's outgoing to the own
  // incoming one. The completion's id is the pair's index.
  Result<void> postMessage(std::size_t pair, std::size_t offset, std::size_t bytes);

  // Fences tell the receiver of writes and sends that all earlier bytes are in its memory: messages
  // without payload, each of which uses up one posted receive. A receiver of sends keeps many
  // receives posted, so as many fences follow, and nothing stays behind.
  std::size_t fencesOf(const SlotTurns& turns, std::size_t pair) const;
  Result<void> postFence(std::size_t pair);
  // Posts all receives that the peer's messages of this load and its fences need at a time.
  Result<void> expect(const VerbsLoad& load);
  // What an arriving completion means; posts the next receive of a send.
  Result<void> take(const verbs::Completion& completion);
  bool fencesMissing() const;

  // Latency messages carry `word` in themselves and, unless they are plain writes, in their
  // immediate too: what arrives in a GPU's memory is seen by its completion only.
  bool seesWords() const;  // plain writes, and both ends' memory is the CPU's
  Result<void> postLatencyWord(std::uint32_t word);
  Result<void> postLatencyRead();
  Result<void> expectLatencyWord();  // not needed where seesWords()
  // Last value the peer wrote; safe to call while it writes.
  std::uint64_t receivedWord() const;
  void clearReceivedWord();

  TransferBuffer& outgoing() const { return *outgoing_; }
  TransferBuffer& incoming() const { return *incoming_; }
  verbs::CompletionQueue& queue() const { return *queue_; }
  VerbsOperation operation() const { return operation_; }
  std::size_t pairCount() const { return pairs_.size(); }
  std::size_t bufferBytes() const { return bufferBytes_; }
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
  std::size_t wholeBytes() const { return wordOffset() + 64; }
  Result<void> postReceive(std::size_t pair);

  RailChoice choice_;
  std::size_t index_ = 0;
  VerbsOperation operation_ = VerbsOperation::kWrite;
  TransferMemory memory_ = TransferMemory::kHost;
  std::size_t bufferBytes_ = 0;
  std::unique_ptr<verbs::DeviceContext> context_;
  std::unique_ptr<TransferBuffer> outgoing_;
  std::unique_ptr<TransferBuffer> incoming_;
  std::unique_ptr<verbs::CompletionQueue> queue_;
  std::vector<std::unique_ptr<verbs::QueuePair>> pairs_;
  std::vector<std::uint32_t> psns_;
  SlotTurns arriving_;                // where the peer's sends go
  std::vector<std::size_t> missing_;  // fences, of each pair
  std::vector<bool> fenced_;          // pairs whose first fence came: no more messages
  RailOffer peer_;
  int mtu_ = 0;
};

// Opens every chosen rail, in order.
Result<std::vector<OpenRail>> openRails(verbs::Verbs& verbs, const std::vector<RailChoice>& choices,
                                        const VerbsPlan& plan, const MemoryChoice& memory);

std::vector<RailOffer> offersOf(const std::vector<OpenRail>& rails);

}  // namespace railhead::bench
