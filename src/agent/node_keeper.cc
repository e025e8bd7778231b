#include "src/agent/node_keeper.h"

#include "src/discover/discover.h"
#include "src/provision/provision.h"

#include <algorithm>
#include <utility>

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace railhead::agent {
namespace {

// A look reads some 2000 files on a node with 64 rail sets.
constexpr std::chrono::seconds kLookInterval{120};
// The RDMA port's state follows the link's, and nothing tells of it.
constexpr std::chrono::seconds kLookAgain{2};
constexpr std::chrono::seconds kFirstRetry{5};
constexpr std::chrono::seconds kLastRetry{300};
// Drivers of a node that boots are up by then.
constexpr std::chrono::seconds kSilentPatience{30};
constexpr int kWatcherNice = 15;             // a thirtieth of a usual thread's share
constexpr std::size_t kMaxMemory = 8 << 20;  // bytes

// The most VFs that a PF is meant to have: so many rail sets a cage can give.
int setsPerCage(const provision::Goal& goal) {
  int most = 0;
  for (const auto& pf : goal.pfs) most = std::max(most, pf.vfs);
  return most;
}

// What of the goal's PFs others can change: of those alone, and without what is done on purpose
// (a link that is taken down, a VF that is unbound).
std::map<PciAddress, std::string> statesOf(const discover::Node& node,
                                           const provision::Goal& goal) {
  std::map<PciAddress, std::string> states;
  for (const auto& pf : node.pfs) {
    const bool meant = std::any_of(goal.pfs.begin(), goal.pfs.end(),
                                   [&](const auto& one) { return one.select.matches(pf); });
    if (!meant) continue;
    states[pf.pci] = pf.driver + "|" + pf.netdev + "|" + std::to_string(pf.numVfs) + "|" +
                     std::to_string(pf.mtu);
  }
  return states;
}

}  // namespace

NodeKeeper::NodeKeeper(KeeperSeams seams, Config config, Looked looked)
    : seams_(seams), config_(std::move(config)), looked_(std::move(looked)) {}

Result<void> NodeKeeper::look() {
  const auto config = config_();
  NodeSnapshot snapshot;
  auto node = discover::discoverNode(seams_.files, seams_.paths);
  logOnce("discover", node.has_value() ? Result<void>() : Result<void>(node.error()));
  if (!node.has_value()) return std::move(node).error();
  snapshot.node = std::move(*node);
  recall();
  memory_.learn(snapshot.node);
  snapshot.known = memory_.complete(snapshot.node);
  const auto silent = silentPfs();
  snapshot.cages = discover::pairTwins(snapshot.known, config->twins, silent);
  snapshot.rails = discover::railSets(snapshot.known, snapshot.cages, setsPerCage(config->goal),
                                      &memory_.indexes);
  waitsForSilent_ = silent == discover::SilentPfs::kMayBeTwins && !snapshot.rails.withheld.empty();
  tellOdds(snapshot);
  logOnce("state", keepMemory());
  logOnce("advertise", seams_.offers.update(snapshot.picture()));
  seams_.view.replace(std::move(snapshot));
  return {};
}

void NodeKeeper::logOnce(const std::string& component, const Result<void>& done) {
  std::string failed = done.has_value() ? "" : done.error().describe();
  std::string& last = failures_[component];
  if (!failed.empty() && failed != last) seams_.log.error(component, failed);
  last = std::move(failed);
}

void NodeKeeper::recall() {
  if (std::exchange(recalled_, true)) return;
  boot_ = seams_.files.readTrimmed(seams_.paths.proc + "/sys/kernel/random/boot_id").value_or("");
  kept_ = seams_.files.readFile(seams_.paths.nodeMemory(), kMaxMemory).value_or("");
  if (kept_.empty()) return;
  auto memory = discover::NodeMemory::decode(kept_, boot_);
  if (memory.has_value()) {
    memory_ = std::move(*memory);
  } else if (memory.error().code != ErrorCode::kNotFound) {
    seams_.log.warning("discover", seams_.paths.nodeMemory() + ": " + memory.error().message);
  }
}

Result<void> NodeKeeper::keepMemory() {
  std::string text = memory_.encode(boot_);
  if (text == kept_ || text.size() > kMaxMemory) return {};
  RAILHEAD_TRY(seams_.files.replaceFile(seams_.paths.nodeMemory(), text, 0600)
                   .addContext("remember the node's PFs"));
  kept_ = std::move(text);
  return {};
}

// Once a boot: later a PF that is silent was made so by somebody.
discover::SilentPfs NodeKeeper::silentPfs() {
  const auto now = seams_.clock.now();
  if (!firstLook_) firstLook_ = now;
  if (now - *firstLook_ >= kSilentPatience) memory_.waitedForSilent = true;
  return memory_.waitedForSilent ? discover::SilentPfs::kStandAlone
                                 : discover::SilentPfs::kMayBeTwins;
}

// What keeps rails from being offered, each once. While VFs are being made some are missing.
void NodeKeeper::tellOdds(const NodeSnapshot& snapshot) {
  {
    const std::lock_guard lock(mutex_);
    if (provisioning_ || due_) return;
  }
  std::set<std::string> odds(snapshot.cages.notes.begin(), snapshot.cages.notes.end());
  for (const auto& set : snapshot.rails.withheld) odds.insert("withheld: " + set.reason);
  for (const auto& error : snapshot.cages.refused) {
    odds.erase("withheld: " + error.message);
    odds.insert(error.describe());
  }
  for (const auto& line : odds) {
    if (!told_.contains(line)) seams_.log.warning("discover", line);
  }
  told_ = std::move(odds);
}

void NodeKeeper::start() {
  stop();
  stopping_ = false;
  {
    const std::lock_guard lock(mutex_);
    due_ = true;
    provisioned_ = shown_ = false;
  }
  seams_.counts.turned(std::chrono::steady_clock::now());
  // Named for `ps -L`, debuggers and tracers.
  provisioner_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), "provisioner");
    provisionWhenDue();
  });
  watcher_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), "node-watcher");
    // A pod waits for its attach, which changes what this looks at: on a busy node it goes first.
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kWatcherNice);
    watch();
  });
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
  recalled_ = false;  // another agent may write it meanwhile
  seams_.counts.turned({});
}

bool NodeKeeper::awaitProvisioned(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [this] { return shown_; });
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
    const auto news = seams_.events.wait(until, {});
    if (stopping_) return;
    for (const auto& one : news.what) seams_.log.debug("discover", one);
    bool provisioned = false;
    {
      const std::lock_guard lock(mutex_);
      provisioned = provisioned_;
    }
    const auto looked = look();
    if (provisioned) {
      const std::lock_guard lock(mutex_);
      shown_ = true;
    }
    changed_.notify_all();
    lookAgain = !news.empty() || waitsForSilent_;
    seams_.counts.turned(std::chrono::steady_clock::now());
    if (looked.has_value()) askForProvisioning();
    if (looked_(looked, news)) lookAgain = true;
  }
}

// The VFs that pods hold, by kubelet's and our word and by their looks; nothing when kubelet does
// not answer.
std::optional<std::set<PciAddress>> NodeKeeper::held() const {
  const auto holders = seams_.holders.holders();
  if (!holders.has_value()) return std::nullopt;
  std::set<PciAddress> held;
  for (const auto& holder : *holders) held.insert(holder.vf);
  // Kept: another thread may replace the view meanwhile.
  const auto seen = seams_.view.current();
  for (const auto& pf : seen->node.pfs) {
    for (const auto& vf : pf.vfs) {
      if (advertise::isAway(vf)) held.insert(vf.pci);
    }
  }
  return held;
}

// The goal's PFs are not as the last provisioning left them, or VFs came home for which something
// was put off. Our own steps cause such changes, too; those are over when provisioning is.
void NodeKeeper::askForProvisioning() {
  const auto config = config_();
  if (!config->functions.provision || config->goal.pfs.empty()) return;
  const auto now = statesOf(seams_.view.current()->node, config->goal);
  {
    const std::lock_guard lock(mutex_);
    if (provisioning_ || due_) return;
    if (now != settled_) dueSoon();
    askHolders_ = deferred_;  // by the other thread: kubelet may take its time
  }
  changed_.notify_all();
}

// With mutex_ held.
void NodeKeeper::dueSoon() {
  const auto at = std::max(seams_.clock.now(), notBefore_);
  dueAt_ = dueAt_ ? std::min(*dueAt_, at) : at;
}

void NodeKeeper::provisionWhenDue() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (std::exchange(askHolders_, false)) {
      lock.unlock();
      const auto holding = held();
      lock.lock();
      if (holding && holding != heldThen_) dueSoon();
      continue;
    }
    if (!due_ && !(dueAt_ && seams_.clock.now() >= *dueAt_)) {
      const auto wait =
          dueAt_ ? *dueAt_ - seams_.clock.now() : os::Clock::Duration(std::chrono::hours(1));
      const auto before = dueAt_;
      changed_.wait_for(lock, wait,
                        [&] { return stopping_ || due_ || askHolders_ || dueAt_ != before; });
      continue;
    }
    due_ = false;
    dueAt_.reset();
    provisioning_ = true;
    lock.unlock();
    provision();
    lock.lock();
    provisioning_ = false;
    provisioned_ = true;
    changed_.notify_all();
    seams_.events.wake();  // look at what came of it
  }
}

// Brings the VFs to the goal; what failed is due again after a pause that grows.
void NodeKeeper::provision() {
  const auto config = config_();
  if (!config->functions.provision || config->goal.pfs.empty()) return;
  PfStates settled = statesOf(seams_.view.current()->node, config->goal);
  auto holding = held();  // before: one that comes home meanwhile is seen afterwards
  provision::Provisioner provisioner({seams_.files, seams_.paths, seams_.netlink, seams_.clock,
                                      seams_.holders, [this] { return stopping_.load(); }});
  const auto report = provisioner.apply(config->goal);
  if (stopping_) return;  // what it was told to leave is no failure
  seams_.counts.provisioned(report);
  std::string failed;
  bool deferred = false;
  if (!report.has_value()) {
    failed = report.error().describe();
  } else {
    for (const auto& line : report->changes) seams_.log.info("provision", line);
    deferred = !report->untouched.empty();
    for (const auto& one : report->failures) {
      failed += one.error.describe() + "\n";
      deferred = deferred || one.error.code == ErrorCode::kBusy;
    }
    settled = statesOf(report->node, config->goal);
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
  settled_ = std::move(settled);
  deferred_ = deferred;
  heldThen_ = std::move(holding);
  pause_ =
      failed.empty() ? std::chrono::seconds(0) : std::clamp(pause_ * 2, kFirstRetry, kLastRetry);
  const auto now = seams_.clock.now();
  notBefore_ = now + kFirstRetry;
  if (!failed.empty()) dueAt_ = now + pause_;
}

}  // namespace railhead::agent
