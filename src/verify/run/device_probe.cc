#include "src/verify/run/device_probe.h"

#include "src/base/random.h"
#include "src/bench/json_fields.h"
#include "src/bench/rail_choice.h"
#include "src/collective/pattern.h"
#include "src/verbs/buffer.h"
#include "src/verbs/poller.h"
#include "src/verify/run/answer_time.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <utility>

#include <nlohmann/json.hpp>

namespace railhead::verify {
namespace {

using bench::Json;

constexpr std::chrono::seconds kWriteTime{20};
constexpr std::uint32_t kSeed = 0x7261696c;
constexpr std::size_t kMessage = 64 << 10;  // of one write; both ends' pages are multiples of less
constexpr std::uint32_t kAtOnce = kProbeBytes / kMessage;
constexpr std::uint64_t kMax24 = 0xffffff;

// What goes from rank to rank and into the report: somebody's error, in one short line.
std::string shown(std::string text) {
  constexpr std::size_t kMost = 1024;
  if (text.size() > kMost) text.resize(kMost);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  return text;
}

// What a rank tells its neighbours before anything is written.
struct Offer {
  std::string lacks;    // why it cannot take part at all; empty: it can
  std::string refused;  // why its GPU's memory could not be registered
  std::string how;      // "dma-buf with mlx5_0"
  verbs::Gid gid;
  int mtu = 0;
  std::uint32_t towardsNext = 0, towardsPrevious = 0;  // queue pairs
  std::uint32_t psn = 0;                               // of both
  std::uint64_t address = 0;
  std::uint32_t key = 0;

  std::string encode() const {
    return bench::dumped({{"lacks", lacks},
                          {"refused", refused},
                          {"how", how},
                          {"gid", gid.toString()},
                          {"mtu", mtu},
                          {"towards_next", towardsNext},
                          {"towards_previous", towardsPrevious},
                          {"psn", psn},
                          {"address", address},
                          {"key", key}});
  }
  static Result<Offer> decode(std::string_view text) {
    constexpr std::size_t kMaxText = 4096;
    RAILHEAD_TRY_ASSIGN(const Json json, bench::parseObject(text));
    const auto number = [&](const char* name, std::uint64_t most) {
      return bench::unsignedField(json, name, 0, most);
    };
    Offer out;
    RAILHEAD_TRY_ASSIGN(out.lacks, bench::stringField(json, "lacks", kMaxText));
    RAILHEAD_TRY_ASSIGN(out.refused, bench::stringField(json, "refused", kMaxText));
    RAILHEAD_TRY_ASSIGN(out.how, bench::stringField(json, "how", kMaxText));
    RAILHEAD_TRY_ASSIGN(const auto gid, bench::stringField(json, "gid", 64));
    RAILHEAD_TRY_ASSIGN(out.gid, verbs::Gid::parse(gid));
    RAILHEAD_TRY_ASSIGN(const auto mtu, number("mtu", 4096));
    RAILHEAD_TRY_ASSIGN(const auto next, number("towards_next", kMax24));
    RAILHEAD_TRY_ASSIGN(const auto previous, number("towards_previous", kMax24));
    RAILHEAD_TRY_ASSIGN(const auto psn, number("psn", kMax24));
    RAILHEAD_TRY_ASSIGN(out.address, bench::unsignedField(json, "address"));
    RAILHEAD_TRY_ASSIGN(const auto key, number("key", UINT32_MAX));
    out.mtu = static_cast<int>(mtu);
    out.towardsNext = static_cast<std::uint32_t>(next);
    out.towardsPrevious = static_cast<std::uint32_t>(previous);
    out.psn = static_cast<std::uint32_t>(psn);
    out.key = static_cast<std::uint32_t>(key);
    return out;
  }
};

class Probe {
 public:
  Probe(collective::Group& group, verbs::Verbs& verbs, ProbedGpu* gpu)
      : group_(group),
        verbs_(verbs),
        gpu_(gpu),
        rank_(group.world().rank),
        ranks_(group.world().ranks) {}

  Result<ProbeOutcome> run() {
    if (const auto opened = open(); !opened.has_value()) own_.lacks = shown(opened.error().message);
    RAILHEAD_TRY_ASSIGN(const auto texts, group_.gather(own_.encode(), answerBy()));
    for (const auto& text : texts) {
      RAILHEAD_TRY_ASSIGN(auto offer, Offer::decode(text));
      offers_.push_back(std::move(offer));
    }
    // Both ends of a pair are ready before either writes.
    std::string trouble = messageOf(connect());
    RAILHEAD_TRY(group_.barrier(answerBy()));
    if (trouble.empty()) trouble = messageOf(write());
    RAILHEAD_TRY_ASSIGN(const auto told, group_.gather(trouble, answerBy()));
    return judge(told[static_cast<std::size_t>(previous())]);
  }

 private:
  static std::string messageOf(const Result<void>& result) {
    return result.has_value() ? "" : shown(result.error().message);
  }
  int next() const { return (rank_ + 1) % ranks_; }
  int previous() const { return (rank_ + ranks_ - 1) % ranks_; }
  const Offer& offerOf(int rank) const { return offers_[static_cast<std::size_t>(rank)]; }

  Result<void> open() {
    if (ranks_ < 2) return Error(ErrorCode::kUnsupported, "one rank alone has nobody to write to");
    if (gpu_ == nullptr) return Error(ErrorCode::kUnsupported, "no GPU takes part");
    RAILHEAD_TRY_ASSIGN(const auto choices, bench::chooseRails(verbs_, {}));
    rail_ = choices[static_cast<std::size_t>(group_.world().localRank) % choices.size()];
    RAILHEAD_TRY_ASSIGN(context_, verbs_.open(rail_.device.name));
    RAILHEAD_TRY_ASSIGN(queue_, context_->createCompletionQueue(2 * static_cast<int>(kAtOnce) + 2));
    RAILHEAD_TRY_ASSIGN(toNext_, context_->createQueuePair(*queue_, {kAtOnce, 1}));
    RAILHEAD_TRY_ASSIGN(toPrevious_, context_->createQueuePair(*queue_, {1, 1}));
    RAILHEAD_TRY(makeSource());
    own_.gid = rail_.gid.gid;
    own_.mtu = context_->info().activeMtu;
    own_.towardsNext = toNext_->number();
    own_.towardsPrevious = toPrevious_->number();
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    own_.psn =
        static_cast<std::uint32_t>(SplitMix(static_cast<std::uint64_t>(now)).next() & kMax24);
    if (const auto made = makeTarget(); !made.has_value())
      own_.refused = shown(made.error().message);
    return {};
  }

  Result<void> makeSource() {
    RAILHEAD_TRY_ASSIGN(source_, verbs::Buffer::allocate(kProbeBytes));
    for (std::uint32_t i = 0; i < kProbeBytes / sizeof(std::uint32_t); ++i) {
      const std::uint32_t word = collective::patternWord(kSeed, rank_, i);
      std::memcpy(source_.bytes().data() + i * sizeof word, &word, sizeof word);
    }
    RAILHEAD_TRY_ASSIGN(sourceRegion_, context_->registerMemory(source_.bytes()));
    return {};
  }

  // dma-buf where there is one, else by its address, as NCCL does.
  Result<void> makeTarget() {
    RAILHEAD_TRY_ASSIGN(target_, gpu_->memory.allocate(kProbeBytes));
    RAILHEAD_TRY(gpu_->memory.spoil(*target_));
    const verbs::DeviceSpan span{reinterpret_cast<std::uint64_t>(target_->data()), kProbeBytes};
    auto region = registerDmabuf(span);
    own_.how = "dma-buf with " + rail_.device.name;
    if (!region.has_value()) {
      const std::string first = region.error().message;
      region = registerPointer(span);
      own_.how = "nvidia-peermem with " + rail_.device.name;
      if (!region.has_value())
        return Error(ErrorCode::kUnsupported,
                     "by dma-buf: " + first + "; by nvidia-peermem: " + region.error().message);
    }
    targetRegion_ = std::move(*region);
    own_.address = targetRegion_->address();
    own_.key = targetRegion_->remoteKey();
    return {};
  }
  Result<std::unique_ptr<verbs::MemoryRegion>> registerDmabuf(const verbs::DeviceSpan& span) {
    RAILHEAD_TRY_ASSIGN(const auto fd, gpu_->exportDmabuf(span.address, span.size));
    return context_->registerDmabuf(fd.get(), 0, span);
  }
  Result<std::unique_ptr<verbs::MemoryRegion>> registerPointer(const verbs::DeviceSpan& span) {
    RAILHEAD_TRY(gpu_->orderWithRemoteAccess(span.address));
    return context_->registerDevicePointer(span);
  }

  bool writes(int from, int to) const {
    return offerOf(from).lacks.empty() && offerOf(to).lacks.empty() && offerOf(to).refused.empty();
  }

  Result<void> connectPair(verbs::QueuePair& pair, const Offer& peer, std::uint32_t number) {
    verbs::QueuePairPath path;
    path.localGidIndex = rail_.gid.index;
    path.localPsn = own_.psn;
    path.remoteGid = peer.gid;
    path.remoteNumber = number;
    path.remotePsn = peer.psn;
    path.mtu = std::min(own_.mtu, peer.mtu);
    return pair.connect(path);
  }
  Result<void> connect() {
    if (writes(rank_, next()))
      RAILHEAD_TRY(connectPair(*toNext_, offerOf(next()), offerOf(next()).towardsPrevious));
    if (writes(previous(), rank_))
      RAILHEAD_TRY(connectPair(*toPrevious_, offerOf(previous()), offerOf(previous()).towardsNext));
    return {};
  }

  Result<void> write() {
    if (!writes(rank_, next())) return {};
    for (std::uint32_t i = 0; i < kAtOnce; ++i) {
      verbs::WriteRequest request;
      request.id = i;
      request.source = {sourceRegion_.get(), i * kMessage, kMessage};
      request.remoteAddress = offerOf(next()).address + i * kMessage;
      request.remoteKey = offerOf(next()).key;
      RAILHEAD_TRY(toNext_->postWrite(request));
    }
    std::uint32_t done = 0;
    verbs::Poller poller({queue_.get()}, verbs::PollPolicy::forDevices({&context_->info()}));
    const auto deadline = std::chrono::steady_clock::now() + kWriteTime;
    while (done < kAtOnce) {
      RAILHEAD_TRY(poller.wait(
          deadline, [&](std::size_t, const verbs::Completion& completion) -> Result<void> {
            if (completion.status != verbs::CompletionStatus::kSuccess)
              return Error(ErrorCode::kCheckFailed, verbs::describe(completion));
            ++done;
            return {};
          }));
    }
    return {};
  }

  Result<ProbeOutcome> judge(const std::string& trouble) {
    if (!own_.lacks.empty()) return ProbeOutcome{std::nullopt, own_.lacks};
    const std::string from = "rank " + std::to_string(previous());
    if (!offerOf(previous()).lacks.empty())
      return ProbeOutcome{std::nullopt, from + ": " + offerOf(previous()).lacks};
    if (!own_.refused.empty()) return ProbeOutcome{ProbeResult{false, own_.refused}, ""};
    if (!trouble.empty())
      return ProbeOutcome{ProbeResult{false, own_.how + ": " + from + " wrote: " + trouble}, ""};
    if (gpu_->flushRemoteWrites) {
      // Not every driver needs or has it.
      static_cast<void>(gpu_->flushRemoteWrites());
    }
    collective::Expectation expected;
    expected.bytes = kProbeBytes;
    expected.rank = previous();
    expected.seed = kSeed;
    const auto check = gpu_->memory.check(*target_, {expected});
    if (!check.has_value())
      return ProbeOutcome{ProbeResult{false, shown(check.error().message)}, ""};
    if (check->elementsWrong > 0) {
      return ProbeOutcome{
          ProbeResult{false, own_.how + ": " + std::to_string(check->elementsWrong) +
                                 " of the written words are wrong, the first at byte " +
                                 std::to_string(check->firstWrong)},
          ""};
    }
    return ProbeOutcome{ProbeResult{true, own_.how + ", " + std::to_string(check->bytesChecked) +
                                              " bytes compared by the GPU"},
                        ""};
  }

  collective::Group& group_;
  verbs::Verbs& verbs_;
  ProbedGpu* gpu_;
  const int rank_, ranks_;
  bench::RailChoice rail_;
  Offer own_;
  std::vector<Offer> offers_;
  // Regions and pairs end before what they were made of.
  std::unique_ptr<collective::Buffer> target_;
  verbs::Buffer source_;
  std::unique_ptr<verbs::DeviceContext> context_;
  std::unique_ptr<verbs::CompletionQueue> queue_;
  std::unique_ptr<verbs::MemoryRegion> sourceRegion_, targetRegion_;
  std::unique_ptr<verbs::QueuePair> toNext_, toPrevious_;
};

}  // namespace

Result<ProbeOutcome> probeDevice(collective::Group& group, verbs::Verbs& verbs, ProbedGpu* gpu) {
  return Probe(group, verbs, gpu).run();
}

}  // namespace railhead::verify
