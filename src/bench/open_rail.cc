#include "src/bench/open_rail.h"

#include "src/base/random.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

namespace railhead::bench {
namespace {

using verbs::CompletionKind;
using verbs::CompletionStatus;

// A lost packet costs one timeout. Hardware answers in microseconds; a soft device under emulation
// may keep an acknowledgement for tens of milliseconds while packets queue at a slow link.
constexpr int kHardwareTimeout = 14;  // 67 ms
constexpr int kSoftwareTimeout = 16;  // 268 ms

// A fence needs one place beside the messages in flight.
verbs::QueuePairSize pairSize(const VerbsPlan& plan) {
  const int each = (plan.outstanding + plan.pairsPerRail - 1) / plan.pairsPerRail;
  return {static_cast<std::uint32_t>(each) + 2, 2};
}

std::uint32_t freshPsn(std::uint32_t pairNumber) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return static_cast<std::uint32_t>(
      SplitMix(static_cast<std::uint64_t>(now) ^ (std::uint64_t{pairNumber} << 40)).next() &
      0xffffff);
}

}  // namespace

Result<OpenRail> OpenRail::open(verbs::Verbs& verbs, const RailChoice& choice, std::size_t index,
                                const VerbsPlan& plan) {
  OpenRail rail;
  rail.choice_ = choice;
  rail.index_ = index;
  rail.messageBytes_ = plan.messageBytes;
  rail.bufferBytes_ = plan.bufferBytes();
  const std::size_t whole = rail.wordOffset() + 64;
  RAILHEAD_TRY_ASSIGN(rail.context_, verbs.open(choice.device.name));
  RAILHEAD_TRY_ASSIGN(rail.outgoing_, verbs::Buffer::allocate(whole));
  RAILHEAD_TRY_ASSIGN(rail.incoming_, verbs::Buffer::allocate(whole));
  RAILHEAD_TRY_ASSIGN(rail.outgoingRegion_, rail.context_->registerMemory(rail.outgoing_.bytes()));
  RAILHEAD_TRY_ASSIGN(rail.incomingRegion_, rail.context_->registerMemory(rail.incoming_.bytes()));
  const verbs::QueuePairSize size = pairSize(plan);
  const int depth = plan.pairsPerRail * static_cast<int>(size.sendDepth + size.receiveDepth);
  RAILHEAD_TRY_ASSIGN(rail.queue_, rail.context_->createCompletionQueue(depth));
  for (int i = 0; i < plan.pairsPerRail; ++i) {
    RAILHEAD_TRY_ASSIGN(auto pair, rail.context_->createQueuePair(*rail.queue_, size));
    rail.psns_.push_back(freshPsn(pair->number()));
    rail.pairs_.push_back(std::move(pair));
  }
  rail.fenceExpected_.assign(rail.pairs_.size(), false);
  return rail;
}

RailOffer OpenRail::offer() const {
  RailOffer out;
  out.device = choice_.device.name;
  out.netdev = choice_.gid.netdev;
  out.gid = choice_.gid.gid;
  out.prefixLength = choice_.gid.prefixLength;
  out.mtu = context_->info().activeMtu;
  out.address = incomingRegion_->address();
  out.key = incomingRegion_->remoteKey();
  out.bytes = incoming_.bytes().size();
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    out.pairs.push_back({pairs_[i]->number(), psns_[i]});
  }
  return out;
}

Result<void> OpenRail::connect(const RailOffer& peer) {
  if (peer.pairs.size() != pairs_.size() || peer.bytes < incoming_.bytes().size()) {
    return Error(ErrorCode::kCorrupt,
                 label() + ": the peer offers " + std::to_string(peer.pairs.size()) +
                     " queue pairs and " + std::to_string(peer.bytes) + " bytes, " +
                     std::to_string(pairs_.size()) + " and " +
                     std::to_string(incoming_.bytes().size()) + " were agreed");
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
    path.timeoutExponent = context_->info().software ? kSoftwareTimeout : kHardwareTimeout;
    RAILHEAD_TRY(pairs_[i]->connect(path).addContext(label()));
  }
  return {};
}

Result<void> OpenRail::postMessage(std::size_t pair, std::size_t slot) {
  verbs::WriteRequest request;
  request.id = pair;
  request.source = {outgoingRegion_.get(), slot * messageBytes_, messageBytes_};
  request.remoteAddress = peer_.address + slot * messageBytes_;
  request.remoteKey = peer_.key;
  return pairs_[pair]->postWrite(request).addContext(label());
}

Result<void> OpenRail::postFences() {
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    verbs::WriteRequest request;
    request.id = i;
    request.source = {outgoingRegion_.get(), 0, 0};
    request.remoteAddress = peer_.address;
    request.remoteKey = peer_.key;
    request.immediate = static_cast<std::uint32_t>(i);
    RAILHEAD_TRY(pairs_[i]->postWrite(request).addContext(label()));
  }
  return {};
}

Result<void> OpenRail::postLatencyWord(std::uint64_t value) {
  std::memcpy(outgoing_.bytes().data() + wordOffset(), &value, sizeof value);
  verbs::WriteRequest request;
  request.source = {outgoingRegion_.get(), wordOffset(), sizeof value};
  request.remoteAddress = peer_.address + wordOffset();
  request.remoteKey = peer_.key;
  return pairs_[0]->postWrite(request).addContext(label());
}

Result<void> OpenRail::expectFences() {
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    if (fenceExpected_[i]) continue;
    RAILHEAD_TRY(pairs_[i]->postReceive(i, {}).addContext(label()));
    fenceExpected_[i] = true;
  }
  return {};
}

Result<void> OpenRail::awaitFences(verbs::Deadline deadline, int controlFd) {
  const auto missing = [&] {
    return std::find(fenceExpected_.begin(), fenceExpected_.end(), true) != fenceExpected_.end();
  };
  verbs::Poller poller({queue_.get()}, verbs::PollPolicy::forDevices({&context_->info()}));
  while (missing()) {
    RAILHEAD_TRY_ASSIGN(
        const bool interrupted,
        poller
            .waitOrReadable(deadline, controlFd,
                            [&](std::size_t, const verbs::Completion& completion) -> Result<void> {
                              RAILHEAD_TRY(checkCompletion(completion));
                              if (completion.kind == CompletionKind::kReceiveImmediate) {
                                fenceExpected_[completion.id % pairs_.size()] = false;
                              }
                              return {};
                            })
            .addContext(label() + ": waiting for the end of the peer's writes"));
    if (interrupted && missing()) {
      return Error(ErrorCode::kUnavailable, label() + ": the peer left while it was writing");
    }
  }
  return {};
}

std::uint64_t OpenRail::receivedWord() const {
  auto* word = reinterpret_cast<std::uint64_t*>(incoming_.bytes().data() + wordOffset());
  return std::atomic_ref(*word).load(std::memory_order_acquire);
}

void OpenRail::clearReceivedWord() {
  auto* word = reinterpret_cast<std::uint64_t*>(incoming_.bytes().data() + wordOffset());
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
               label() + ": an RDMA write failed: " + verbs::describe(completion),
               "check that both ends of this rail are in one subnet and that its link is up");
}

Result<std::vector<OpenRail>> openRails(verbs::Verbs& verbs, const std::vector<RailChoice>& choices,
                                        const VerbsPlan& plan) {
  std::vector<OpenRail> out;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    RAILHEAD_TRY_ASSIGN(OpenRail rail, OpenRail::open(verbs, choices[i], i, plan));
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
