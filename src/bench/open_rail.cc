#include "src/bench/open_rail.h"

#include "src/base/random.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <optional>

namespace railhead::bench {
namespace {

using verbs::CompletionKind;
using verbs::CompletionStatus;

// A lost packet costs one timeout. Hardware answers in microseconds; a soft device under emulation
// may keep an acknowledgement for tens of milliseconds while packets queue at a slow link.
constexpr int kHardwareTimeout = 14;  // 67 ms
constexpr int kSoftwareTimeout = 16;  // 268 ms

// Sends that find no receive posted wait a whole timer; twice as many receives as messages in
// flight leave the receiver time to post the next.
constexpr std::size_t kReceivesPerSlot = 2;
constexpr int kMaxReads = 16;  // on the wire; what cards of today can

// Two places beside the messages in flight: for fences and for latency messages.
verbs::QueuePairSize pairSize(const VerbsPlan& plan) {
  const auto each = static_cast<std::uint32_t>((plan.mostOutstanding() + plan.pairsPerRail - 1) /
                                               plan.pairsPerRail);
  const bool sends = plan.operation == VerbsOperation::kSend;
  return {each + 2, sends ? each * static_cast<std::uint32_t>(kReceivesPerSlot) + 2 : 2};
}

std::uint32_t freshPsn(std::uint32_t pairNumber) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return static_cast<std::uint32_t>(
      SplitMix(static_cast<std::uint64_t>(now) ^ (std::uint64_t{pairNumber} << 40)).next() &
      0xffffff);
}

}  // namespace

Result<OpenRail> OpenRail::open(verbs::Verbs& verbs, const RailChoice& choice, std::size_t index,
                                const VerbsPlan& plan, const MemoryChoice& memory) {
  OpenRail rail;
  rail.choice_ = choice;
  rail.index_ = index;
  rail.operation_ = plan.operation;
  rail.memory_ = memory.memory;
  rail.bufferBytes_ = plan.bufferBytes();
  RAILHEAD_TRY_ASSIGN(rail.context_, verbs.open(choice.device.name));
  verbs::DeviceContext& device = *rail.context_;
  RAILHEAD_TRY_ASSIGN(rail.outgoing_, TransferBuffer::make(memory, device, rail.wholeBytes()));
  RAILHEAD_TRY_ASSIGN(rail.incoming_, TransferBuffer::make(memory, device, rail.wholeBytes()));
  const verbs::QueuePairSize size = pairSize(plan);
  const int depth = plan.pairsPerRail * static_cast<int>(size.sendDepth + size.receiveDepth);
  RAILHEAD_TRY_ASSIGN(rail.queue_, device.createCompletionQueue(depth));
  for (int i = 0; i < plan.pairsPerRail; ++i) {
    RAILHEAD_TRY_ASSIGN(auto pair, device.createQueuePair(*rail.queue_, size));
    rail.psns_.push_back(freshPsn(pair->number()));
    rail.pairs_.push_back(std::move(pair));
  }
  rail.missing_.assign(rail.pairs_.size(), 0);
  rail.fenced_.assign(rail.pairs_.size(), false);
  return rail;
}

RailOffer OpenRail::offer() const {
  RailOffer out;
  out.device = choice_.device.name;
  out.netdev = choice_.gid.netdev;
  out.gid = choice_.gid.gid;
  out.prefixLength = choice_.gid.prefixLength;
  out.mtu = context_->info().activeMtu;
  out.memory = memory_;
  out.readsInFlight = std::clamp(context_->info().maxReadsInFlight, 1, kMaxReads);
  out.address = incoming_->region().address();
  out.key = incoming_->region().remoteKey();
  out.sourceAddress = outgoing_->region().address();
  out.sourceKey = outgoing_->region().remoteKey();
  out.bytes = wholeBytes();
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    out.pairs.push_back({pairs_[i]->number(), psns_[i]});
  }
  return out;
}

Result<void> OpenRail::connect(const RailOffer& peer) {
  if (peer.pairs.size() != pairs_.size() || peer.bytes < wholeBytes()) {
    return Error(ErrorCode::kCorrupt, label() + ": the peer offers " +
                                          std::to_string(peer.pairs.size()) + " queue pairs and " +
                                          std::to_string(peer.bytes) + " bytes, " +
                                          std::to_string(pairs_.size()) + " and " +
                                          std::to_string(wholeBytes()) + " were agreed");
  }
  peer_ = peer;
  mtu_ = std::min(context_->info().activeMtu, peer.mtu);
  // The table may have changed since the choice: the GID is looked for again.
  std::uint32_t gidIndex = choice_.gid.index;
  for (const auto& entry : context_->info().gids) {
    if (entry.type == choice_.gid.type && entry.gid == choice_.gid.gid) gidIndex = entry.index;
  }
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    verbs::QueuePairPath path;
    path.localGidIndex = gidIndex;
    path.localPsn = psns_[i];
    path.remoteGid = peer.gid;
    path.remoteNumber = peer.pairs[i].number;
    path.remotePsn = peer.pairs[i].psn;
    path.mtu = mtu_;
    path.readsInFlight = std::min(offer().readsInFlight, peer.readsInFlight);
    path.timeoutExponent = context_->info().software ? kSoftwareTimeout : kHardwareTimeout;
    RAILHEAD_TRY(pairs_[i]->connect(path).addContext(label()));
  }
  return {};
}

Result<void> OpenRail::postMessage(std::size_t pair, std::size_t offset, std::size_t bytes) {
  verbs::QueuePair& queuePair = *pairs_[pair];
  const verbs::LocalSlice source{&outgoing_->region(), offset, bytes};
  switch (operation_) {
    case VerbsOperation::kWrite:
      return queuePair.postWrite({pair, source, peer_.address + offset, peer_.key, std::nullopt})
          .addContext(label());
    case VerbsOperation::kRead:
      return queuePair
          .postRead({pair,
                     {&incoming_->region(), offset, bytes},
                     peer_.sourceAddress + offset,
                     peer_.sourceKey})
          .addContext(label());
    case VerbsOperation::kSend:
      return queuePair.postSend(pair, source).addContext(label());
  }
  return {};
}

std::size_t OpenRail::fencesOf(const SlotTurns& turns, std::size_t pair) const {
  return operation_ == VerbsOperation::kSend ? kReceivesPerSlot * turns.slotsOf(pair) : 1;
}

Result<void> OpenRail::postFence(std::size_t pair) {
  const auto number = static_cast<std::uint32_t>(pair);
  return pairs_[pair]
      ->postWrite({pair, {&outgoing_->region(), 0, 0}, peer_.address, peer_.key, number})
      .addContext(label());
}

Result<void> OpenRail::postReceive(std::size_t pair) {
  verbs::LocalSlice target;  // a write's fence needs none
  if (operation_ == VerbsOperation::kSend)
    target = {&incoming_->region(), arriving_.next(pair), arriving_.load().messageBytes};
  return pairs_[pair]->postReceive(pair, target).addContext(label());
}

Result<void> OpenRail::expect(const VerbsLoad& load) {
  arriving_ = SlotTurns(load, pairs_.size());
  for (std::size_t pair = 0; pair < pairs_.size(); ++pair) {
    fenced_[pair] = false;
    while (missing_[pair] < fencesOf(arriving_, pair)) {
      RAILHEAD_TRY(postReceive(pair));
      ++missing_[pair];
    }
  }
  return {};
}

Result<void> OpenRail::take(const verbs::Completion& completion) {
  RAILHEAD_TRY(checkCompletion(completion));
  const std::size_t pair = completion.id % pairs_.size();
  if (completion.kind == CompletionKind::kReceiveImmediate) {
    fenced_[pair] = true;
    if (missing_[pair] > 0) --missing_[pair];
    return {};
  }
  if (completion.kind != CompletionKind::kReceive) return {};
  if (fenced_[pair]) {
    return Error(ErrorCode::kCorrupt, label() + ": the peer sent on after its last message");
  }
  return postReceive(pair);
}

bool OpenRail::fencesMissing() const {
  return std::any_of(missing_.begin(), missing_.end(), [](std::size_t count) { return count > 0; });
}

bool OpenRail::seesWords() const {
  return operation_ == VerbsOperation::kWrite && !isDeviceMemory(memory_) &&
         !isDeviceMemory(peer_.memory);
}

Result<void> OpenRail::postLatencyWord(std::uint32_t word) {
  const std::uint64_t value = word;
  if (const auto bytes = outgoing_->bytes(); !bytes.empty())
    std::memcpy(bytes.data() + wordOffset(), &value, sizeof value);
  const verbs::LocalSlice source{&outgoing_->region(), wordOffset(), sizeof value};
  if (operation_ == VerbsOperation::kSend)
    return pairs_[0]->postSend(0, source, word).addContext(label());
  verbs::WriteRequest request{0, source, peer_.address + wordOffset(), peer_.key, std::nullopt};
  if (!seesWords()) request.immediate = word;
  return pairs_[0]->postWrite(request).addContext(label());
}

Result<void> OpenRail::postLatencyRead() {
  return pairs_[0]
      ->postRead({0,
                  {&incoming_->region(), wordOffset(), sizeof(std::uint64_t)},
                  peer_.sourceAddress + wordOffset(),
                  peer_.sourceKey})
      .addContext(label());
}

Result<void> OpenRail::expectLatencyWord() {
  if (seesWords()) return {};
  return pairs_[0]
      ->postReceive(0, {&incoming_->region(), wordOffset(), sizeof(std::uint64_t)})
      .addContext(label());
}

std::uint64_t OpenRail::receivedWord() const {
  auto* word = reinterpret_cast<std::uint64_t*>(incoming_->bytes().data() + wordOffset());
  return std::atomic_ref(*word).load(std::memory_order_acquire);
}

void OpenRail::clearReceivedWord() {
  if (incoming_->bytes().empty()) return;
  auto* word = reinterpret_cast<std::uint64_t*>(incoming_->bytes().data() + wordOffset());
  std::atomic_ref(*word).store(0, std::memory_order_release);
}

std::string OpenRail::label() const {
  std::string out = "rail " + std::to_string(index_) + " (" + choice_.device.name;
  if (!peer_.device.empty()) out += " to " + peer_.gid.ip().toString();
  return out + ")";
}

Result<void> OpenRail::checkCompletion(const verbs::Completion& completion) const {
  if (completion.status == CompletionStatus::kSuccess) return {};
  return Error(ErrorCode::kCheckFailed,
               label() + ": an RDMA " + std::string(verbsOperationName(operation_)) +
                   " failed: " + verbs::describe(completion),
               "check that both ends of this rail are in one subnet and that its link is up");
}

Result<std::vector<OpenRail>> openRails(verbs::Verbs& verbs, const std::vector<RailChoice>& choices,
                                        const VerbsPlan& plan, const MemoryChoice& memory) {
  std::vector<OpenRail> out;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    RAILHEAD_TRY_ASSIGN(OpenRail rail, OpenRail::open(verbs, choices[i], i, plan, memory));
    out.push_back(std::move(rail));
  }
  return out;
}

std::vector<RailOffer> offersOf(const std::vector<OpenRail>& rails) {
  std::vector<RailOffer> out;
  for (const auto& rail : rails) out.push_back(rail.offer());
  return out;
}

}  // namespace railhead::bench
