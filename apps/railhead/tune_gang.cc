#include "apps/railhead/tune_gang.h"

#include "apps/usage/signal_fd.h"
#include "src/launch/gang.h"
#include "src/launch/kubernetes/exec.h"
#include "src/os/host_paths.h"

#include <algorithm>
#include <csignal>
#include <deque>
#include <optional>

namespace railhead::app {
namespace {

// For ranks that were told to leave.
constexpr std::chrono::seconds kLeave{2};
// How often the operator is looked at.
constexpr std::chrono::milliseconds kLook{50};
// Of pods that only say what they are.
constexpr std::chrono::seconds kForAMoment{1800};

std::chrono::milliseconds leftUntil(os::Clock::TimePoint deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  return std::clamp(left, std::chrono::milliseconds{0}, kLook);
}

class LaunchedGang final : public tune::Gang {
 public:
  explicit LaunchedGang(std::function<bool()> givenUp) : givenUp_(std::move(givenUp)) {}

  Result<void> start(const std::vector<launch::RankCommand>& ranks) {
    launch::GangSettings settings;
    settings.onLine = [this](int /*rank*/, std::string_view line) {
      if (line.starts_with(tune::kReplyMark))
        replies_.emplace_back(line.substr(tune::kReplyMark.size()));
    };
    RAILHEAD_TRY_ASSIGN(gang_, launch::RunningGang::start(ranks, std::move(settings),
                                                          os::HostPaths().dev + "/null"));
    return {};
  }
  ~LaunchedGang() override {
    if (gang_ == nullptr || over_) return;
    // An empty line lets ranks that wait for an order leave in good order; one that hangs is
    // killed.
    const auto limit = std::chrono::steady_clock::now() + kLeave;
    if (gang_->tell(0, "\n").has_value()) {
      while (gang_->step() && std::chrono::steady_clock::now() < limit) {
      }
    }
    gang_->end();
  }

  Result<void> tell(std::string_view line) override { return gang_->tell(0, line); }

  Result<Heard> hear(os::Clock::TimePoint deadline) override {
    do {
      if (!replies_.empty()) {
        Heard heard{Heard::Kind::kReply, std::move(replies_.front()), false};
        replies_.pop_front();
        return heard;
      }
      if (over_) return *over_;
      if (givenUp_()) return Error(ErrorCode::kUnavailable, "interrupted");
      if (!gang_->step(leftUntil(deadline)))
        over_ = overBy(launch::withoutKubectlsWords(gang_->end()));
    } while (over_ || !replies_.empty() || std::chrono::steady_clock::now() < deadline);
    return Heard{};
  }

 private:
  static Heard overBy(const launch::GangEnd& end) {
    bool bySignal = false;
    for (const auto& rank : end.ranks) {
      // Beyond the last signal's it is a command's own: 255 is ssh's.
      if (rank.rank == end.failed)
        bySignal = rank.exitCode > 128 && rank.exitCode <= 128 + SIGRTMAX;
    }
    const std::string reason = end.reason();
    return {Heard::Kind::kOver, reason.empty() ? "the ranks ended" : reason, bySignal};
  }

  std::function<bool()> givenUp_;
  std::unique_ptr<launch::RunningGang> gang_;
  std::deque<std::string> replies_;
  std::optional<Heard> over_;
};

}  // namespace

Result<std::unique_ptr<tune::Gang>> TuneGangStarter::start(const tune::Setting& process, int slot) {
  std::vector<std::string> words = {"tune", "rank", "--setting", process.text()};
  words.insert(words.end(), words_.begin(), words_.end());
  RAILHEAD_TRY_ASSIGN(const auto commands, place_.commands(words, slot));
  auto gang = std::make_unique<LaunchedGang>(givenUp_);
  RAILHEAD_TRY(gang->start(commands));
  return std::unique_ptr<tune::Gang>(std::move(gang));
}

std::function<bool()> untilSignal(const usage::SignalFd& signals, Context& context) {
  return [&] {
    const int signal = signals.take();
    if (signal != 0) context.exitCode = static_cast<ExitCode>(128 + signal);
    return context.exitCode != ExitCode::kOk;
  };
}

Result<tune::GangFacts> fabricThere(const RankOptions& ranks, const RankTuneOptions& tuning,
                                    Context& context) {
  if (ranks.dryRun) {
    return Error(ErrorCode::kInvalidArgument,
                 "--dry-run: railhead tune itself prints the objects, without a subcommand");
  }
  const usage::SignalFd signals;
  const auto stopped = untilSignal(signals, context);
  const auto place = RankPlace::open(ranks, context, {kForAMoment, stopped, signals.get()});
  if (!place.has_value()) {
    (void)stopped();  // a signal may have ended it
    return place.error();
  }
  TuneGangStarter starter(**place, tuning.words(ranks), stopped);
  os::SystemClock clock;
  auto facts = tune::GangBench(starter, clock, tuning.benchSettings(ranks)).open();
  // Also what came while its ranks were leaving.
  if (untilSignal(signals, context)()) return Error(ErrorCode::kUnavailable, "interrupted");
  return facts;
}

}  // namespace railhead::app
