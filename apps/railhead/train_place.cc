#include "apps/railhead/train_place.h"

#include "apps/railhead/rank_launch.h"
#include "src/launch/commands.h"

#include <cmath>

namespace railhead::app {
namespace {

// Where nobody named a port: hosts behind ssh cannot be asked for a free one. Another one at each
// start, for the one before may still be held by the kernel.
constexpr std::uint16_t kTrainPort = 29500;
constexpr std::uint64_t kTrainPorts = 64;

// What names the place: --on, or a line of the run file.
std::string placeField(const std::string& on, const train::RunFile& run) {
  return on.empty() && !run.on.empty() ? run.where("on") : "--on";
}

// `field`: what named the place, "--on" or a line of the run file.
Error worldDiffers(const std::string& field, const launch::Placement& placement, int there,
                   const train::RunFile& run) {
  return Error(ErrorCode::kInvalidArgument,
               field + " " + placement.toString() + " has room for " + std::to_string(there) +
                   (there == 1 ? " rank and " : " ranks and ") + run.where("ranks") + " is " +
                   std::to_string(run.ranks),
               "change one of them; ranksPerNode says how many ranks a host has");
}

}  // namespace

Result<launch::Placement> trainPlacement(const std::string& on, const train::RunFile& run,
                                         const std::string& lab) {
  std::string text = on.empty() ? run.on : on;
  const std::string field = placeField(on, run);
  if (text.empty() || text == "local") text = "local:" + std::to_string(run.ranks);
  RAILHEAD_TRY_ASSIGN(auto placement, launch::Placement::parse(text, field));
  using Kind = launch::Placement::Kind;
  if (!lab.empty() && placement.kind != Kind::kLab) {
    return Error(ErrorCode::kInvalidArgument, "--lab " + lab + " without --on lab",
                 "give --on lab, or leave --lab out");
  }
  if (placement.kind == Kind::kLocal && placement.ranks != run.ranks)
    return worldDiffers(field, placement, placement.ranks, run);
  const int seats = static_cast<int>(placement.hosts.size()) * run.ranksPerNode;
  if (placement.kind == Kind::kSsh && seats != run.ranks)
    return worldDiffers(field, placement, seats, run);
  return placement;
}

std::map<std::string, std::string> trainEnvironment(const train::RunFolder& folder,
                                                    const train::RunFile& run,
                                                    const train::StartPlan& plan) {
  auto out = run.environment;
  out["RAILHEAD_RUN_DIR"] = folder.path();
  out["RAILHEAD_CHECKPOINT_DIR"] = folder.checkpoints();
  out["RAILHEAD_SEED"] = std::to_string(run.seed);
  out["RAILHEAD_ATTEMPT"] = std::to_string(plan.attempt);
  if (run.steps) out["RAILHEAD_STEPS"] = std::to_string(*run.steps);
  if (!plan.resume.empty()) out["RAILHEAD_RESUME"] = plan.resume;
  return out;
}

Result<std::unique_ptr<LabRanks>> openTrainLab(const launch::Placement& placement,
                                               const train::RunFile& run, const std::string& on,
                                               const std::string& name,
                                               const std::string& workFolder,
                                               const std::string& runFolder, const Context& context,
                                               int interruptFd) {
  if (placement.kind != launch::Placement::Kind::kLab) return std::unique_ptr<LabRanks>();
  const std::string field = placeField(on, run);
  if (!runFolder.starts_with(workFolder + "/")) {
    return Error(ErrorCode::kInvalidArgument,
                 field + " lab: the nodes share the run file's folder, " + workFolder +
                     ", and the run is to be in " + runFolder,
                 "name a folder inside with --runs, such as " + workFolder + "/runs");
  }
  const auto tell = [&](const std::string& what) { context.err << what << std::endl; };
  RAILHEAD_TRY_ASSIGN(auto lab, LabRanks::open(context, name, tell, workFolder, interruptFd));
  if (const auto nodes = static_cast<int>(lab->nodes().size()); nodes != run.ranks) {
    return worldDiffers(field, placement, nodes, run);
  }
  return lab;
}

Result<std::vector<launch::RankCommand>> trainRanks(
    const TrainPlace& place, const train::RunFile& run, const train::StartPlan& plan,
    const std::map<std::string, std::string>& environment, const std::string& workFolder,
    const Context& context) {
  using Kind = launch::Placement::Kind;
  const Kind kind = place.placement.kind;
  const auto grace = static_cast<long long>(std::ceil(run.deadlines.stop * 1000));
  launch::RankProgram program;
  if (kind != Kind::kLab) program.argv = {kind == Kind::kLocal ? context.program : "railhead"};
  program.argv.insert(program.argv.end(),
                      {"train", "rank", "--folder",
                       place.lab == nullptr ? workFolder : place.lab->onNode(workFolder), "--grace",
                       std::to_string(grace)});
  if (plan.first) program.argv.emplace_back("--facts");
  if (kind != Kind::kSsh) program.argv.emplace_back("--until-stdin-ends");
  program.operands = {"--"};
  program.operands.insert(program.operands.end(), run.command.begin(), run.command.end());
  program.environment = environment;
  program.token = launch::newToken();
  program.ranksPerNode = run.ranksPerNode;
  program.watchesInput = true;
  program.masterPort = static_cast<std::uint16_t>(kTrainPort + plan.attempt % kTrainPorts);
  if (kind == Kind::kSsh) return launch::sshCommands(place.placement.hosts, program);
  if (place.lab != nullptr) {
    for (auto& [name, value] : program.environment) value = place.lab->onNode(value);
    return place.lab->commands(program, true);
  }
  RAILHEAD_TRY_ASSIGN(program.masterPort, freeLocalPort());
  return launch::localCommands(place.placement.ranks, program);
}

}  // namespace railhead::app
