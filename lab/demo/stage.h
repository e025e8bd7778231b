// The way from booted nodes to one pod with a rail set on each: files, kubelet stand-in and agent,
// rail sets on offer, pods attached. The demo shows these steps; `--on lab` takes them unseen.
#pragma once

#include "lab/client/lab_client.h"
#include "lab/demo/node_shell.h"
#include "lab/topology/topology.h"
#include "src/base/result.h"
#include "src/report/model/report.h"

#include <functional>
#include <string>
#include <vector>

namespace railhead::lab {

// A node with its pod, as the agent and the kubelet stand-in tell of them.
struct StagedNode {
  report::Node node;
  report::Pod pod;
};

// Used by one thread at a time; `client` and `topology` outlive it. Errors begin with the node's
// name.
class Stage {
 public:
  Stage(const LabClient& client, const Topology& topology) : client_(client), topology_(topology) {}

  NodeShell shell(const std::string& node) const { return {client_, node}; }
  NodeShell shell(std::size_t index) const { return shell(topology_.nodes[index].name); }

  Result<void> startAgents() const;    // VFs stand when it returns
  Result<void> awaitRailSets() const;  // kubelet can hand them out
  // One on each node, unless it is there.
  Result<std::vector<StagedNode>> attachPods() const;

  // All of it, or what is missing: where an agent runs nothing is started again.
  Result<std::vector<StagedNode>> prepare() const;

 private:
  using Step = std::function<Result<void>(std::size_t node)>;
  // On all nodes at once; the first failure is told.
  Result<void> onEveryNode(const Step& step) const;
  Result<std::string> podThere(std::size_t index) const;  // empty: none
  Result<StagedNode> look(std::size_t index, const std::string& podJson) const;

  const LabClient& client_;
  const Topology& topology_;
};

}  // namespace railhead::lab
