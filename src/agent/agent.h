// The node daemon as one object: main() and the tests build the same one. Start order is the
// journey's (discover, provision, recover attachments, advertise, serve CNI), stop is the reverse.
#pragma once

#include "src/agent/cluster/cluster.h"
#include "src/agent/config.h"
#include "src/agent/privileges.h"
#include "src/base/result.h"
#include "src/gpu/gpu.h"
#include "src/netlink/client.h"
#include "src/netlink/events.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/os/log.h"
#include "src/os/netns.h"
#include "src/os/unique_fd.h"

#include <memory>
#include <string>

namespace railhead::agent {

// The outside world; everything outlives the agent.
struct AgentSeams {
  os::Filesystem& files;
  netlink::NetlinkOpener& netlink;
  netlink::NodeEvents& events;
  os::NetnsOpener& netns;
  os::Clock& clock;
  os::Log& log;
  gpu::GpuLibrary* gpus = nullptr;         // null: an agent that knows nothing of GPUs
  const ClusterAccess* cluster = nullptr;  // null: an agent without API server
  Privileges privileges = {};              // as they were restricted before the agent was made
};

// Held by whoever changes the node: two agents, or an agent and a `provision`, would undo each
// other's work. kBusy names the holder.
Result<os::UniqueFd> lockNode(os::Filesystem& files, const os::HostPaths& paths);

enum class Start {
  kAlone,     // another agent on this node is an Error
  kTakeOver,  // another agent is asked for the node, which it goes on serving until this one can
};

class Agent {
 public:
  // Checks what can be checked without touching the node.
  static Result<std::unique_ptr<Agent>> create(AgentConfig config, os::HostPaths paths,
                                               AgentSeams seams);
  virtual ~Agent() = default;  // stops

  // Takes the node and returns when everything serves. What cannot be provisioned or paired is
  // logged and tried again, with growing pauses, and does not keep the rest from serving. An Error
  // (a socket that cannot be made, say) means that nothing is left running.
  virtual Result<void> start(Start how = Start::kAlone) = 0;
  // True once a newer agent has the node: nothing is left to do but to wait to be ended, and then
  // to end the process without destroying the agent. That would hang up on kubelet, which would
  // take it for the newer one's end; the newer one holds what this one leaves open.
  virtual bool handedOver() const = 0;
  // Ends streams and requests under way, joins every thread. VFs and pods stay as they are.
  virtual void stop() = 0;

  // Takes a new configuration over while serving: resources, networks, twins, provisioning. An
  // Error (a field that takes a restart, say) changes nothing. Thread-safe while started.
  virtual Result<void> reconfigure(AgentConfig config) = 0;

  // What the node offers and who holds it, as one JSON object (docs/reference/agent-status.md).
  // Thread-safe while started.
  virtual std::string statusJson() = 0;

 protected:
  Agent() = default;
};

}  // namespace railhead::agent
