#include "src/agent/node_keeper.h"

#include "src/discover/discover.h"
#include "src/provision/provision.h"

#include <algorithm>
#include <utility>

namespace railhead::agent {
namespace {

// A look reads some 2000 files on a node with 64 rail sets.
constexpr std::chrono::seconds kLookInterval{60};
// The RDMA port's state follows the link's, and nothing tells of it.
constexpr std::chrono::seconds kLookAgain{2};
constexpr std::chrono::milliseconds kSettle{20};
constexpr std::chrono::seconds kFirstRetry{5};
constexpr std::chrono::seconds kLastRetry{300};

// The most VFs that a PF is meant to have: so many rail sets a cage can give.
int setsPerCage(const provision::Goal& goal) {
  int most = 0;
  for (const auto& pf : goal.pfs) most = std::max(most, pf.vfs);
  return most;
}

}  // namespace

NodeKeeper::NodeKeeper(KeeperSeams seams, Config config, Looked looked)
    : seams_(seams), config_(std::move(config)), looked_(std::move(looked)) {}

Result<void> NodeKeeper::look() {
  const auto read = [&]() -> Result<void> {
    const auto config = config_();
    NodeSnapshot snapshot;
    RAILHEAD_TRY_ASSIGN(snapshot.node, discover::discoverNode(seams_.files, seams_.paths));
    RAILHEAD_TRY_ASSIGN(snapshot.cages, discover::pairTwins(snapshot.node, config->twins));
    snapshot.rails = discover::railSets(snapshot.node, snapshot.cages, setsPerCage(config->goal));
    const auto told = seams_.offers.update(snapshot.node, snapshot.rails.offered);
    seams_.view.replace(std::move(snapshot));
    return told;
  }();
  const std::string failed = read.has_value() ? "" : read.error().describe();
  if (!failed.empty() && failed != lookFailure_) seams_.log.error("discover", failed);
  lookFailure_ = failed;
  return read;
}

void NodeKeeper::start() {
  stop();
  stopping_ = false;
  {
    const std::lock_guard lock(mutex_);
    due_ = true;
    provisioned_ = false;
  }
  seams_.counts.turned(std::chrono::steady_clock::now());
  provisioner_ = std::thread([this] { provisionWhenDue(); });
  watcher_ = std::thread([this] { watch(); });
}

void NodeKeeper::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  seams_.events.wake();
  if (watcher_.joinable()) watcher_.join();
  if (provisioner_.joinable()) provisioner_.join();
  seams_.counts.turned({});
}

bool NodeKeeper::awaitProvisioned(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [this] { return provisioned_; });
}

void NodeKeeper::configChanged() {
  {
    const std::lock_guard lock(mutex_);
    due_ = true;
  }
  changed_.notify_all();
  seams_.events.wake();
}

void NodeKeeper::watch() {
  bool lookAgain = false;
  while (!stopping_) {
    const auto until = std::chrono::steady_clock::now() + (lookAgain ? kLookAgain : kLookInterval);
    const auto news = seams_.events.wait(until, kSettle);
    if (stopping_) return;
    lookAgain = !news.empty();
    for (const auto& one : news.what) seams_.log.debug("discover", one);
    const auto looked = look();
    seams_.counts.turned(std::chrono::steady_clock::now());
    askForProvisioning(news);
    looked_(looked, news);
  }
}

// A PF that appears late, or VFs: bring them to the goal. Our own steps cause such events, too: one
// that failed is not tried before its time, unless there are other PFs now.
void NodeKeeper::askForProvisioning(const netlink::NodeNews& news) {
  if (!news.functionsCame && !news.missedSome) return;
  const auto now = pfs();
  {
    const std::lock_guard lock(mutex_);
    if (!failure_.empty() && now == triedOn_) return;
    due_ = true;
  }
  changed_.notify_all();
}

std::set<PciAddress> NodeKeeper::pfs() const {
  std::set<PciAddress> pfs;
  const auto snapshot = seams_.view.current();
  for (const auto& pf : snapshot->node.pfs) pfs.insert(pf.pci);
  return pfs;
}

void NodeKeeper::provisionWhenDue() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto retryDue = [this] { return !failure_.empty() && seams_.clock.now() >= retryAt_; };
    if (!due_ && !retryDue()) {
      const auto wait = failure_.empty() ? os::Clock::Duration(std::chrono::hours(1))
                                         : retryAt_ - seams_.clock.now();
      changed_.wait_for(lock, wait, [&] { return stopping_ || due_; });
      continue;
    }
    due_ = false;
    lock.unlock();
    provision();
    lock.lock();
    provisioned_ = true;
    changed_.notify_all();
    seams_.events.wake();  // look at what came of it
  }
}

// Brings the VFs to the goal; what failed is due again after a pause that grows.
void NodeKeeper::provision() {
  const auto config = config_();
  if (!config->functions.provision || config->goal.pfs.empty()) return;
  const auto on = pfs();
  provision::Provisioner provisioner({seams_.files, seams_.paths, seams_.netlink, seams_.clock,
                                      seams_.holders, [this] { return stopping_.load(); }});
  const auto report = provisioner.apply(config->goal);
  if (stopping_) return;  // what it was told to leave is no failure
  seams_.counts.provisioned(report);
  std::string failed;
  if (!report.has_value()) {
    failed = report.error().describe();
  } else {
    for (const auto& line : report->changes) seams_.log.info("provision", line);
    for (const auto& one : report->failures) failed += one.error.describe() + "\n";
  }
  const std::lock_guard lock(mutex_);
  const bool news = failed.empty() || failed != failure_;
  if (report.has_value() && news) {
    for (const auto& line : report->untouched) seams_.log.warning("provision", line);
    for (const auto& line : report->warnings) seams_.log.warning("provision", line);
    seams_.log.info("provision", std::to_string(report->changes.size()) + " changes, " +
                                     std::to_string(report->failures.size()) + " PFs failed");
  }
  if (!failed.empty() && news) seams_.log.error("provision", failed);
  failure_ = failed;
  triedOn_ = on;
  pause_ =
      failed.empty() ? std::chrono::seconds(0) : std::clamp(pause_ * 2, kFirstRetry, kLastRetry);
  retryAt_ = seams_.clock.now() + pause_;
}

}  // namespace railhead::agent
