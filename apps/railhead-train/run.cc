#include "apps/railhead-train/run.h"

#include "apps/railhead-train/agreement.h"
#include "apps/railhead-train/engines.h"
#include "apps/railhead-train/progress.h"
#include "apps/railhead-train/rank_link.h"
#include "apps/usage/values.h"
#include "src/checkpoint/reading.h"
#include "src/checkpoint/writing.h"
#include "src/os/clock.h"

#include <csignal>
#include <iostream>

#include <unistd.h>

namespace railhead::trainer_app {
namespace {

// Texts of a package that every Debian and Ubuntu machine has, base-files.
constexpr const char* kSampleText = "/usr/share/common-licenses";
constexpr int kSignalBase = 128;

Result<collective::World> ownWorld(const collective::EnvironmentLookup& environment) {
  if (!collective::isRank(environment)) return collective::World();
  return collective::worldFrom(environment);
}

Result<trainer::Corpus> readCorpus(const Options& options, os::Filesystem& files,
                                   std::uint64_t window) {
  std::vector<std::string> paths;
  for (const auto& path : options.data) {
    RAILHEAD_TRY_ASSIGN(paths.emplace_back(), usage::absolutePath(path));
  }
  if (paths.empty()) paths.emplace_back(kSampleText);
  return trainer::Corpus::read(files, paths, options.tokens, window);
}

// The checkpoint that a launcher named, or the newest whole one before it: where the launcher
// cannot read them it names what it was told of. What is passed over is set aside then, as the
// launcher does where it can.
Result<checkpoint::NewestCheckpoint> namedOrEarlier(const std::string& path,
                                                    os::Filesystem& files) {
  checkpoint::NewestCheckpoint out;
  auto named = checkpoint::readCheckpoint(files, path, checkpoint::Depth::kDigests);
  if (named.has_value()) {
    out.checkpoint = std::move(*named);
    out.path = path;
    return out;
  }
  const Error why = std::move(named.error()).addContext("RAILHEAD_RESUME");
  const bool bad = why.code == ErrorCode::kCorrupt || why.code == ErrorCode::kNotFound;
  const auto step = checkpoint::checkpointStep(path.substr(path.rfind('/') + 1));
  if (!bad || !step || *step == 0) return why;
  const std::string folder = path.substr(0, path.rfind('/'));
  RAILHEAD_TRY_ASSIGN(out, checkpoint::newestCheckpoint(files, folder, *step - 1));
  if (!out.checkpoint) return why;
  out.notes.push_back(why.message);
  RAILHEAD_TRY_ASSIGN(const auto moved, checkpoint::setAside(files, folder, out.checkpoint->step));
  out.notes.insert(out.notes.end(), moved.begin(), moved.end());
  return out;
}

// What rank 0 finds; an empty path: there is none.
Result<checkpoint::NewestCheckpoint> lookFor(const Options& options, const std::string& checkpoints,
                                             os::Filesystem& files) {
  if (options.resumeNamed) {
    RAILHEAD_TRY_ASSIGN(const auto named, usage::absolutePath(options.resume));
    return namedOrEarlier(named, files);
  }
  return checkpoint::newestCheckpoint(files, checkpoints);
}

// The same on every rank: rank 0 looks, the others take what it found.
Result<std::optional<trainer::ResumePoint>> resumeFrom(const Options& options,
                                                       const std::string& checkpoints,
                                                       os::Filesystem& files, RankLink& link,
                                                       int rank) {
  using Found = std::optional<trainer::ResumePoint>;
  if (options.resume.empty()) return Found();
  std::string path = options.resume;
  if (path == "latest" && checkpoints.empty()) {
    return Error(ErrorCode::kInvalidArgument, "--resume latest without --checkpoints",
                 "say in which folder the checkpoints are");
  }
  if (path == "latest" || options.resumeNamed) {
    checkpoint::NewestCheckpoint newest;
    if (rank == 0) {
      RAILHEAD_TRY_ASSIGN(newest, lookFor(options, checkpoints, files));
    }
    for (const auto& note : newest.notes) std::cerr << "railhead-train: note: " << note << '\n';
    RAILHEAD_TRY_ASSIGN(const auto texts, link.gather()(newest.path));
    if (texts[0].empty()) return Found();
    if (newest.checkpoint) return Found({newest.path, std::move(*newest.checkpoint)});
    path = texts[0];
  }
  RAILHEAD_TRY_ASSIGN(path, usage::absolutePath(path));
  RAILHEAD_TRY_ASSIGN(
      auto read,
      checkpoint::readCheckpoint(files, path, checkpoint::Depth::kDigests).addContext("--resume"));
  return Found({path, std::move(read)});
}

Result<int> runLinked(const Options& options, const collective::World& world,
                      const trainer::TrainingSettings& settings, bool cuda, os::Filesystem& files,
                      RankLink& link, const std::function<int()>& stopSignal) {
  RAILHEAD_TRY_ASSIGN(const auto corpus, readCorpus(options, files, settings.shape.context));
  RAILHEAD_TRY(agreeOnRun(options, settings, corpus, link.gather()));
  RAILHEAD_TRY_ASSIGN(const auto engine, openEngine(options, settings.shape, world, cuda));
  RAILHEAD_TRY_ASSIGN(const auto resume,
                      resumeFrom(options, settings.checkpoints, files, link, world.rank));
  RAILHEAD_TRY_ASSIGN(auto progress, Progress::open(options, world.rank));
  if (options.resumeNamed && resume) {
    RAILHEAD_TRY_ASSIGN(const auto named, usage::absolutePath(options.resume));
    if (resume->path != named) RAILHEAD_TRY(progress.wentBack(resume->checkpoint.step));
  }
  RAILHEAD_TRY(progress.begin(settings, *engine, link.exchange(), corpus, resume));
  os::SystemClock clock;
  int signal = 0;
  const trainer::TrainingParts parts{
      *engine,
      link.exchange(),
      corpus,
      files,
      clock,
      link.gather(),
      [&] {
        if (signal == 0) signal = stopSignal();
        return signal != 0;
      },
      [&](const trainer::StepMetrics& step) { return progress.step(step); },
      [&](std::uint64_t step, const std::string& path) { return progress.checkpoint(step, path); }};
  auto trained = trainer::train(settings, parts, resume);
  // Who has all it needs stays until the others have, too: what it sent may be on its way.
  auto all = trained.has_value() ? link.gather()("") : std::vector<std::string>();
  if (!trained.has_value() || !all.has_value()) {
    link.abort();  // before the engine goes
    return trained.has_value() ? all.error() : trained.error();
  }
  const auto& result = *trained;
  progress.end(result);
  if (!result.stopped) return 0;
  // Another rank may have been asked.
  return kSignalBase + (signal != 0 ? signal : SIGTERM);
}

// Before the first step, not after the last.
Result<void> checkCheckpoints(const Options& options, const trainer::TrainingSettings& settings,
                              os::Filesystem& files) {
  if (settings.checkpoints.empty()) {
    if (options.checkpointEvery == 0) return {};
    return Error(ErrorCode::kInvalidArgument, "--checkpoint-every without --checkpoints",
                 "say in which folder the checkpoints are to be");
  }
  // Not an error of usage: storage that is away for a moment is worth another start.
  const std::string remedy = "name a folder that can be written: --checkpoints";
  auto made = files.makeDirectories(settings.checkpoints).addContext("--checkpoints");
  if (!made.has_value()) return std::move(made.error()).withRemedy(remedy);
  if (::access(settings.checkpoints.c_str(), W_OK | X_OK) == 0) return {};
  return Error(ErrorCode::kPermissionDenied,
               "--checkpoints " + settings.checkpoints + " cannot be written", remedy);
}

}  // namespace

Result<int> run(const Options& options, const collective::EnvironmentLookup& environment,
                const std::function<int()>& stopSignal) {
  RAILHEAD_TRY_ASSIGN(const auto world, ownWorld(environment));
  RAILHEAD_TRY_ASSIGN(const auto settings, trainingOf(options, world.ranks));
  RAILHEAD_TRY_ASSIGN(const std::unique_ptr<os::Filesystem> files, os::RootedFilesystem::open("/"));
  RAILHEAD_TRY(checkCheckpoints(options, settings, *files));
  LinkOptions linkOptions;
  RAILHEAD_TRY_ASSIGN(linkOptions.cuda, takesCuda(options));
  linkOptions.transport = options.transport;
  linkOptions.rails = options.rails;
  linkOptions.ncclLibrary = options.ncclLibrary;
  linkOptions.timeout = options.timeout;
  linkOptions.patience = settings.patience;
  RAILHEAD_TRY_ASSIGN(auto link, RankLink::open(world, linkOptions, *files));
  auto ended = runLinked(options, world, settings, linkOptions.cuda, *files, *link, stopSignal);
  if (ended.has_value()) return ended;
  link->fail(ended.error());
  Error error = link->explained(ended.error());
  // Leaving NCCL would wait for the peers; main() ends the process.
  static_cast<void>(link.release());
  return error;
}

}  // namespace railhead::trainer_app
