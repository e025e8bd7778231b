// Keeps the agent's picture of the node up to date and the node's VFs as they should be. Two
// threads: one looks when the kernel tells of a change, the other provisions, which may wait for
// drivers, so that a cable that is pulled meanwhile is seen at once.
#pragma once

#include "src/agent/config.h"
#include "src/agent/node_view.h"
#include "src/agent/observe/counts.h"
#include "src/agent/offers.h"
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
#include <memory>
#include <mutex>
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
  // After every look, from the looking thread.
  using Looked = std::function<void(const Result<void>& look, const netlink::NodeNews& news)>;

  NodeKeeper(KeeperSeams seams, Config config, Looked looked);
  ~NodeKeeper() { stop(); }

  // Reads the node anew and tells kubelet what is different; an error that lasts is logged once.
  // Only while the keeper does not run.
  Result<void> look();

  // Both threads; the first provisioning begins at once. After stop() it may start again.
  void start();
  void stop();
  // True when the first provisioning since start() has ended, well or not.
  bool awaitProvisioned(std::chrono::milliseconds patience);
  void configChanged();  // provisions and looks. Thread-safe

 private:
  void watch();
  void provisionWhenDue();
  void provision();
  void askForProvisioning(const netlink::NodeNews& news);
  std::set<PciAddress> pfs() const;

  KeeperSeams seams_;
  const Config config_;
  const Looked looked_;
  std::string lookFailure_;  // of whoever looks

  std::thread watcher_;
  std::thread provisioner_;
  std::atomic<bool> stopping_ = true;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  bool due_ = false;
  bool provisioned_ = false;
  std::string failure_;  // of the last provisioning
  std::set<PciAddress> triedOn_;
  std::chrono::seconds pause_{0};
  os::Clock::TimePoint retryAt_{};
};

}  // namespace railhead::agent
