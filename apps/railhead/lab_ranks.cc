#include "apps/railhead/lab_ranks.h"

#include "apps/railhead/image_path.h"
#include "lab/node/qemu_command.h"
#include "src/base/text.h"

#include <cstdlib>

#include <unistd.h>

namespace railhead::app {
namespace {

constexpr const char* kTopology = "two-sparks";

bool isBelow(const std::string& folder, const std::string& path) {
  return path == folder || path.starts_with(folder + "/");
}

Error doesNotShare(const lab::LabStatus& running, const std::string& folder) {
  return Error(ErrorCode::kEnvironment,
               "the lab that runs shares " +
                   (running.share.empty() ? "no folder" : inQuotes(running.share, 256)) +
                   ": its nodes cannot see " + inQuotes(folder, 256),
               "railhead lab down, then railhead lab up --share " + folder +
                   "; or have none running: then one is booted for this");
}

std::string bareAddress(const std::string& withLength) {
  return withLength.substr(0, withLength.find('/'));
}

}  // namespace

Result<std::unique_ptr<LabRanks>> LabRanks::open(const Context& context, const std::string& name,
                                                 const std::function<void(std::string)>& tell,
                                                 const std::string& share, int interruptFd) {
  std::unique_ptr<LabRanks> out(new LabRanks());
  out->program_ = context.program;
  out->name_ = name.empty() ? lab::kDefaultLab : name;
  auto running = lab::LabClient::connect(out->name_);
  if (running.has_value()) {
    RAILHEAD_TRY_ASSIGN(const auto status, running->status());
    if (!share.empty() && (status.share.empty() || !isBelow(status.share, share))) {
      return doesNotShare(status, share);
    }
    out->share_ = status.share;
    RAILHEAD_TRY_ASSIGN(out->topology_, lab::parseTopology(status.topologyYaml, "the running lab"));
    out->client_ = std::move(*running);
  } else if (!name.empty()) {
    Error error = running.error();
    if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kEnvironment;
    return error;
  } else {
    tell("booting two emulated nodes (railhead lab up keeps them)");
    RAILHEAD_TRY_ASSIGN(out->topology_, lab::loadTopology(kTopology));
    lab::LabOptions options;
    // A name of its own: a `lab up` beside it is not disturbed.
    options.name = out->name_ = "ranks-" + std::to_string(::getpid());
    options.keeper = {context.program, "lab", "keeper"};
    options.share = out->share_ = share;
    options.cancelFd = interruptFd;
    const char* image = std::getenv("RAILHEAD_LAB_IMAGE");
    options.imageDirectory = imagePath(image == nullptr ? "" : image, context.program);
    RAILHEAD_TRY_ASSIGN(auto started, lab::BoundLab::start(out->topology_, options));
    out->own_.emplace(std::move(started));
    out->client_ = out->own_->client();
  }
  tell("a pod with a rail set on each node");
  RAILHEAD_TRY_ASSIGN(out->nodes_, lab::Stage(*out->client_, out->topology_).prepare());
  return out;
}

std::string LabRanks::onNode(const std::string& path) const {
  if (share_.empty() || !isBelow(share_, path)) return path;
  return lab::kNodeShare + path.substr(share_.size());
}

std::vector<launch::RankCommand> LabRanks::commands(const launch::RankProgram& program,
                                                    bool withInput) const {
  launch::RankProgram placed = program;
  placed.masterAddress = bareAddress(nodes_.front().pod.interfaces.front().address);
  auto out = launch::localCommands(static_cast<int>(nodes_.size()), placed);
  for (std::size_t i = 0; i < out.size(); ++i) {
    auto& rank = out[i];
    rank.node = nodes_[i].node.name;
    rank.environment["RAILHEAD_NODE"] = rank.node;
    rank.environment["LOCAL_RANK"] = "0";
    rank.environment["LOCAL_WORLD_SIZE"] = "1";
    std::vector<std::string> argv = {program_, "lab", "exec", "--lab", name_};
    if (withInput) argv.emplace_back("-i");
    argv.insert(argv.end(), {rank.node, "--", "railhead-lab-kubelet", "exec",
                             nodes_[i].pod.fullName(), "--", "env"});
    for (const auto& [name, value] : rank.environment) argv.push_back(name + "=" + value);
    argv.push_back("railhead");
    argv.insert(argv.end(), rank.argv.begin(), rank.argv.end());
    rank.argv = std::move(argv);
    rank.environment.clear();
  }
  return out;
}

}  // namespace railhead::app
