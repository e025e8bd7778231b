// Executes CNI plugins of other authors, as the specification says a runtime does. Holds no
// namespace open: a plugin that hangs keeps no VF of a dead pod from coming home.
#pragma once

#include "src/attach/budget.h"
#include "src/attach/journal.h"
#include "src/base/result.h"
#include "src/os/filesystem.h"
#include "src/os/process.h"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace railhead::attach {

// Where plugins are and how long one may run; the references outlive whoever uses it.
struct PluginHost {
  os::ProcessRunner& processes;
  os::Filesystem& files;  // to look for the executables; makes the folders below `state`
  std::string folder;     // where plugins are that no folder of CNI_PATH has
  std::string state;      // what they keep is below it, unless their network says otherwise
  std::chrono::milliseconds wait{60000};
  std::optional<Budget> budget = {};  // of the request; nothing: only `wait` bounds a plugin
};

// A call of one plugin about its network: GC or STATUS, which no pod is part of. `searchPath`: as
// CNI_PATH came; may be empty.
Result<void> callAboutNetwork(const PluginHost& host, const char* command,
                              const PluginConfig& plugin, const std::string& searchPath);

// The chains of one attachment. Thread-safe as the host is.
class PluginChains {
 public:
  // `netns`: the pod's namespace for the plugins; empty when it is gone.
  PluginChains(PluginHost host, const Attachment& attachment, std::string netns);

  // kEnvironment when one of its executables is nowhere.
  Result<void> checkInstalled(const ChainRecord& chain) const;

  // ADD of each plugin, the result of one being prevResult of the next and `previous` that of the
  // first. `beforeEach` runs when chain.begun counts the plugin already and before it is executed:
  // an Error of it ends the ADD. On success chain.result has the form of a result.
  Result<void> add(ChainRecord& chain, std::string_view previous,
                   const std::function<Result<void>()>& beforeEach) const;
  // DEL of each plugin that was begun, the last one first, past failures, of which the first is
  // returned with the others in its message.
  Result<void> del(const ChainRecord& chain) const;
  // CHECK of each; nothing is executed for a version that has no CHECK, or when the network wants
  // none.
  Result<void> check(const ChainRecord& chain) const;

 private:
  Result<void> makeDataFolder(const PluginConfig& plugin) const;
  Result<std::string> execute(const char* command, const ChainRecord& chain,
                              const PluginConfig& plugin, std::string_view previous) const;

  PluginHost host_;
  std::string containerId_;
  std::string netns_;
  std::string arguments_;
  std::string path_;
};

}  // namespace railhead::attach
