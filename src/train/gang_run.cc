#include "src/train/gang_run.h"

#include "src/base/text.h"
#include "src/base/units.h"
#include "src/checkpoint/reading.h"
#include "src/checkpoint/writing.h"
#include "src/train/node_facts.h"
#include "src/train/origin.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace railhead::train {
namespace {

constexpr std::chrono::milliseconds kTick{50};
constexpr std::size_t kMostOfAValue = 4096;  // of a checkpoint's model, bytes
constexpr std::size_t kLastLinesOf = 20;     // attempts
constexpr std::chrono::milliseconds kLookAtCheckpoints{500};
// A rank's guard needs a moment beyond the command's own time.
constexpr std::chrono::milliseconds kGuardTime{2000};
// And one whose watcher is gone, to see that.
constexpr std::chrono::milliseconds kOrphans{30000};

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<long long>(std::ceil(seconds * 1000)));
}

// What a rank printed for us and not for people.
bool isOurs(const std::string& line) {
  return parseFactsLine(line).has_value() || parseMetricsLine(line).has_value();
}

double secondsBetween(os::Clock::TimePoint from, os::Clock::TimePoint to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

std::string utcText(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

GangRun::GangRun(const RunFolder& folder, const RunFile& run, Manifest& manifest,
                 os::Filesystem& files, os::Clock& clock, RankStarter starter,
                 GangRunSettings settings)
    : folder_(folder),
      run_(run),
      manifest_(manifest),
      files_(files),
      clock_(clock),
      starter_(std::move(starter)),
      settings_(std::move(settings)) {}

Result<void> GangRun::run() {
  begun_ = clock_.now();
  for (int rank = 0; rank < run_.ranks; ++rank) {
    RAILHEAD_TRY_ASSIGN(auto series, folder_.readSeries(files_, rank));
    ranks_.emplace_back(rank, folder_.metricsFile(rank), std::move(series));
    const std::string log = folder_.logFile(rank);
    logs_.emplace_back(::open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
    if (!logs_.back()) return Error::fromErrno(errno, "open " + log);
  }
  sayKilled(manifest_);
  manifest_.state = "running";
  manifest_.reason.clear();
  manifest_.ended.clear();
  for (;;) {
    StartPlan plan;
    const auto from = prepare(plan);
    if (isStopAsked()) return finish("stopped", "railhead train stop");
    if (isInterrupted()) return finish("interrupted", "");
    if (!from.has_value()) {
      (void)finish("failed", from.error().message);
      return from.error();
    }
    RAILHEAD_TRY_ASSIGN(const Ended ended, attempt(plan));
    RAILHEAD_TRY(lookForCheckpoints());
    if (ended.how != "failed" && ended.how != "hung") return finish(ended.how, ended.reason);
    tell({RunEvent::Kind::kFailed, plan.attempt, 0, nullptr, ended.reason, 0});
    if (!mayTryAgain(ended)) return finish("failed", manifest_.reason);
    const double wait =
        std::min(run_.retry.backoffMaxSeconds,
                 run_.retry.backoffSeconds * std::pow(2, std::min(sinceCheckpoint_, 30)));
    ++sinceCheckpoint_;
    tell({RunEvent::Kind::kPause, plan.attempt + 1, 0, nullptr, "", wait});
    if (!pause(wait)) {
      const bool interrupted = isInterrupted();
      return finish(interrupted ? "interrupted" : "stopped",
                    "stopped while it waited to start again");
    }
  }
}

// Those of a watcher that was killed may still be ending.
Result<void> GangRun::waitForRanks() {
  const auto until = clock_.now() + milliseconds(run_.deadlines.stop) + kGuardTime + kOrphans;
  for (;;) {
    auto gone = folder_.waitForRanks(clock_, std::min(until, clock_.now() + kTick));
    const bool busy = !gone.has_value() && gone.error().code == ErrorCode::kBusy;
    if (!busy || clock_.now() >= until || isStopAsked() || isInterrupted()) return gone;
  }
}

// Where to go on from; what stands after it counts no more.
Result<void> GangRun::prepare(StartPlan& plan) {
  RAILHEAD_TRY(waitForRanks());
  Origin origin;
  if (settings_.checkpointsElsewhere) {
    origin = originTold(ranks_.front().series());
  } else {
    RAILHEAD_TRY_ASSIGN(origin, originIn(files_, folder_.checkpoints()));
  }
  const std::uint64_t step = origin.step.value_or(0);
  for (const auto& line : origin.notes) note(line);
  plan.attempt = manifest_.attempts.empty() ? 1 : manifest_.attempts.back().number + 1;
  plan.first = !std::exchange(started_, true);
  plan.resume = origin.path;
  for (auto& rank : ranks_) RAILHEAD_TRY(rank.beginAttempt(plan.attempt, step, clock_.now()));
  std::erase_if(manifest_.checkpoints,
                [&](const checkpoint::Checkpoint& one) { return one.step > step; });
  // Who was killed may have heard of it and not kept that.
  if (settings_.checkpointsElsewhere && origin.step) RAILHEAD_TRY(takeTold(step));
  attemptBegun_ = clock_.now();
  Attempt attempt;
  attempt.number = plan.attempt;
  attempt.fromStep = origin.step;
  attempt.started = utcText(clock_.wallTime());
  attempt.end = "running";
  manifest_.attempts.push_back(attempt);
  RAILHEAD_TRY(keep());
  const std::string head =
      "railhead: start " + std::to_string(plan.attempt) +
      (origin.step ? ", from the checkpoint of step " + std::to_string(step) : "") + "\n";
  for (int rank = 0; rank < run_.ranks; ++rank) log(rank, head);
  tell({RunEvent::Kind::kStarted, plan.attempt, step, nullptr, "", 0});
  return {};
}

Result<GangRun::Ended> GangRun::attempt(const StartPlan& plan) {
  auto ended = runGang(plan);
  if (settings_.onStartOver) {
    auto over = settings_.onStartOver();
    const bool another = ended.has_value() && (ended->how == "failed" || ended->how == "hung");
    if (!over.has_value() && another && !isInterrupted()) {
      ended = std::move(over).error();  // what is left could meet the next start
    } else if (!over.has_value()) {
      note(over.error().describe());
      // Who stops it from elsewhere sees no notes.
      if (ended.has_value())
        ended->reason += (ended->reason.empty() ? "" : "; ") + over.error().message;
    }
  }
  if (!ended.has_value() && isInterrupted()) {
    // Who makes the ranks did not wait for what was not there.
    const std::string reason = ended.error().message;
    ended = Ended{"interrupted", reason, std::nullopt, 0};
  }
  auto& kept = manifest_.attempts.back();
  kept.seconds = secondsBetween(attemptBegun_, clock_.now());
  if (!ended.has_value()) {
    // What fails before there are ranks, or of our own, is this start's end too.
    (void)finish("failed", ended.error().message);
    return ended;
  }
  exitCode_ = ended->exitCode;
  kept.end = ended->how;
  kept.reason = ended->reason;
  kept.rank = ended->rank;
  manifest_.reason = ended->reason;
  RAILHEAD_TRY(takeMetrics());
  RAILHEAD_TRY(keep());
  return ended;
}

Result<GangRun::Ended> GangRun::runGang(const StartPlan& plan) {
  RAILHEAD_TRY_ASSIGN(const auto commands, starter_(plan));
  manifest_.place.order.clear();
  for (const auto& command : commands) manifest_.place.order.push_back(command.node);
  placeTold_ = true;
  launch::GangSettings settings;
  settings.grace = milliseconds(run_.deadlines.stop) + kGuardTime;
  settings.interruptFd = settings_.interruptFd;
  settings.onLine = [this](int rank, std::string_view line) { takeLine(rank, line); };
  RAILHEAD_TRY_ASSIGN(const auto gang, launch::RunningGang::start(commands, std::move(settings),
                                                                  settings_.nullDevice));
  // What stood before may have taken its time to go.
  for (auto& rank : ranks_) rank.beginTime(clock_.now());
  auto ended = watch(*gang);
  if (!ended.has_value()) gang->end();
  return ended;
}

Result<GangRun::Ended> GangRun::watch(launch::RunningGang& gang) {
  std::optional<Ended> decided;
  while (!decided && gang.step(kTick)) {
    if (auto nodes = gang.nodes(); nodes != manifest_.place.order) {
      manifest_.place.order = std::move(nodes);
      placeTold_ = true;
    }
    // A disk that is full now must not end a run that needs nothing of it yet.
    if (placeTold_ && keep().has_value()) placeTold_ = false;
    RAILHEAD_TRY(takeMetrics());
    RAILHEAD_TRY(lookForCheckpoints());
    if (failure_) return *failure_;
    if (isStopAsked()) {
      decided = Ended{"stopped", "railhead train stop", std::nullopt, 0};
    } else if (run_.deadlines.run > 0 &&
               secondsBetween(begun_, clock_.now()) > run_.deadlines.run) {
      decided = Ended{"stopped", "it ran for deadlines.runSeconds", std::nullopt, 0};
    } else {
      decided = hung(gang);
    }
  }
  auto end = gang.end();
  for (auto& rank : end.ranks) std::erase_if(rank.lastLines, isOurs);
  return endOf(std::move(end), std::move(decided));
}

// Of those that are overdue the one that is furthest behind, and of these the first that fell
// silent.
std::optional<GangRun::Ended> GangRun::hung(launch::RunningGang& gang) {
  const auto now = clock_.now();
  const RankWatch* worst = nullptr;
  std::string deadline;
  std::uint64_t farthest = 0;
  for (const auto& rank : ranks_) {
    farthest = std::max(farthest, rank.series().lastStep());
    const auto overdue = rank.overdue(run_.deadlines, now);
    if (!overdue || gang.hasEnded(rank.rank())) continue;
    const bool behind = worst == nullptr || rank.series().lastStep() < worst->series().lastStep() ||
                        (rank.series().lastStep() == worst->series().lastStep() &&
                         rank.lastProgress() < worst->lastProgress());
    if (!behind) continue;
    worst = &rank;
    deadline = *overdue;
  }
  if (worst == nullptr) return std::nullopt;
  const std::string node = manifest_.place.order[static_cast<std::size_t>(worst->rank())];
  std::string reason =
      "rank " + std::to_string(worst->rank()) + " (node " + node + ") was silent for " +
      formatSeconds(secondsBetween(worst->lastProgress(), now)) + ", past " + deadline;
  if (farthest > 0) {
    reason += "; it stands at step " + std::to_string(worst->series().lastStep()) +
              (farthest > worst->series().lastStep() ? ", another at " + std::to_string(farthest)
                                                     : ", as all others or before them");
  }
  return Ended{"hung", std::move(reason), worst->rank(), 0};
}

GangRun::Ended GangRun::endOf(launch::GangEnd end, std::optional<Ended> decided) {
  Ended out;
  if (decided) {
    out = std::move(*decided);
  } else if (end.ok()) {
    out.how = "finished";
  } else {
    out.how = end.interrupted ? "interrupted" : "failed";
    out.reason = end.reason();
    if (!end.interrupted) out.rank = end.failed;
  }
  if (!out.rank) return out;
  for (const auto& rank : end.ranks) {
    if (rank.rank != *out.rank) continue;
    out.exitCode = rank.exitCode;
    auto& kept = manifest_.attempts.back();
    kept.node = rank.node;
    kept.lastLines = rank.lastLines;
    if (out.how != "hung") break;
    const auto said = std::find_if(kept.lastLines.rbegin(), kept.lastLines.rend(),
                                   [](const std::string& line) { return !trim(line).empty(); });
    if (said != kept.lastLines.rend()) out.reason += ": " + *said;
  }
  return out;
}

void GangRun::takeLine(int rank, std::string_view line) {
  if (const auto facts = parseFactsLine(line)) {
    auto& nodes = manifest_.place.nodes;
    const auto known = std::find_if(nodes.begin(), nodes.end(),
                                    [&](const NodeFacts& one) { return one.node == facts->node; });
    if (known == nodes.end()) {
      nodes.push_back(*facts);
      placeTold_ = true;
    } else if (*known != *facts) {
      *known = *facts;
      placeTold_ = true;
    }
    return;
  }
  auto& watch = ranks_[static_cast<std::size_t>(rank)];
  const auto metrics = watch.takeOutput(line, clock_.now());
  if (!metrics.has_value()) {
    failure_ = metrics.error();
  } else if (*metrics) {
    return;
  }
  log(rank, std::string(line) + "\n");
  if (settings_.onOutput) settings_.onOutput(rank, line);
}

Result<void> GangRun::takeMetrics() {
  for (auto& rank : ranks_) {
    const auto lines = rank.takeNew(clock_.now());
    if (const auto broken = rank.takeBroken(); !broken.empty())
      note("rank " + std::to_string(rank.rank()) +
           " told metrics that are none and do not count: " + broken + "; of NaN write null");
    for (const auto& line : lines) {
      if (rank.rank() != 0) continue;
      for (const auto& [name, value] : line.facts) manifest_.facts[name] = value;
      if (line.kind == MetricsLine::Kind::kStep) {
        tell({RunEvent::Kind::kStep, 0, line.step.step, &line.step, "", 0});
      }
      if (line.kind == MetricsLine::Kind::kResumed) RAILHEAD_TRY(takeBack(line.step.step));
      if (line.kind != MetricsLine::Kind::kCheckpoint) continue;
      lastLook_ = {};
      if (settings_.checkpointsElsewhere) RAILHEAD_TRY(takeTold(line.step.step));
    }
  }
  return {};
}

// Told of by this start or an earlier one, and not given up since.
bool GangRun::isKnown(std::uint64_t checkpoint) const {
  return std::any_of(manifest_.checkpoints.begin(), manifest_.checkpoints.end(),
                     [&](const checkpoint::Checkpoint& one) { return one.step == checkpoint; });
}

// The trainer reads the checkpoints where we cannot, and found the one it was told not whole.
Result<void> GangRun::takeBack(std::uint64_t step) {
  auto& from = manifest_.attempts.back().fromStep;
  if (from.value_or(0) <= step) return {};
  note("the checkpoint of step " + std::to_string(*from) +
       " is not whole where the ranks are: they go on from that of step " + std::to_string(step));
  from = step;
  std::erase_if(manifest_.checkpoints,
                [&](const checkpoint::Checkpoint& one) { return one.step > step; });
  return keep();
}

// Nothing but its step is known here.
Result<void> GangRun::takeTold(std::uint64_t step) {
  if (isKnown(step)) return {};
  checkpoint::Checkpoint told;
  told.step = step;
  told.world = static_cast<std::uint64_t>(run_.ranks);
  manifest_.checkpoints.push_back(std::move(told));
  sinceCheckpoint_ = 0;
  tell({RunEvent::Kind::kCheckpoint, 0, step, nullptr, "", 0});
  return keep();
}

// New ones go into the manifest, as checkpoint.json tells of them.
Result<void> GangRun::lookForCheckpoints() {
  if (settings_.checkpointsElsewhere) return {};
  const auto now = clock_.now();
  if (now - lastLook_ < kLookAtCheckpoints && manifest_.attempts.back().end == "running") return {};
  lastLook_ = now;
  // What cannot be read now is looked at again.
  const auto found = takeNewCheckpoints(files_, folder_, manifest_);
  if (found.empty()) return {};
  sinceCheckpoint_ = 0;
  for (const std::uint64_t step : found)
    tell({RunEvent::Kind::kCheckpoint, 0, step, nullptr, "", 0});
  RAILHEAD_TRY(dropOld());
  return keep();
}

Result<void> GangRun::dropOld() {
  if (run_.keepCheckpoints == 0) return {};
  const auto found = checkpoint::findCheckpoints(files_, folder_.checkpoints());
  if (!found.has_value()) return {};
  const auto& steps = found->complete;
  for (std::size_t i = 0; i + run_.keepCheckpoints < steps.size(); ++i)
    RAILHEAD_TRY(checkpoint::removeCheckpoint(files_, folder_.checkpoints(), steps[i]));
  return {};
}

bool GangRun::mayTryAgain(const Ended& ended) {
  const auto& never = run_.retry.notAfter;
  if (ended.how == "failed" &&
      std::find(never.begin(), never.end(), ended.exitCode) != never.end()) {
    manifest_.reason = ended.reason + " (retry.notAfter: not tried again)";
    return false;
  }
  if (restarts_ < run_.retry.restarts) {
    ++restarts_;
    return true;
  }
  manifest_.reason = ended.reason;
  if (run_.retry.restarts > 0) {
    manifest_.reason +=
        " (after " + std::to_string(run_.retry.restarts) + " restarts, retry.restarts)";
  }
  return false;
}

bool GangRun::pause(double seconds) {
  const auto until = clock_.now() + milliseconds(seconds);
  while (clock_.now() < until) {
    if (isStopAsked() || isInterrupted()) return false;
    pollfd waiting{settings_.interruptFd, POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock_.now());
    ::poll(&waiting, 1, static_cast<int>(std::clamp<long long>(left.count(), 0, kTick.count())));
  }
  return !isInterrupted();
}

bool GangRun::isStopAsked() { return files_.exists(folder_.stopFile()); }

bool GangRun::isInterrupted() const {
  pollfd waiting{settings_.interruptFd, POLLIN, 0};
  return settings_.interruptFd >= 0 && ::poll(&waiting, 1, 0) > 0;
}

// A manifest is read whole, within bounds. Of a checkpoint that is gone the digest of its record
// says all that there is to compare; last lines are for those who look at the latest failures.
void GangRun::forgetOld() {
  for (auto& one : manifest_.checkpoints) {
    for (auto value = one.model.begin(); value != one.model.end();) {
      value = value->second.size() > kMostOfAValue ? one.model.erase(value) : std::next(value);
    }
    if (one.files.empty() || &one == &manifest_.checkpoints.back()) continue;
    if (!files_.exists(folder_.checkpoints() + "/" + checkpoint::checkpointName(one.step)))
      one.files.clear();
  }
  for (std::size_t i = 0; i + kLastLinesOf < manifest_.attempts.size(); ++i) {
    manifest_.attempts[i].lastLines.clear();
  }
}

Result<void> GangRun::keep() {
  manifest_.metrics = totalsOf(ranks_.front().series());
  // Of one that is killed it is what the last writing knew.
  if (!manifest_.attempts.empty() && manifest_.attempts.back().end == "running")
    manifest_.attempts.back().seconds = secondsBetween(attemptBegun_, clock_.now());
  forgetOld();
  return folder_.writeManifest(files_, manifest_);
}

void GangRun::tell(RunEvent event) {
  if (event.attempt == 0 && !manifest_.attempts.empty())
    event.attempt = manifest_.attempts.back().number;
  if (settings_.onEvent) settings_.onEvent(event);
}

// A full disk must not end a run because of its log.
void GangRun::log(int rank, const std::string& text) {
  const ssize_t put =
      ::write(logs_[static_cast<std::size_t>(rank)].get(), text.data(), text.size());
  if (std::cmp_equal(put, text.size()) || std::exchange(logsCut_, true)) return;
  const auto why = put < 0 ? Error::fromErrno(errno, "write to " + folder_.logFile(rank))
                           : Error(ErrorCode::kExhausted, folder_.logFile(rank) + " has no room");
  note("logs are cut from here on: " + why.message);
}

void GangRun::note(const std::string& text) {
  tell({RunEvent::Kind::kNote, 0, 0, nullptr, text, 0});
}

Result<void> GangRun::finish(const std::string& state, const std::string& reason) {
  manifest_.state = state;
  manifest_.reason = reason;
  // A start that was prepared and not made.
  if (!manifest_.attempts.empty() && manifest_.attempts.back().end == "running") {
    manifest_.attempts.back().end = state;
    manifest_.attempts.back().reason = reason;
  }
  manifest_.ended = utcText(clock_.wallTime());
  const std::uint64_t last = ranks_.front().series().lastStep();
  if (state == "finished" && run_.steps && last > 0 && last < *run_.steps) {
    note("it ended by itself at step " + std::to_string(last) + " of " +
         std::to_string(*run_.steps));
  }
  tell({RunEvent::Kind::kEnded, 0, last, nullptr, state, 0});
  return keep().addContext("the run is " + state + ", which could not be kept");
}

}  // namespace railhead::train
