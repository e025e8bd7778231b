#include "apps/railhead/train_run.h"

#include "apps/railhead/train_cluster.h"
#include "apps/railhead/train_objects.h"
#include "apps/railhead/train_output.h"
#include "apps/railhead/train_place.h"
#include "apps/usage/signal_fd.h"
#include "apps/usage/values.h"
#include "src/base/text.h"
#include "src/digest/sha256.h"
#include "src/launch/commands.h"
#include "src/metrics/http_endpoint.h"
#include "src/os/clock.h"
#include "src/os/host_paths.h"
#include "src/train/gang_run.h"

#include <ostream>

#include <unistd.h>

namespace railhead::app {
namespace {

std::map<std::string, std::string> processVariables() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (equals != std::string_view::npos)
      out[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  return out;
}

Error notAsExpected(const train::VerifyFirst& expected, const train::Verdict& verdict) {
  std::string text = "verify before the start: the verdict is " + verdict.verdict;
  if (verdict.share) text += ", at " + std::to_string(*verdict.share) + " of the ceiling";
  text += "; expected:";
  if (!expected.expect.empty()) text += " " + expected.expect;
  if (expected.minShare) text += " at " + std::to_string(*expected.minShare) + " or more";
  return Error(ErrorCode::kCheckFailed, text,
               "railhead verify shows the evidence; nothing was started");
}

// What a run is held together by while it goes. Signals wait here from the moment it is made.
struct Session {
  const TrainRunOptions& options;
  Context& context;
  os::Filesystem& files;
  TrainView view;
  usage::SignalFd signals;
};

// `unreachable`: a host was, by ssh.
void judge(Session& session, const train::RunFolder& folder, const train::Manifest& manifest,
           bool unreachable) {
  Context& context = session.context;
  if (!session.options.json) printRun(context.out, folder.path(), manifest);
  if (manifest.state == "finished") return;
  const std::string again = "go on with: railhead train resume " + folder.path();
  const bool byHand = manifest.state != "failed";
  const std::string first =
      unreachable ? launch::kTrySsh : "see railhead train logs " + folder.path();
  fail(context, Error(unreachable ? ErrorCode::kEnvironment : ErrorCode::kUnavailable,
                      manifest.id + " " + manifest.state +
                          (manifest.reason.empty() || manifest.reason == manifest.state
                               ? ""
                               : ": " + manifest.reason),
                      byHand ? again : first + "; then " + again));
  if (const int signal = session.signals.take(); signal != 0)
    context.exitCode = static_cast<ExitCode>(128 + signal);
}

// Before a run's folder is made or its manifest changed: the port may be another's.
Result<void> serveMetrics(TrainView& view, const std::string& address) {
  if (address.empty()) return {};
  auto serving = view.serve(address).addContext("--metrics");
  if (!serving.has_value())
    serving.error().withRemedy("give an address of this machine, and a port that is free");
  return serving;
}

// What the ranks are told of the profile; its files are in the run's folder. In a cluster the agent
// gives pods their profile.
Result<std::map<std::string, std::string>> profileOf(const ReadRunFile& file,
                                                     const train::RunFolder& folder,
                                                     const TrainPlace& place, os::Filesystem& files,
                                                     train::Manifest& manifest) {
  const std::string before = manifest.profile;
  RAILHEAD_TRY_ASSIGN(auto profile, applyRunProfile(file, folder, files, manifest));
  if (!before.empty() && before != manifest.profile) {
    return Error(ErrorCode::kCheckFailed,
                 "profile: " + file.run.profile + " has the hash " + manifest.profile +
                     " and had, when the run began, " + before,
                 "bring the profile back; with another one it is another run");
  }
  if (place.placement.kind == launch::Placement::Kind::kKubernetes) profile.clear();
  return profile;
}

// What is set for the ranks, as the manifest keeps it.
std::map<std::string, std::string> environmentOf(
    const ReadRunFile& file, const train::RunFolder& folder, const TrainPlace& place,
    const std::map<std::string, std::string>& profile) {
  std::map<std::string, std::string> out;
  // Only ranks of this machine inherit what is set here.
  if (place.placement.kind == launch::Placement::Kind::kLocal) out = telling(processVariables());
  for (const auto& [name, value] : profile) out[name] = value;
  // The folder's name in it is no setting.
  for (auto& [name, value] : out) {
    if (value.starts_with(folder.path())) value = "RUN" + value.substr(folder.path().size());
  }
  for (const auto& [name, value] : file.run.environment) out[name] = value;
  return out;
}

// The exit code of the rank that ended it, 0 where none did.
Result<int> watchRun(Session& session, const ReadRunFile& file, const train::RunFolder& folder,
                     const TrainPlace& place, train::Manifest& manifest) {
  RAILHEAD_TRY_ASSIGN(const auto profile, profileOf(file, folder, place, session.files, manifest));
  manifest.environment = environmentOf(file, folder, place, profile);
  TrainView& view = session.view;
  view.setRun(manifest.id);
  train::GangRunSettings settings;
  settings.nullDevice = os::HostPaths().dev + "/null";
  settings.interruptFd = session.signals.get();
  settings.onEvent = [&](const train::RunEvent& event) { view.show(event); };
  if (session.options.output) {
    settings.onOutput = [&](int rank, std::string_view line) { view.showOutput(rank, line); };
  }
  train::RankStarter starter = [&](const train::StartPlan& plan) {
    auto environment = trainEnvironment(folder, file.run, plan);
    environment.insert(profile.begin(), profile.end());
    return trainRanks(place, file.run, plan, environment, file.folder, session.context);
  };
  std::unique_ptr<TrainCluster> cluster;
  if (place.placement.kind == launch::Placement::Kind::kKubernetes) {
    // No other run begins in the same second in the same folder.
    const std::string mark = digest::sha256Hex(folder.path() + manifest.started).substr(0, 16);
    RAILHEAD_TRY_ASSIGN(cluster, TrainCluster::open(place.placement, file.run, folder.id(), mark,
                                                    settings.interruptFd));
    settings.checkpointsElsewhere = true;
    settings.onStartOver = [&] { return cluster->endStart(); };
    starter = [&](const train::StartPlan& plan) { return cluster->start(plan); };
  }
  os::SystemClock clock;
  train::GangRun run(folder, file.run, manifest, session.files, clock, std::move(starter),
                     std::move(settings));
  RAILHEAD_TRY(run.run());
  return run.exitCode();
}

// Where the run will be, as far as that is known before its folder is made.
Result<std::string> placeOfRun(const ReadRunFile& file, const TrainRunOptions& options) {
  if (!options.folder.empty()) return usage::absolutePath(options.folder);
  RAILHEAD_TRY_ASSIGN(const auto runs, usage::absolutePath(options.runs));
  return runs + "/" + file.run.name;
}

Result<train::NewRun> makeFolder(const ReadRunFile& file, const TrainRunOptions& options,
                                 os::Filesystem& files) {
  if (options.folder.empty()) {
    RAILHEAD_TRY_ASSIGN(const auto runs, usage::absolutePath(options.runs));
    return train::newRunFolder(files, runs, file.run.name, file.text);
  }
  RAILHEAD_TRY_ASSIGN(const auto folder, usage::absolutePath(options.folder));
  train::RunFolder out(folder);
  auto made = out.create(files, file.text);
  if (made.has_value()) return train::NewRun{std::move(out), std::move(*made)};
  Error error = std::move(made).error();
  if (error.code == ErrorCode::kAlreadyExists) {
    error.withRemedy(out.holds(files) == train::Holds::kNoRun
                         ? "nothing was changed; name another folder"
                         : "nothing was changed; name another folder, or go on with: railhead "
                           "train resume " +
                               out.path());
  }
  return error;
}

// What can be wrong is found before anything is made.
Result<void> checkStart(const ReadRunFile& file, const TrainRunOptions& options) {
  if (!options.metrics.empty()) {
    auto listen = metrics::ListenAddress::parse(options.metrics);
    if (!listen.has_value()) {
      Error error = std::move(listen).error();
      error.message = "--metrics " + error.message;
      return error;
    }
  }
  return checkProfile(file);
}

// A step before the start that failed because a signal came: the exit code is the signal's.
Error orInterrupted(Error error, const Session& session) {
  if (const int signal = session.signals.take(); signal != 0)
    session.context.exitCode = static_cast<ExitCode>(128 + signal);
  return error;
}

Result<std::unique_ptr<LabRanks>> openLab(const Session& session, const ReadRunFile& file,
                                          const launch::Placement& placement, const std::string& on,
                                          const std::string& runFolder) {
  auto lab = openTrainLab(placement, file.run, on, session.options.lab, file.folder, runFolder,
                          session.context, session.signals.get());
  if (!lab.has_value()) return orInterrupted(std::move(lab).error(), session);
  return lab;
}

// The verdict that the run file expects between these places.
Result<void> verifyThere(Session& session, const ReadRunFile& file, const TrainPlace& place,
                         train::Manifest& manifest) {
  manifest.verdict.reset();
  if (!file.run.verify) return {};
  auto verdict = verifyFirst(file.run, place, session.signals.get(), session.context);
  if (!verdict.has_value()) return orInterrupted(std::move(verdict).error(), session);
  manifest.verdict = std::move(*verdict);
  if (!manifest.verdict->expected) return notAsExpected(*file.run.verify, *manifest.verdict);
  return {};
}

// To its end, whatever that is: no manifest goes on saying that a run is running.
Result<void> watchToItsEnd(Session& session, const ReadRunFile& file,
                           const train::RunFolder& folder, const TrainPlace& place,
                           train::Manifest& manifest) {
  auto watched = watchRun(session, file, folder, place, manifest);
  if (!watched.has_value()) {
    if (manifest.state == "running") {
      manifest.state = "failed";
      manifest.reason = watched.error().message;
      (void)folder.writeManifest(session.files, manifest);
    }
    if (watched.error().code == ErrorCode::kExhausted && watched.error().remedy.empty())
      watched.error().withRemedy("make room in " + folder.path() +
                                 ", then: railhead train resume " + folder.path());
    return watched.error();
  }
  const bool bySsh = place.placement.kind == launch::Placement::Kind::kSsh;
  judge(session, folder, manifest,
        bySsh && manifest.state == "failed" && *watched == launch::kSshFailed);
  return {};
}

// Scripts that are not what they were.
Result<void> checkCode(const ReadRunFile& file, const TrainRunOptions& options,
                       train::Manifest& manifest) {
  auto now = codeOf(file.folder, file.run.command);
  const std::string changed = changedScript(manifest.code, now);
  if (!changed.empty() && !options.changedCode) {
    return Error(ErrorCode::kCheckFailed,
                 "code.scripts: " + changed + " is not what the run began with",
                 "bring it back, or go on with what is there now: --changed-code");
  }
  manifest.code = std::move(now);
  return {};
}

// Checkpoints of pods are in their claim, those of other ranks in the run's folder: who goes on in
// the other place would begin anew and not say so.
Result<void> checkSameReach(const launch::Placement& placement, const train::Manifest& manifest) {
  using Kind = launch::Placement::Kind;
  RAILHEAD_TRY_ASSIGN(const auto before, launch::Placement::parse(manifest.place.on));
  if ((placement.kind == Kind::kKubernetes) == (before.kind == Kind::kKubernetes)) return {};
  return Error(ErrorCode::kInvalidArgument,
               "--on " + placement.toString() + ": the run was on " + manifest.place.on +
                   ", and its checkpoints cannot be reached from there",
               "go on with it there, or begin another run: railhead train run");
}

}  // namespace

Result<train::RunFolder> startRun(const ReadRunFile& file, const TrainRunOptions& options,
                                  const std::string& replayOf, Context& context) {
  RAILHEAD_TRY_ASSIGN(const auto placement, trainPlacement(options.on, file.run, options.lab));
  RAILHEAD_TRY_ASSIGN(const auto where, placeOfRun(file, options));
  // Before the folder is made: what pods cannot be.
  if (placement.kind == launch::Placement::Kind::kKubernetes) {
    RAILHEAD_TRY(trainJob(file.run, train::RunFolder(where).id()));
  }
  RAILHEAD_TRY(checkStart(file, options));
  RAILHEAD_TRY_ASSIGN(auto manifest, newManifest(file, placement));
  manifest.replayOf = replayOf;
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
  Session session{options, context, *files, {context, options.json, file.run.steps}, {}};
  RAILHEAD_TRY(serveMetrics(session.view, options.metrics));
  RAILHEAD_TRY_ASSIGN(const auto lab, openLab(session, file, placement, options.on, where));
  const TrainPlace place{placement, lab.get()};
  RAILHEAD_TRY(verifyThere(session, file, place, manifest));
  RAILHEAD_TRY_ASSIGN(const auto made, makeFolder(file, options, *files));
  const train::RunFolder& folder = made.folder;
  manifest.id = folder.id();
  os::SystemClock clock;
  manifest.started = train::utcText(clock.wallTime());
  RAILHEAD_TRY(folder.writeManifest(*files, manifest));
  if (!options.json) context.err << "run " << folder.path() << std::endl;
  RAILHEAD_TRY(watchToItsEnd(session, file, folder, place, manifest));
  return folder;
}

Result<void> resumeRun(const train::RunFolder& folder, const TrainRunOptions& options,
                       Context& context) {
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
  RAILHEAD_TRY_ASSIGN(const auto lock, folder.lock());
  // What was asked of who watched it before. From here on it is asked of us.
  RAILHEAD_TRY(files->remove(folder.stopFile()));
  RAILHEAD_TRY_ASSIGN(auto manifest, folder.readManifest(*files));
  train::sayKilled(manifest);
  if (manifest.state == "finished") {
    return Error(ErrorCode::kAlreadyExists, folder.path() + " has finished",
                 "run it again as another run: railhead train replay " + folder.path());
  }
  RAILHEAD_TRY_ASSIGN(auto file, readOwnRunFile(folder, manifest));
  const std::string on = options.on.empty() ? manifest.place.on : options.on;
  RAILHEAD_TRY_ASSIGN(const auto placement, trainPlacement(on, file.run, options.lab));
  RAILHEAD_TRY(checkSameReach(placement, manifest));
  RAILHEAD_TRY(checkStart(file, options));
  RAILHEAD_TRY(checkCode(file, options, manifest));
  RAILHEAD_TRY(checkData(manifest, file.folder));
  Session session{options, context, *files, {context, options.json, file.run.steps}, {}};
  RAILHEAD_TRY(serveMetrics(session.view, options.metrics));
  RAILHEAD_TRY_ASSIGN(const auto lab, openLab(session, file, placement, on, folder.path()));
  const TrainPlace place{placement, lab.get()};
  if (placement.toString() != manifest.place.on) {
    RAILHEAD_TRY(verifyThere(session, file, place, manifest));
    manifest.place = placeOf(file.run, placement);
  }
  return watchToItsEnd(session, file, folder, place, manifest);
}

Result<train::RunFolder> runNamed(const std::string& name, const std::string& runs) {
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
  RAILHEAD_TRY_ASSIGN(const auto folder, usage::absolutePath(runs));
  RAILHEAD_TRY_ASSIGN(const auto below, usage::absolutePath(folder + "/" + name));
  // A working folder that is gone holds none.
  const auto named = usage::absolutePath(name);
  const train::RunFolder places[] = {train::RunFolder(named.value_or(below)),
                                     train::RunFolder(below)};
  // A run that is whole goes before what may be the remains of one.
  for (const auto& run : places) {
    if (run.holds(*files) == train::Holds::kManifest) return run;
  }
  for (const auto& run : places) {
    if (run.holds(*files) != train::Holds::kNoRun) return run;
  }
  // What may not be read may well hold it.
  if (const auto listed = files->listDirectory(folder);
      !listed.has_value() && listed.error().code == ErrorCode::kPermissionDenied)
    return Error(listed.error()).addContext("--runs");
  return Error(
      ErrorCode::kNotFound,
      inQuotes(name, 256) + " is no run: neither a run's folder nor the name of one in " + folder,
      "railhead train list shows the runs there are; --runs names another folder");
}

}  // namespace railhead::app
