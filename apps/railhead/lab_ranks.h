// Ranks in pods of emulated nodes: what `--on lab` means.
#pragma once

#include "apps/railhead/command_line.h"
#include "lab/client/lab_client.h"
#include "lab/demo/stage.h"
#include "src/launch/commands.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace railhead::app {

// The running lab (`railhead lab up`), or, where none runs, two emulated Sparks for as long as this
// lives; on each node a pod with a rail set. One rank in each pod.
class LabRanks {
 public:
  // Boots and attaches; tells what it does in the user's words. With a name, only the lab of that
  // name: kEnvironment when it does not run. `share`: an absolute folder that every node is to have
  // (onNode); empty: none. kEnvironment: the lab that runs does not share it. `interruptFd`: once
  // readable, booting is given up.
  static Result<std::unique_ptr<LabRanks>> open(const Context& context, const std::string& name,
                                                const std::function<void(std::string)>& tell,
                                                const std::string& share = {},
                                                int interruptFd = -1);

  // `program.argv` is run in every pod, without the program's own path; with input: it reads what
  // its command here is told.
  std::vector<launch::RankCommand> commands(const launch::RankProgram& program,
                                            bool withInput = false) const;
  const lab::LabClient& client() const { return *client_; }
  const std::string& name() const { return name_; }
  // Where a node has what is in the shared folder; any other path as it is.
  std::string onNode(const std::string& path) const;
  const lab::Topology& topology() const { return topology_; }
  const std::vector<lab::StagedNode>& nodes() const { return nodes_; }

 private:
  LabRanks() = default;

  std::string program_;
  lab::Topology topology_;
  std::optional<lab::BoundLab> own_;  // where none ran
  std::optional<lab::LabClient> client_;
  std::string name_, share_;
  std::vector<lab::StagedNode> nodes_;
};

}  // namespace railhead::app
