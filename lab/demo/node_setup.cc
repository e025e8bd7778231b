#include "lab/demo/node_setup.h"

#include "lab/demo/scenario.h"

namespace railhead::lab {
namespace {

constexpr const char* kAgentConfig = "/run/railhead-lab/agent.yaml";
constexpr const char* kConflist = "/etc/cni/net.d/00-railhead.conflist";
constexpr const char* kContainerdSocket = "/run/containerd/containerd.sock";

}  // namespace

Result<void> installFiles(const NodeShell& node, const Topology& topology, std::size_t index) {
  RAILHEAD_TRY(node.writeFile(kAgentConfig, agentConfig(topology, index)));
  RAILHEAD_TRY(node.writeFile(kConflist, cniConflist()));
  RAILHEAD_TRY(node.run(
      {"sh", "-c", "mkdir -p /opt/cni/bin && cp /usr/lib/railhead/railhead-cni /opt/cni/bin/"}));
  return {};
}

Result<void> makeRdmaExclusive(const NodeShell& node) {
  RAILHEAD_TRY(node.run({"rdma", "system", "set", "netns", "exclusive"}));
  return {};
}

Result<void> startKubelet(const NodeShell& node, Runtime runtime) {
  std::vector<std::string> serve{"railhead-lab-kubelet", "serve"};
  if (runtime == Runtime::kContainerd) serve.insert(serve.end(), {"--runtime", kContainerdSocket});
  return node.startDaemon("kubelet", serve);
}

Result<void> startContainerd(const NodeShell& node, std::size_t index) {
  const auto there = node.run({"test", "-x", "/usr/bin/containerd"});
  if (!there.has_value()) {
    return Error(ErrorCode::kEnvironment, node.node() + ": the nodes' image has no containerd",
                 "lab/image/fetch-runtime.sh .cache/runtime, then ./dev build");
  }
  RAILHEAD_TRY(node.writeFile(kConflist, cniConflist(Primary::kBridge, index)));
  RAILHEAD_TRY(
      node.run({"sh", "-c", "mkdir -p /opt/cni/bin && ln -sf /usr/lib/cni/* /opt/cni/bin/"}));
  return node.startDaemon("containerd", {"containerd"});
}

Result<void> awaitContainerd(const NodeShell& node) {
  constexpr const char* kScript =
      "for i in $(seq 1 300); do [ -S $1 ] && grep -q 'successfully booted' $2 && break; "
      "pidof containerd >/dev/null || { tail -n 2 $2 >&2; exit 1; }; sleep 0.1; done; "
      "ctr -n k8s.io images import /usr/share/railhead-lab/node.oci.tar >/dev/null";
  RAILHEAD_TRY(
      node.run({"sh", "-c", kScript, "sh", kContainerdSocket, "/run/railhead-lab/containerd.log"}));
  return {};
}

Result<void> startAgent(const NodeShell& node) {
  RAILHEAD_TRY(node.startDaemon("agent", {"railhead-agent", "run", "--config", kAgentConfig}));
  constexpr const char* kScript =
      "for i in $(seq 1 150); do "
      "grep -q 'agent: ready' /run/railhead-lab/agent.log && exit 0; "
      "pidof railhead-agent >/dev/null || { tail -n 2 /run/railhead-lab/agent.log >&2; exit 1; }; "
      "sleep 0.2; done; echo 'the agent was not ready after 30 s' >&2; exit 1";
  RAILHEAD_TRY(node.run({"sh", "-c", kScript}));
  return {};
}

Result<void> killAgent(const NodeShell& node) {
  RAILHEAD_TRY(node.run({"sh", "-c",
                         "kill -9 $(pidof railhead-agent) || exit 1; "
                         "for i in $(seq 1 50); do pidof railhead-agent >/dev/null || exit 0; "
                         "sleep 0.1; done; exit 1"}));
  return {};
}

Result<void> awaitAllocatable(const NodeShell& node, unsigned count) {
  RAILHEAD_TRY(node.run({"railhead-lab-kubelet", "wait", kDemoResource, "--count",
                         std::to_string(count), "--timeout", "30"}));
  return {};
}

Result<std::string> runPod(const NodeShell& node, std::size_t index) {
  return node.run({"railhead-lab-kubelet", "run-pod", "-"}, podSpec(index));
}

}  // namespace railhead::lab
