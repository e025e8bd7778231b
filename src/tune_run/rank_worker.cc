#include "src/tune_run/rank_worker.h"

#include "src/bench/collectives/overlap.h"
#include "src/bench/collectives/room.h"
#include "src/bench/collectives/sweep.h"

#include <utility>

namespace railhead::tune {
namespace {

constexpr std::chrono::seconds kTogetherTime{60};
// Another gang may be measured meanwhile, or the operator may have stopped the launcher.
constexpr std::chrono::hours kIdleTime{24};
constexpr std::size_t kMaxFirstWords = 4096;

os::Deadline by(std::chrono::seconds time) { return std::chrono::steady_clock::now() + time; }

struct Failed {
  Outcome outcome = Outcome::kCrashed;
  Error error;
};

bench::CollectivePlan planFor(const RankWorker& rank, collective::Operation operation,
                              const Order& order, const Size& size) {
  bench::CollectivePlan plan;
  plan.operations = {operation};
  plan.minBytes = plan.maxBytes = size.bytes;
  plan.inPlace = false;
  plan.secondsPerCall = rank.secondsPerCall;
  plan.seed = rank.seed + static_cast<std::uint32_t>(order.number);
  plan.exactSamples = static_cast<std::size_t>(order.repetitions);
  return plan;
}

Failed failedBy(Error error) {
  const bool hung = error.code == ErrorCode::kDeadlineExceeded;
  return {hung ? Outcome::kHung : Outcome::kCrashed, std::move(error)};
}

// Every rank decides alike: what one could not do, none does.
std::optional<Failed> together(const RankWorker& rank, const Result<void>& own) {
  const auto all = rank.group.gather(
      own.has_value() ? "" : own.error().describe().substr(0, kMaxFirstWords), by(kTogetherTime));
  if (!all.has_value()) return failedBy(all.error());
  for (const std::string& why : *all) {
    if (!why.empty()) return Failed{Outcome::kRefused, Error(ErrorCode::kUnsupported, why)};
  }
  return std::nullopt;
}

// A step of its own, before the sweep asks the same: a call's own error may be of the same class.
std::optional<Failed> askRoom(const RankWorker& rank, const Size& size) {
  const auto fits = bench::checkRoomTogether(
      rank.sizeOption, size.bytes, rank.communicator.memory(), rank.group, by(kTogetherTime));
  if (fits.has_value()) return std::nullopt;
  if (fits.error().code != ErrorCode::kInvalidArgument) return failedBy(fits.error());
  return Failed{Outcome::kNoRoom, Error(fits.error().code, fits.error().describe())};
}

// What stands beside overlapped calls; made once, kept from order to order.
using KeptCompute = std::unique_ptr<collective::Compute>;

Result<void> open(const RankWorker& rank, KeptCompute& compute) {
  if (!rank.openCompute)
    return Error(ErrorCode::kUnsupported, "this rank has no compute beside its calls");
  RAILHEAD_TRY_ASSIGN(compute, rank.openCompute());
  return {};
}

std::optional<Failed> chooseWork(const RankWorker& rank, const Order& order, std::size_t index,
                                 const bench::CollectivePlan& plan, collective::Compute& compute) {
  const auto work =
      bench::chooseOverlapWork(rank.communicator, rank.group, plan, rank.clock, compute);
  if (!work.has_value()) {
    if (work.error().code == ErrorCode::kCheckFailed)
      return Failed{Outcome::kCorrupt, work.error()};
    if (work.error().code == ErrorCode::kUnsupported)
      return Failed{Outcome::kRefused, work.error()};
    return failedBy(work.error());
  }
  if (rank.communicator.rank() == 0) rank.reply(encode(WorkReply{order.number, index, *work}));
  return std::nullopt;
}

struct Swept {
  std::optional<Failed> failed;
  bench::SweepReport report;
};

Swept sweep(const RankWorker& rank, const bench::CollectivePlan& plan,
            const bench::Beside& beside) {
  std::uint64_t before = 0;
  if (beside.compute != nullptr) {
    const auto done = beside.compute->done();
    if (!done.has_value()) return {failedBy(done.error()), {}};
    before = *done;
  }
  auto swept = bench::runSweep(rank.communicator, rank.group, plan, rank.clock, {}, beside);
  if (!swept.has_value()) return {failedBy(swept.error()), {}};
  if (swept->failure) return {Failed{Outcome::kCorrupt, *swept->failure}, {}};
  if (beside.compute != nullptr && !swept->report.lines.empty()) {
    const auto& line = swept->report.lines.front();
    const auto calls = line.samples.size() * static_cast<std::uint64_t>(line.callsPerSample);
    const auto worked = bench::checkWorkedOff(*beside.compute, before, calls * beside.unitsPerCall);
    if (!worked.has_value()) return {failedBy(worked.error()), {}};
  }
  return {std::nullopt, std::move(swept->report)};
}

std::optional<Failed> measureOne(const RankWorker& rank, const Order& order, std::size_t index,
                                 KeptCompute& compute) {
  const Size& size = order.sizes[index];
  const auto operation = parseSizeOperation(size.operation);
  if (!operation.has_value()) return Failed{Outcome::kRefused, operation.error()};
  if (auto failed = askRoom(rank, size)) return failed;
  const auto plan = planFor(rank, *operation, order, size);
  if (size.overlapped && compute == nullptr) {
    if (auto failed = together(rank, open(rank, compute))) return failed;
  }
  if (order.choosesWork(index)) return chooseWork(rank, order, index, plan, *compute);
  const auto swept =
      sweep(rank, plan,
            size.overlapped ? bench::Beside{compute.get(), order.unitsOf(index)} : bench::Beside{});
  if (swept.failed) return swept.failed;
  if (swept.report.lines.size() != 1) {
    return Failed{Outcome::kRefused,
                  Error(ErrorCode::kUnsupported, "this backend has no " + size.operation + " of " +
                                                     std::to_string(size.bytes) + " bytes")};
  }
  if (rank.communicator.rank() != 0) return std::nullopt;
  TimesReply times{order.number, index, {}};
  for (const double microseconds : swept.report.lines.front().samples)
    times.seconds.push_back(microseconds / 1e6);
  rank.reply(encode(times));
  return std::nullopt;
}

std::optional<Failed> serve(const RankWorker& rank, const Order& order, KeptCompute& compute) {
  if (auto failed = together(rank, rank.choose(order.choice))) return failed;
  for (std::size_t i = 0; i < order.sizes.size(); ++i) {
    if (auto failed = measureOne(rank, order, i, compute)) return failed;
  }
  return std::nullopt;
}

Result<void> tellFacts(const RankWorker& rank, const RankFacts& own) {
  RAILHEAD_TRY_ASSIGN(const auto all, rank.group.gather(encode(own), by(kTogetherTime)));
  if (rank.communicator.rank() != 0) return {};
  for (std::size_t i = 0; i < all.size(); ++i) {
    RAILHEAD_TRY_ASSIGN(auto facts, decodeFacts(all[i]).addContext("rank " + std::to_string(i)));
    rank.reply(encode(FactsReply{i, all.size(), std::move(facts)}));
  }
  return {};
}

}  // namespace

Result<void> serveOrders(const RankWorker& rank, const RankFacts& own) {
  RAILHEAD_TRY(tellFacts(rank, own));
  KeptCompute compute;
  for (;;) {
    std::string line;
    if (rank.communicator.rank() == 0) line = rank.nextOrder().value_or("");
    RAILHEAD_TRY_ASSIGN(line, rank.group.fromHub(line, by(kIdleTime)));
    if (line.empty()) return {};
    RAILHEAD_TRY_ASSIGN(const Order order, decodeOrder(line).addContext("an order"));
    auto failed = serve(rank, order, compute);
    if (!failed) continue;
    // A rank that is gone says more than the call that it left.
    const auto gone = rank.group.failure();
    if (gone && failed->outcome == Outcome::kCrashed) failed->error = *gone;
    rank.reply(encode(FailedReply{failed->outcome, failed->error.message}));
    rank.group.fail(failed->error);
    return failed->error;
  }
}

}  // namespace railhead::tune
