// A container runtime for tests: CRI over a unix socket, with state and without containers. A
// sandbox it runs has a file for a network namespace and a CNI result, as the real one leaves them.
#pragma once

#include "src/base/result.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace railhead::lab {

// Thread-safe.
class FakeCri {
 public:
  struct Sandbox {
    std::string name;
    std::string uid;
    std::string cgroupParent;
    std::map<std::string, std::string> annotations;
    bool ready = true;
  };
  struct Container {
    std::string sandboxId;
    std::string image;
    std::vector<std::string> command;
    std::map<std::string, std::string> environment;
    std::vector<std::string> devices;  // "host:container:permissions"
    std::vector<std::string> mounts;   // "host:container", ":ro" behind it, ":follows" behind that
    std::vector<std::string> cdiDevices;
    std::vector<std::string> capabilities;
    std::vector<std::string> droppedCapabilities;
    std::vector<std::string> readOnlyPaths;
    bool readOnlyRoot = false;
    bool hostNetwork = false;
    bool runtimeSeccomp = false;
    std::string logPath;
    bool running = false;
    bool exited = false;
    int exitCode = 0;
  };

  // Serves on `folder`/cri.sock; namespaces and results are below `folder` too.
  static Result<std::unique_ptr<FakeCri>> start(const std::string& folder);
  virtual ~FakeCri() = default;

  virtual std::string socket() const = 0;
  virtual std::string resultsFolder() const = 0;
  virtual std::map<std::string, Sandbox> sandboxes() const = 0;
  virtual std::map<std::string, Container> containers() const = 0;

  // From now on RunPodSandbox fails so (an empty text: no more). With `leavesIt` the sandbox stays
  // although the call failed, as after an undoing that failed too.
  virtual void refuseSandboxes(const std::string& text, bool leavesIt) = 0;
  virtual void setNetworkReady(bool ready) = 0;
  virtual void endContainer(const std::string& id, int code) = 0;
};

}  // namespace railhead::lab
