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
constexpr std::size_t kMetricsEnd = 1 << 20;
constexpr int kMostRuns = 100000;
constexpr std::chrono::milliseconds kLookAtRanks{20};
constexpr const char* kPutBack =
    "put manifest.json back from a copy; run.yaml, logs, metrics and checkpoints beside it are as "
    "the run left them";

std::vector<std::string> namesIn(os::Filesystem& files, const std::string& folder) {
  return files.listDirectory(folder).value_or(std::vector<std::string>());
}

// Whether a rank left a file there.
bool hasRanks(os::Filesystem& files, const std::string& folder) {
  const auto names = namesIn(files, folder);
  return std::any_of(names.begin(), names.end(),
                     [](const std::string& name) { return name.starts_with("rank-"); });
}

bool isEmptyFolder(os::Filesystem& files, const std::string& folder) {
  const auto names = files.listDirectory(folder);
  return names.has_value() && names->empty();
}

// The end of a file that others append to, from the beginning of a line on.
struct FileEnd {
  std::string text;
  bool whole = true;  // it is all of the file
};

Result<FileEnd> readEnd(const std::string& path, std::size_t most) {
  const os::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return Error::fromErrno(errno, "open " + path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Error::fromErrno(errno, "look at " + path);
  if (!S_ISREG(status.st_mode)) return Error(ErrorCode::kCorrupt, path + " is no file");
  const auto size = static_cast<std::size_t>(status.st_size);
  FileEnd out{std::string(std::min(size, most), '\0'), size <= most};
  std::size_t got = 0;
  while (got < out.text.size()) {
    const ssize_t read = ::pread(fd.get(), out.text.data() + got, out.text.size() - got,
                                 static_cast<off_t>(size - out.text.size() + got));
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) return Error::fromErrno(errno, "read " + path);
    if (read == 0) break;
    got += static_cast<std::size_t>(read);
  }
  out.text.resize(got);
  if (!out.whole) out.text.erase(0, std::min(out.text.find('\n'), got));
  return out;
}

}  // namespace

std::string RunFolder::metricsFile(int rank) const {
  return path_ + "/metrics/rank-" + std::to_string(rank) + ".jsonl";
}
std::string RunFolder::logFile(int rank) const {
  return path_ + "/logs/rank-" + std::to_string(rank) + ".log";
}

Result<os::UniqueFd> RunFolder::create(os::Filesystem& files, std::string_view runFileText) const {
  const auto slash = path_.rfind('/');
  if (slash > 0) RAILHEAD_TRY(files.makeDirectories(path_.substr(0, slash)));
  // Exactly one of two that want the same folder gets it.
  if (::mkdir(path_.c_str(), 0755) != 0) return Error::fromErrno(errno, "make run folder " + path_);
  auto held = lock();
  if (!held.has_value()) {
    // Nobody else's: it was made just now.
    ::unlink(lockPath().c_str());
    ::rmdir(path_.c_str());
    return held;
  }
  for (const char* part : {"/metrics", "/logs", "/checkpoints"})
    RAILHEAD_TRY(files.makeDirectories(path_ + part));
  // The last: without it this is no run's folder yet.
  RAILHEAD_TRY(files.replaceFile(runFile(), runFileText));
  return held;
}

Result<Manifest> RunFolder::readManifest(os::Filesystem& files) const {
  auto text = files.readFile(manifestFile(), kMaxManifest);
  if (!text.has_value()) {
    Error error = std::move(text).error();
    if (error.code != ErrorCode::kNotFound) return error;
    const Holds what = holds(files);
    if (what == Holds::kRemains)
      return Error(ErrorCode::kCorrupt, manifestFile() + " is missing", kPutBack);
    if (what == Holds::kUnstarted) {
      return Error(ErrorCode::kNotFound,
                   path_ + " never began: it has no manifest, metrics, logs or checkpoints",
                   "remove the folder, and start the run again");
    }
    return Error(ErrorCode::kNotFound, path_ + " is no run: it has no manifest.json",
                 "railhead train list shows the runs there are");
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

Result<std::optional<StepLine>> RunFolder::readNewestStep(int rank) const {
  RAILHEAD_TRY_ASSIGN(const FileEnd end, readEnd(metricsFile(rank), kMetricsEnd));
  const auto series = seriesOf(end.text);
  if (!series.steps().empty()) return std::optional(series.steps().back());
  if (end.whole) return std::optional<StepLine>();
  return Error(ErrorCode::kExhausted, metricsFile(rank) + ": no step that counts is in its last " +
                                          std::to_string(kMetricsEnd) + " bytes");
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

Holds RunFolder::holds(os::Filesystem& files) const {
  if (files.exists(manifestFile())) return Holds::kManifest;
  if (!files.exists(runFile()) || !files.exists(checkpoints())) return Holds::kNoRun;
  const std::string parts[] = {path_ + "/metrics", path_ + "/logs", checkpoints()};
  const auto steps = checkpoint::checkpointSteps(files, checkpoints());
  if (hasRanks(files, parts[0]) || hasRanks(files, parts[1]) ||
      (steps.has_value() && !steps->empty()))
    return Holds::kRemains;
  for (const auto& part : parts) {
    if (!isEmptyFolder(files, part)) return Holds::kNoRun;
  }
  // A folder with more in it may be anybody's.
  for (const auto& name : namesIn(files, path_)) {
    const bool ours = name == "run.yaml" || name == "lock" || name == "metrics" || name == "logs" ||
                      name == "checkpoints" || name.starts_with(".manifest.json");
    if (!ours) return Holds::kNoRun;
  }
  return Holds::kUnstarted;
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

Result<NewRun> newRunFolder(os::Filesystem& files, const std::string& folder,
                            const std::string& name, std::string_view runFileText) {
  for (int number = 1; number < kMostRuns; ++number) {
    char end[16];
    std::snprintf(end, sizeof end, "-%04d", number);
    RunFolder run(folder + "/" + name + end);
    if (files.exists(run.path())) continue;
    auto made = run.create(files, runFileText);
    if (made.has_value()) return NewRun{std::move(run), std::move(*made)};
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
    const Holds what = run.holds(files);
    // One that is being made has no manifest yet, and somebody holds it.
    if (what == Holds::kNoRun || (what == Holds::kUnstarted && run.isLocked())) continue;
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

std::vector<std::uint64_t> takeNewCheckpoints(os::Filesystem& files, const RunFolder& run,
                                              Manifest& manifest) {
  std::vector<std::uint64_t> out;
  const auto steps = checkpoint::checkpointSteps(files, run.checkpoints());
  if (!steps.has_value()) return out;
  auto& known = manifest.checkpoints;
  for (const std::uint64_t step : *steps) {
    if (std::any_of(known.begin(), known.end(),
                    [&](const checkpoint::Checkpoint& one) { return one.step == step; }))
      continue;
    auto read = checkpoint::readCheckpoint(
        files, run.checkpoints() + "/" + checkpoint::checkpointName(step),
        checkpoint::Depth::kSizes);
    if (!read.has_value()) continue;
    known.push_back(std::move(*read));
    out.push_back(step);
  }
  return out;
}

void sayKilled(Manifest& manifest) {
  auto& attempts = manifest.attempts;
  if (!attempts.empty() && attempts.back().end == "running") attempts.back().end = "killed";
}

void bringUpToDate(os::Filesystem& files, const RunFolder& run, const std::optional<Totals>& told,
                   Manifest& manifest) {
  if (manifest.state != "running") return;
  if (told) manifest.metrics = *told;
  takeNewCheckpoints(files, run, manifest);
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
