#include "src/tune_run/rank_worker.h"

#include "src/bench/collectives/sweep.h"

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
std::optional<Failed> choose(const RankWorker& rank, const Order& order) {
  const auto chosen = rank.choose(order.choice);
  const auto all = rank.group.gather(
      chosen.has_value() ? "" : chosen.error().describe().substr(0, kMaxFirstWords),
      by(kTogetherTime));
  if (!all.has_value()) return failedBy(all.error());
  for (const std::string& why : *all) {
    if (!why.empty()) return Failed{Outcome::kRefused, Error(ErrorCode::kUnsupported, why)};
  }
  return std::nullopt;
}

std::optional<Failed> measureOne(const RankWorker& rank, const Order& order, std::size_t index) {
  const Size& size = order.sizes[index];
  const auto operation = parseSizeOperation(size.operation);
  if (!operation.has_value()) return Failed{Outcome::kRefused, operation.error()};
  const auto swept = bench::runSweep(rank.communicator, rank.group,
                                     planFor(rank, *operation, order, size), rank.clock, {});
  if (!swept.has_value()) return failedBy(swept.error());
  if (swept->failure) return Failed{Outcome::kCorrupt, *swept->failure};
  if (swept->report.lines.size() != 1) {
    return Failed{Outcome::kRefused,
                  Error(ErrorCode::kUnsupported, "this backend has no " + size.operation + " of " +
                                                     std::to_string(size.bytes) + " bytes")};
  }
  if (rank.communicator.rank() != 0) return std::nullopt;
  TimesReply times{order.number, index, {}};
  for (const double microseconds : swept->report.lines.front().samples)
    times.seconds.push_back(microseconds / 1e6);
  rank.reply(encode(times));
  return std::nullopt;
}

std::optional<Failed> serve(const RankWorker& rank, const Order& order) {
  if (auto failed = choose(rank, order)) return failed;
  for (std::size_t i = 0; i < order.sizes.size(); ++i) {
    if (auto failed = measureOne(rank, order, i)) return failed;
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
  for (;;) {
    std::string line;
    if (rank.communicator.rank() == 0) line = rank.nextOrder().value_or("");
    RAILHEAD_TRY_ASSIGN(line, rank.group.fromHub(line, by(kIdleTime)));
    if (line.empty()) return {};
    RAILHEAD_TRY_ASSIGN(const Order order, decodeOrder(line).addContext("an order"));
    auto failed = serve(rank, order);
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
