// Brings one emulated node to where pods can run: files, kubelet stand-in, agent. Used by the demo
// and by the lab tests. Each call is one step that a user of a real node takes too.
#pragma once

#include "lab/demo/node_shell.h"
#include "lab/topology/topology.h"
#include "src/base/result.h"

#include <string>

namespace railhead::lab {

// The agent's configuration, the CNI configuration and the shim where the runtime looks for it.
Result<void> installFiles(const NodeShell& node, const Topology& topology, std::size_t index);
// Before the first pod: RDMA devices belong to one network namespace each from now on. A node boots
// with what Linux has unless told otherwise, all devices shared by all.
Result<void> makeRdmaExclusive(const NodeShell& node);
// How pods are made: by the kubelet stand-in itself, or by containerd, which it then asks.
enum class Runtime { kDirect, kContainerd };
Result<void> startKubelet(const NodeShell& node, Runtime runtime = Runtime::kDirect);
// containerd with a primary network: the bridge plugin, with our shim chained behind it. Returns at
// once; awaitContainerd() when it answers and has the pods' image. kEnvironment when the image of
// the nodes was built without it.
Result<void> startContainerd(const NodeShell& node, std::size_t index);
Result<void> awaitContainerd(const NodeShell& node);
// Returns when the agent says that it is ready; an agent that ends instead is an Error with its
// last words.
Result<void> startAgent(const NodeShell& node);
Result<void> killAgent(const NodeShell& node);  // kill -9, and waits until it is gone
Result<void> awaitAllocatable(const NodeShell& node, unsigned count);
// The pod as the kubelet stand-in prints it, JSON with its CNI result.
Result<std::string> runPod(const NodeShell& node, std::size_t index);

}  // namespace railhead::lab
