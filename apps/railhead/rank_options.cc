#include "apps/railhead/rank_options.h"

#include "apps/usage/values.h"
#include "src/launch/placement.h"

#include <cstdlib>
#include <string>

#include <CLI/CLI.hpp>

namespace railhead::app {
namespace {

using Kind = launch::Placement::Kind;

// What is said for another place would be left out without a word. --image may stand in the
// environment for all commands, --dry-run has a refusal of its own.
void refuseOtherPlaces(const CLI::App& command, const RankOptions& options) {
  const auto placement = launch::Placement::parse(options.on);
  if (!options.on.empty() && !placement.has_value()) return;  // refused where it is read
  const auto isAt = [&](Kind kind) { return placement.has_value() && placement->kind == kind; };
  const auto refuse = [&](const std::string& name, const std::string& place) {
    if (command.count(name) > 0)
      throw CLI::ValidationError(name, "it is of --on " + place + " alone" +
                                           (options.on.empty() ? "" : ", not of " + options.on));
  };
  if (!isAt(Kind::kLab)) refuse("--lab", "lab");
  if (isAt(Kind::kKubernetes)) return;
  for (const char* name : {"--ranks", "--namespace", "--network", "--resource", "--runtime-class"})
    refuse(name, "kubernetes");
  const char* image = std::getenv("RAILHEAD_IMAGE");  // NOLINT(concurrency-mt-unsafe)
  if (image == nullptr || options.image != image) refuse("--image", "kubernetes");
}

}  // namespace

void addRankOptions(CLI::App* command, RankOptions& options) {
  command->add_option("--on", options.on,
                      "where to start the ranks: local:N, lab, ssh:HOST,HOST or "
                      "kubernetes[:CONTEXT]; without it this process is one rank, as RANK, "
                      "WORLD_SIZE, MASTER_ADDR and MASTER_PORT say");
  command
      ->add_option("--backend", options.backend,
                   "what moves the data: nccl (GPU memory), host (Gloo), auto: nccl where there is "
                   "a GPU")
      ->check(CLI::IsMember({"auto", "nccl", "host"}))
      ->capture_default_str();
  command
      ->add_option("--transport", options.transport,
                   "of the host backend: verbs (RDMA), tcp, auto: verbs where there is a rail")
      ->check(CLI::IsMember({"auto", "verbs", "tcp"}))
      ->capture_default_str();
  command->add_option("--rail", options.rails,
                      "of the host backend, once per rail: DEVICE or DEVICE@ADDRESS for verbs, an "
                      "own ADDRESS for tcp (default: every rail of this network namespace)");
  command->add_option("--nccl-library", options.ncclLibrary,
                      "the libnccl to load (default: as the loader finds libnccl.so.2)");
  command->add_flag("--separate-hosts", options.separateHosts,
                    "with NCCL: every rank a host of its own (NCCL_HOSTID), for two ranks on one "
                    "GPU or to take the network path on one node");
  command->add_option("--timeout", options.timeout, "seconds for the ranks to find each other")
      ->check(usage::realRange(0.1, 86400.0))
      ->capture_default_str();
  command->add_option("--lab", options.lab, "of --on lab: the name of the running lab");
  command->add_option("--image", options.image, "of --on kubernetes: the image that holds railhead")
      ->envname("RAILHEAD_IMAGE");
  command->add_option("--ranks", options.ranks, "of --on kubernetes: one on each node")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--namespace", options.namespaceName, "of --on kubernetes")
      ->capture_default_str();
  command->add_option("--network", options.network,
                      "of --on kubernetes: the pods' networks annotation, none: without (default: "
                      "dgx-qsfp; none with --backend host --transport tcp)");
  command->add_option(
      "--resource", options.resources,
      "of --on kubernetes: NAME=COUNT of each pod, repeated (default: one rail set "
      "and one GPU, without the GPU with --backend host, neither with --transport tcp as "
      "well)");
  command->add_option("--runtime-class", options.runtimeClass,
                      "of --on kubernetes: of the pods, none: the node's default (default: nvidia, "
                      "none with --backend host)");
  command->add_flag("--dry-run", options.dryRun,
                    "of --on kubernetes: print the Job and its Service and start nothing");
  command
      ->add_flag("--marked-result", options.markedResult,
                 "write the result as one marked line: for ranks whose output others write into")
      ->group("");
  command
      ->add_flag("--until-stdin-ends", options.untilStdinEnds,
                 "end when standard input ends: for ranks that a far launcher started")
      ->group("");
  command->parse_complete_callback([command, &options] { refuseOtherPlaces(*command, options); });
}

std::vector<std::string> rankArguments(const RankOptions& options) {
  std::vector<std::string> out = {"--backend",      options.backend,
                                  "--transport",    options.transport,
                                  "--timeout",      std::to_string(options.timeout),
                                  "--marked-result"};
  for (const auto& rail : options.rails) out.insert(out.end(), {"--rail", rail});
  if (!options.ncclLibrary.empty()) {
    out.insert(out.end(), {"--nccl-library", options.ncclLibrary});
  }
  if (options.separateHosts) out.emplace_back("--separate-hosts");
  return out;
}

}  // namespace railhead::app
