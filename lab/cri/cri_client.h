// The lab's kubelet as a client of a container runtime: CRI (runtime.v1) over a unix socket. Value
// types; gRPC stays in the .cc.
#pragma once

#include "src/base/result.h"
#include "src/kube/device.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

namespace railhead::lab {

struct CriVersion {
  std::string name;     // "containerd"
  std::string version;  // "2.1.9"
};

// "RuntimeReady", "NetworkReady".
struct CriCondition {
  std::string type;
  bool holds = false;
  std::string message;  // why it does not
};

struct CriSandboxConfig {
  std::string podNamespace;
  std::string podName;
  std::string podUid;
  std::uint32_t attempt = 0;
  std::string logFolder;
  std::map<std::string, std::string> annotations;
  std::string cgroupParent;  // "" leaves it to the runtime
  bool privileged = false;   // one of its containers is
  bool hostNetwork = false;
};

struct CriMount {
  std::string containerPath;
  std::string hostPath;
  bool readOnly = false;
  bool followsHost = false;  // sees what the host mounts in it later
};

struct CriContainerConfig {
  std::string name;
  std::string image;
  std::vector<std::string> command;  // empty: the image's own
  std::map<std::string, std::string> environment;
  std::vector<CriMount> mounts;
  std::vector<kube::DeviceNode> devices;
  std::vector<std::string> cdiDevices;
  std::map<std::string, std::string> annotations;
  std::string logPath;  // relative to the sandbox's logFolder
  bool privileged = false;
  std::vector<std::string> capabilities;         // beside the usual ones, "IPC_LOCK"
  std::vector<std::string> droppedCapabilities;  // of the usual ones; "ALL"
  bool readOnlyRoot = false;
  bool runtimeSeccomp = false;  // the runtime's own profile of system calls
};

struct CriSandbox {
  std::string id;
  std::string podNamespace;
  std::string podName;
  std::string podUid;
  bool ready = false;
};

struct CriSandboxStatus {
  CriSandbox sandbox;
  std::string address;  // of the primary interface; empty without one
  std::string netns;    // path, as far as the runtime tells it
};

struct CriContainerStatus {
  bool running = false;
  bool exited = false;
  int exitCode = 0;
  pid_t pid = 0;  // in the node's own numbers, as far as the runtime tells it; 0 when unknown
};

struct CriContainer {
  std::string id;
  std::string sandboxId;
  std::string name;
};

// Thread-safe. Connects when it is first asked, and again after the runtime was away. Every call
// ends within a deadline of its own. Errors: kNotFound no socket, kUnavailable nobody listens, else
// the runtime's words with their class.
class CriClient {
 public:
  explicit CriClient(std::string socketPath);
  ~CriClient();
  CriClient(const CriClient&) = delete;
  CriClient& operator=(const CriClient&) = delete;

  Result<CriVersion> version() const;
  Result<std::vector<CriCondition>> status() const;

  Result<std::string> runSandbox(const CriSandboxConfig& config) const;  // its id
  // CNI DEL and the end of its processes; succeeds again when it is stopped already.
  Result<void> stopSandbox(const std::string& id) const;
  Result<void> removeSandbox(const std::string& id) const;  // with its containers
  Result<CriSandboxStatus> sandboxStatus(const std::string& id) const;
  Result<std::vector<CriSandbox>> sandboxes() const;

  // `sandbox` is what runSandbox() got.
  Result<std::string> createContainer(const std::string& sandboxId,
                                      const CriContainerConfig& config,
                                      const CriSandboxConfig& sandbox) const;  // its id
  Result<void> startContainer(const std::string& id) const;
  // SIGTERM, and SIGKILL after `grace`.
  Result<void> stopContainer(const std::string& id, std::chrono::seconds grace) const;
  Result<void> removeContainer(const std::string& id) const;
  Result<CriContainerStatus> containerStatus(const std::string& id) const;
  Result<std::vector<CriContainer>> containers() const;

 private:
  class Connection;
  std::unique_ptr<Connection> connection_;
};

}  // namespace railhead::lab
