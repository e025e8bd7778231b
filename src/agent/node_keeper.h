// Keeps the agent's picture of the node up to date and the node's VFs as they should be, also when
// something else changes them: a driver that is loaded again, a PF that comes late. Two
// threads: one looks when the kernel tells of a change, the other provisions, which may wait for
// drivers, so that a cable that is pulled meanwhile is seen at once.
#pragma once

#include "src/agent/config.h"
#include "src/agent/node_view.h"
#include "src/agent/observe/counts.h"
#include "src/agent/offers.h"
#include "src/discover/memory.h"
#include "src/discover/twins.h"
#include "src/netlink/client.h"
#include "src/netlink/events.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/os/log.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

namespace railhead::agent {

// All outlive the keeper.
struct KeeperSeams {
  os::Filesystem& files;
  const os::HostPaths& paths;
  netlink::NetlinkOpener& netlink;
  netlink::NodeEvents& events;
  os::Clock& clock;
  os::Log& log;
  provision::VfHolders& holders;
  NodeView& view;
  Offers& offers;
  Counts& counts;
};

class NodeKeeper {
 public:
  using Config = std::function<std::shared_ptr<const AgentConfig>()>;
  // After every look, from the looking thread. True: look again soon.
  using Looked = std::function<bool(const Result<void>& look, const netlink::NodeNews& news)>;

  NodeKeeper(KeeperSeams seams, Config config, Looked looked);
  ~NodeKeeper() { stop(); }

  // Reads the node anew and tells kubelet what is different. An Error: the node cannot be read.
  // That, and what else is wrong, is logged once. Only while the keeper does not run.
  Result<void> look();

  // Both threads; the first provisioning begins at once. After stop() it may start again.
  void start();
  void stop();
  // True when the first provisioning since start() has ended, well or not, and was looked at.
  bool awaitProvisioned(std::chrono::milliseconds patience);
  void configChanged();  // provisions and looks. Thread-safe

 private:
  using PfStates = std::map<PciAddress, std::string>;

  // Of whoever looks.
  void recall();
  Result<void> keepMemory();
  discover::SilentPfs silentPfs();
  void tellOdds(const NodeSnapshot& snapshot);
  void logOnce(const std::string& component, const Result<void>& done);

  void watch();
  void provisionWhenDue();
  void provision();
  void askForProvisioning();
  void dueSoon();
  std::optional<std::set<PciAddress>> held() const;

  KeeperSeams seams_;
  const Config config_;
  const Looked looked_;

  // Of whoever looks.
  discover::NodeMemory memory_;
  bool recalled_ = false;  // what an earlier agent kept was read
  std::string boot_;
  std::string kept_;  // what is in the file
  std::optional<os::Clock::TimePoint> firstLook_;
  bool waitsForSilent_ = false;
  std::set<std::string> told_;                   // odds of the node
  std::map<std::string, std::string> failures_;  // by component

  std::thread watcher_;
  std::thread provisioner_;
  std::atomic<bool> stopping_ = true;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  bool due_ = false;
  std::optional<os::Clock::TimePoint> dueAt_;  // a failure's or a drift's turn
  bool askHolders_ = false;                    // whether what was put off can be done now
  bool provisioning_ = false;
  bool provisioned_ = false;
  bool shown_ = false;   // what came of it
  std::string failure_;  // of the last provisioning
  std::chrono::seconds pause_{0};
  // As the last provisioning left the node. Something else since then is a drift.
  PfStates settled_;
  bool deferred_ = false;  // something was left undone because VFs were held: by whom
  std::optional<std::set<PciAddress>> heldThen_;
  os::Clock::TimePoint notBefore_{};  // drifts are not answered more often
};

}  // namespace railhead::agent
