// Calls CNI plugins as containerd does: the first configuration of the folder in lexical order, its
// plugins one after the other, each given the result of the one before.
#pragma once

#include "src/base/result.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/process.h"

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace railhead::lab {

struct CniRequest {
  std::string containerId;
  std::string netns;  // path
  std::string interface = "eth0";
  std::string podNamespace;
  std::string podName;
  std::string podUid;
  std::map<std::string, std::string> annotations;  // to plugins with the capability for them
};

// Thread-safe; every call reads the configuration anew, as containerd's watch on it amounts to.
class CniRuntime {
 public:
  struct Places {
    std::string configFolder;
    std::vector<std::string> binFolders;
    std::map<std::string, std::string> environment;  // plugins see it beside the CNI_ variables
  };

  CniRuntime(Places places, os::Filesystem& files, os::ProcessRunner& processes, os::Clock& clock)
      : places_(std::move(places)), files_(files), processes_(processes), clock_(clock) {}

  // The last plugin's result (JSON). kEnvironment when there is no configuration; kCheckFailed when
  // a plugin refuses, with its name, CNI code and message.
  Result<std::string> add(const CniRequest& request);
  // In reverse order, stopping at the first refusal. `result` is what add() gave, empty if it
  // failed.
  Result<void> remove(const CniRequest& request, const std::string& result);

 private:
  Places places_;
  os::Filesystem& files_;
  os::ProcessRunner& processes_;
  os::Clock& clock_;
};

}  // namespace railhead::lab
