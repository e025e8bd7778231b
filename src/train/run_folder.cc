#include "src/train/run_folder.h"

#include "src/base/text.h"
#include "src/checkpoint/reading.h"
#include "src/os/file_lock.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::train {
namespace {

constexpr std::size_t kMaxManifest = 64 << 20;
constexpr std::size_t kMaxMetrics = 1 << 30;
constexpr int kMostRuns = 100000;
constexpr std::chrono::milliseconds kLookAtRanks{20};
constexpr const char* kPutBack =
    "put manifest.json back from a copy; run.yaml, logs, metrics and checkpoints beside it are as "
    "the run left them";

}  // namespace

std::string RunFolder::metricsFile(int rank) const {
  return path_ + "/metrics/rank-" + std::to_string(rank) + ".jsonl";
}
std::string RunFolder::logFile(int rank) const {
  return path_ + "/logs/rank-" + std::to_string(rank) + ".log";
}

Result<void> RunFolder::create(os::Filesystem& files, std::string_view runFileText) const {
  const auto slash = path_.rfind('/');
  if (slash > 0) RAILHEAD_TRY(files.makeDirectories(path_.substr(0, slash)));
  // Exactly one of two that want the same folder gets it.
  if (::mkdir(path_.c_str(), 0755) != 0) return Error::fromErrno(errno, "make run folder " + path_);
  for (const char* part : {"/metrics", "/logs", "/checkpoints"})
    RAILHEAD_TRY(files.makeDirectories(path_ + part));
  return files.replaceFile(runFile(), runFileText);
}

Result<Manifest> RunFolder::readManifest(os::Filesystem& files) const {
  auto text = files.readFile(manifestFile(), kMaxManifest);
  if (!text.has_value()) {
    Error error = std::move(text).error();
    if (error.code == ErrorCode::kNotFound && holdsRun(files))
      return Error(ErrorCode::kCorrupt, manifestFile() + " is missing", kPutBack);
    if (error.code == ErrorCode::kNotFound) {
      return Error(ErrorCode::kNotFound, path_ + " is no run: it has no manifest.json",
                   "railhead train list shows the runs there are");
    }
    return error;
  }
  auto manifest = parseManifest(*text, manifestFile());
  if (!manifest.has_value() && manifest.error().remedy.empty())
    manifest.error().withRemedy(kPutBack);
  return manifest;
}

Result<void> RunFolder::writeManifest(os::Filesystem& files, const Manifest& manifest) const {
  return files.replaceFile(manifestFile(), train::writeManifest(manifest));
}

Result<StepSeries> RunFolder::readSeries(os::Filesystem& files, int rank) const {
  const auto text = files.readFile(metricsFile(rank), kMaxMetrics);
  if (!text.has_value() && text.error().code == ErrorCode::kNotFound) return StepSeries();
  if (!text.has_value()) return text.error();
  return seriesOf(*text);
}

Result<os::UniqueFd> RunFolder::lock() const {
  auto held = os::lockFile(lockPath());
  if (held.has_value() || held.error().code != ErrorCode::kBusy) return held;
  Error error = std::move(held).error();
  error.withRemedy("it is running: railhead train stop " + path_);
  return error;
}

bool RunFolder::isLocked() const {
  const os::UniqueFd fd(::open(lockPath().c_str(), O_RDONLY | O_CLOEXEC));
  // A shared lock, so that those who only look are in nobody's way.
  return fd && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

bool RunFolder::holdsRun(os::Filesystem& files) const {
  return files.exists(manifestFile()) || (files.exists(runFile()) && files.exists(checkpoints()));
}

Result<os::UniqueFd> RunFolder::holdAsRank() const {
  os::UniqueFd fd(::open(ranksPath().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return Error::fromErrno(errno, "open lock " + ranksPath());
  if (::flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return Error::fromErrno(errno, "lock " + ranksPath());
  return Error(ErrorCode::kBusy, path_ + ": a start waits for the ranks before it to end");
}

Result<void> RunFolder::waitForRanks(os::Clock& clock, os::Clock::TimePoint deadline) const {
  const os::UniqueFd fd(::open(ranksPath().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return Error::fromErrno(errno, "open lock " + ranksPath());
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Error::fromErrno(errno, "lock " + ranksPath());
    if (clock.now() >= deadline) {
      return Error(ErrorCode::kBusy, path_ + ": ranks of an earlier start still run",
                   "end the processes of `railhead train rank` on the run's nodes");
    }
    clock.sleepFor(kLookAtRanks);
  }
  return {};
}

Result<RunFolder> newRunFolder(os::Filesystem& files, const std::string& folder,
                               const std::string& name, std::string_view runFileText) {
  for (int number = 1; number < kMostRuns; ++number) {
    char end[16];
    std::snprintf(end, sizeof end, "-%04d", number);
    RunFolder run(folder + "/" + name + end);
    if (files.exists(run.path())) continue;
    const auto made = run.create(files, runFileText);
    if (made.has_value()) return run;
    if (made.error().code != ErrorCode::kAlreadyExists) return made.error();
  }
  return Error(ErrorCode::kExhausted, folder + " holds too many runs of the name " + name);
}

Result<std::vector<ListedRun>> listRuns(os::Filesystem& files, const std::string& folder) {
  std::vector<ListedRun> out;
  const auto names = files.listDirectory(folder);
  if (!names.has_value() && names.error().code == ErrorCode::kNotFound) return out;
  if (!names.has_value()) return names.error();
  for (const auto& name : *names) {
    RunFolder run(folder + "/" + name);
    // One that is being made has no manifest yet, and somebody holds it.
    if (!run.holdsRun(files) || (!files.exists(run.manifestFile()) && run.isLocked())) continue;
    auto manifest = run.readManifest(files);
    out.push_back({std::move(run), std::move(manifest)});
  }
  return out;
}

Totals totalsOf(const StepSeries& series) {
  Totals out;
  out.steps = series.lastStep();
  out.tokens = series.tokens();
  out.seconds = series.seconds();
  out.lostSteps = series.lostSteps();
  if (series.steps().empty()) return out;
  out.firstLoss = series.steps().front().loss;
  out.lastLoss = series.steps().back().loss;
  return out;
}

void bringUpToDate(os::Filesystem& files, const RunFolder& run, const StepSeries& series,
                   Manifest& manifest) {
  if (manifest.state != "running") return;
  if (!series.steps().empty()) manifest.metrics = totalsOf(series);
  const auto steps = checkpoint::checkpointSteps(files, run.checkpoints());
  if (!steps.has_value()) return;
  const std::uint64_t known = manifest.checkpoints.empty() ? 0 : manifest.checkpoints.back().step;
  for (const std::uint64_t step : *steps) {
    if (step <= known) continue;
    auto read = checkpoint::readCheckpoint(
        files, run.checkpoints() + "/" + checkpoint::checkpointName(step),
        checkpoint::Depth::kSizes);
    if (read.has_value()) manifest.checkpoints.push_back(std::move(*read));
  }
  // A trainer that tells no steps writes checkpoints all the same.
  if (!manifest.checkpoints.empty())
    manifest.metrics.steps = std::max(manifest.metrics.steps, manifest.checkpoints.back().step);
}

Result<void> appendText(const std::string& path, std::string_view text) {
  const os::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return Error::fromErrno(errno, "open " + path);
  while (!text.empty()) {
    const ssize_t put = ::write(fd.get(), text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Error::fromErrno(errno, "append to " + path);
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace railhead::train
