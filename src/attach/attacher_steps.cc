// The steps of ADD, and what puts them back.
#include "src/attach/attach_plan.h"
#include "src/attach/attacher.h"
#include "src/attach/default_routes.h"
#include "src/attach/failures.h"
#include "src/attach/result.h"

#include <algorithm>
#include <future>

namespace railhead::attach {
namespace {

constexpr int kLongestPause = 20;  // times AttachConfig::pluginPause
constexpr std::chrono::microseconds kLook{500};
constexpr int kMostLooks = 100;

std::string placeOf(const RailRecord& rail) {
  return rail.podName + " (VF " + rail.vf.toString() + ")";
}

Result<void> nothingMore() { return {}; }

// Nothing depends on it but the time that both take: a link that comes up would hold up the making
// of the device. For a moment only: the device before it may take long.
void letBegin(const RailRecord& rail, const RailMover& mover,
              const std::future<Result<void>>& device) {
  for (int look = 0; look < kMostLooks && !mover.rdmaHasBegun(rail); ++look) {
    if (device.wait_for(kLook) != std::future_status::timeout) return;
  }
}

// A rail's RDMA device moves, or is made, while the rail comes up and the next one moves in: each
// is mostly a wait for the kernel or the card. One device after the other all the same: a pod finds
// its devices in the order in which they came. Returns when all that it began has ended, well or
// not.
Result<void> moveIn(const std::vector<RailRecord>& rails, const os::Netns& pod, RailMover& mover) {
  Failures failures;
  std::future<Result<void>> devices;  // of the rails so far
  for (const RailRecord& rail : rails) {
    failures.add(mover.moveIn(rail, pod).addContext(placeOf(rail)));
    if (!failures.none()) break;
    // Without a thread to be had it is done by whoever waits for it.
    devices = std::async([&, before = std::move(devices)]() mutable -> Result<void> {
      if (before.valid()) RAILHEAD_TRY(before.get());
      return mover.moveRdmaIn(rail, pod).addContext(placeOf(rail));
    });
    letBegin(rail, mover, devices);
    failures.add(mover.bringUp(rail, pod).addContext(placeOf(rail)));
    if (!failures.none()) break;
  }
  if (devices.valid()) failures.add(devices.get());
  return failures.outcome();
}

}  // namespace

PluginHost Attacher::pluginHost(const std::optional<Budget>& budget) const {
  return {seams_.plugins,       seams_.files,       config_.paths.cniBin,
          pluginFiles(config_), config_.pluginWait, budget};
}

void Attacher::note(std::string text) {
  const std::lock_guard lock(notesMutex_);
  notes_.push_back(std::move(text));
}

Result<void> Attacher::carryOut(Attachment& attachment, RailMover& mover, const Budget& budget) {
  if (auto prepared = prepare(attachment, mover); !prepared.has_value()) {
    table_.forget(attachment.id);  // nothing was touched
    return prepared;
  }
  table_.store(attachment);
  const auto steps = [&]() -> Result<void> {
    RAILHEAD_TRY(runIpam(attachment, budget));
    RAILHEAD_TRY(attachRails(attachment, mover, budget));
    RAILHEAD_TRY(runDelegates(attachment, budget));
    RAILHEAD_TRY(routeDefaults(attachment));
    Attachment attached = attachment;
    attached.state = AttachmentState::kAttached;
    return journal_.write(attached);
  };
  auto done = steps();
  if (done.has_value()) {
    attachment.state = AttachmentState::kAttached;
    table_.store(attachment);
    tellDevices(attachment);
    return done;
  }
  // What plugins do not undo in this time, sweepPlugins() has undone.
  const auto undone =
      takeBack(attachment, mover,
               {.wait = config_.returnWait, .budget = Budget(seams_.clock, config_.undoWait)});
  if (!undone.has_value())
    done.error().message += "; undoing it failed too: " + undone.error().message;
  return done;
}

Result<void> Attacher::prepare(Attachment& attachment, RailMover& mover) {
  for (RailRecord& rail : attachment.rails)
    RAILHEAD_TRY(mover.survey(rail).addContext(placeOf(rail)));
  // They come first: one record says so for all of them. A DEL without an ADD does no harm there.
  for (ChainRecord& chain : attachment.ipam) chain.begun = chain.plugins.size();
  return journal_.write(attachment);
}

Result<void> Attacher::runIpam(Attachment& attachment, const Budget& budget) {
  if (attachment.ipam.empty()) return {};
  const PluginChains chains(pluginHost(budget), attachment, attachment.netnsPath);
  for (ChainRecord& chain : attachment.ipam)
    RAILHEAD_TRY(chains.add(chain, "", nothingMore).addContext("network " + chain.network));
  return takeIpamResults(attachment);
}

Result<void> Attacher::attachRails(const Attachment& attachment, RailMover& mover,
                                   const Budget& budget) {
  if (attachment.rails.empty()) return {};
  RAILHEAD_TRY_ASSIGN(const auto pod, openSame(attachment));
  if (!pod) return Error(ErrorCode::kUnavailable, "the pod's namespace is gone");
  RAILHEAD_TRY(moveIn(attachment.rails, *pod, mover));
  for (const RailRecord& rail : attachment.rails)
    RAILHEAD_TRY(
        mover.waitForGid(rail, *pod, budget.atMost(config_.gidWait)).addContext(placeOf(rail)));
  mover.leave();
  return {};
}

Result<void> Attacher::runDelegates(Attachment& attachment, const Budget& budget) {
  if (attachment.delegates.empty()) return {};
  const PluginChains chains(pluginHost(budget), attachment, attachment.netnsPath);
  for (ChainRecord& chain : attachment.delegates) {
    RAILHEAD_TRY(runDelegate(attachment, chain, chains).addContext("network " + chain.network));
  }
  return {};
}

Result<void> Attacher::runDelegate(Attachment& attachment, ChainRecord& chain,
                                   const PluginChains& chains) {
  std::string previous;
  for (const RailRecord& rail : attachment.rails) {
    if (chain.behindRail && rail.podName == chain.ifname)
      previous = encodeResult(resultOf(rail, attachment.netnsPath), chain.cniVersion);
  }
  if (chain.toldDeviceInfo) RAILHEAD_TRY(writeDeviceInfo(attachment, chain));
  RAILHEAD_TRY(chains.add(chain, previous, [&] { return journal_.write(attachment); }));
  if (!chain.toldDeviceInfo) return {};
  DeviceInfoFolder folder(seams_.files, config_.paths.deviceInfo);
  auto said = folder.readForPod(attachment.id.containerId, chain.ifname);
  if (said.has_value()) {
    chain.deviceInfo = std::move(*said);
  } else {
    note(said.error().message);  // what a plugin writes there is nothing that a pod waits for
  }
  return {};
}

// What a plugin finds in the file that it is told of.
Result<void> Attacher::writeDeviceInfo(const Attachment& attachment, const ChainRecord& chain) {
  DeviceInfoFolder folder(seams_.files, config_.paths.deviceInfo);
  for (const RailRecord& rail : attachment.rails) {
    if (!chain.behindRail || rail.podName != chain.ifname) continue;
    return folder.writeForPod(attachment.id.containerId, chain.ifname,
                              {rail.vf, rail.pf, rail.rdmaDevice});
  }
  if (chain.resource.empty() || chain.device.empty()) return {};
  return folder.copyForPod(attachment.id.containerId, chain.ifname, chain.resource, chain.device);
}

Result<void> Attacher::routeDefaults(const Attachment& attachment) {
  if (attachment.defaultRoutes.empty()) return {};
  RAILHEAD_TRY_ASSIGN(const auto pod, openSame(attachment));
  if (!pod) return Error(ErrorCode::kUnavailable, "the pod's namespace is gone");
  RAILHEAD_TRY_ASSIGN(const auto inside, seams_.netlink.openLinks(&*pod));
  return takeDefaultRoutes(*inside, attachment);
}

// A convenience for others: a pod without it is complete.
void Attacher::tellDevices(const Attachment& attachment) {
  DeviceInfoFolder folder(seams_.files, config_.paths.deviceInfo);
  for (const RailRecord& rail : attachment.rails) {
    const auto written = folder.writeForPod(attachment.id.containerId, rail.podName,
                                            {rail.vf, rail.pf, rail.rdmaDevice});
    if (!written.has_value()) note(written.error().message);
  }
}

Result<void> Attacher::forgetDevices(const Attachment& attachment) {
  DeviceInfoFolder folder(seams_.files, config_.paths.deviceInfo);
  Failures failures;
  for (const RailRecord& rail : attachment.rails)
    failures.add(folder.removeForPod(attachment.id.containerId, rail.podName));
  for (const ChainRecord& chain : attachment.delegates) {
    if (chain.toldDeviceInfo && !chain.behindRail)
      failures.add(folder.removeForPod(attachment.id.containerId, chain.ifname));
  }
  return failures.outcome();
}

Result<Homecoming> Attacher::takeBack(const Attachment& attachment, const TakingBack& how) {
  RAILHEAD_TRY_ASSIGN(RailMover mover, openMover());
  return takeBack(attachment, mover, how);
}

Result<Homecoming> Attacher::takeBack(Attachment attachment, RailMover& mover,
                                      const TakingBack& how) {
  mover.leave();
  // A half-done ADD is undone after a crash anyway; only a complete one has to be marked.
  if (attachment.state == AttachmentState::kAttached) {
    attachment.state = AttachmentState::kDetaching;
    RAILHEAD_TRY(journal_.write(attachment));
  }
  table_.store(attachment);
  RAILHEAD_TRY_ASSIGN(const bool alive, isAlive(attachment));
  const PluginChains chains(pluginHost(how.budget), attachment, alive ? attachment.netnsPath : "");
  const bool run = how.plugins == Plugins::kRun;
  Failures failures;
  // In a living pod what plugins made goes first. A dead one's VFs wait for no plugin.
  if (alive) failures.add(giveDefaultsBack(attachment));
  if (alive && run) failures.add(release(attachment.delegates, chains));
  auto home = bringRailsHome(attachment, mover, how.wait);
  mover.leave();
  for (const std::string& text : mover.notes()) note(text);
  if (!home.has_value()) failures.add(std::move(home).error());
  const bool railsHome = home.has_value() && *home != Homecoming::kNotYet;
  if (railsHome) {
    if (!alive && run) failures.add(release(attachment.delegates, chains));
    if (run) failures.add(release(attachment.ipam, chains));
  }
  const auto forgotten = railsHome ? forgetDevices(attachment) : Result<void>();
  failures.add(forgotten);
  if (railsHome && failures.none() && (run || !attachment.hasPlugins())) {
    RAILHEAD_TRY(journal_.erase(attachment.id));
    table_.forget(attachment.id);
    return Homecoming::kHome;
  }
  if (railsHome && forgotten.has_value() && !attachment.rails.empty()) {
    attachment.rails.clear();  // the VFs are free, whatever a plugin does
    failures.add(journal_.write(attachment));
  }
  table_.store(attachment);
  RAILHEAD_TRY(failures.outcome());
  return Homecoming::kNotYet;
}

Result<bool> Attacher::isAlive(const Attachment& attachment) {
  RAILHEAD_TRY_ASSIGN(const auto pod, openSame(attachment));
  return pod.has_value();
}

Result<void> Attacher::giveDefaultsBack(const Attachment& attachment) {
  if (attachment.defaultRoutes.empty()) return {};
  RAILHEAD_TRY_ASSIGN(const auto pod, openSame(attachment));
  if (!pod) return {};
  RAILHEAD_TRY_ASSIGN(const auto inside, seams_.netlink.openLinks(&*pod));
  return giveDefaultRoutesBack(*inside, attachment);
}

// DEL of every plugin that was begun, the last first; of a chain that succeeds nothing is begun
// then.
Result<void> Attacher::release(std::vector<ChainRecord>& list, const PluginChains& chains) {
  Failures failures;
  for (auto chain = list.rbegin(); chain != list.rend(); ++chain) {
    auto done = chains.del(*chain);
    if (done.has_value()) chain->begun = 0;
    failures.add(std::move(done).addContext("network " + chain->network));
  }
  return failures.outcome();
}

Result<Homecoming> Attacher::bringRailsHome(const Attachment& attachment, RailMover& mover,
                                            std::chrono::milliseconds wait) {
  if (attachment.rails.empty()) return Homecoming::kHome;
  RAILHEAD_TRY_ASSIGN(const auto pod, openSame(attachment));
  Failures failures;
  bool allBack = true;
  const Budget waiting(seams_.clock, wait);  // for all of them together
  for (auto rail = attachment.rails.rbegin(); rail != attachment.rails.rend(); ++rail) {
    const auto outcome = mover.bringHome(*rail, pod ? &*pod : nullptr, waiting.left());
    if (outcome.has_value()) {
      allBack = allBack && *outcome != Homecoming::kNotYet;
    } else {
      failures.add(Result<void>(outcome.error()).addContext(placeOf(*rail)));
    }
  }
  RAILHEAD_TRY(failures.outcome());
  return allBack ? Homecoming::kHome : Homecoming::kNotYet;
}

bool Attacher::pluginsDue(const AttachmentId& id) {
  const std::lock_guard lock(notesMutex_);
  const auto pause = pauses_.find(id);
  return pause == pauses_.end() || seams_.clock.now() >= pause->second.until;
}

void Attacher::pluginsFailed(const AttachmentId& id, bool failed) {
  const std::lock_guard lock(notesMutex_);
  const auto pause = pauses_.find(id);
  if (!failed) {
    if (pause != pauses_.end()) pauses_.erase(pause);
    return;
  }
  const auto length = pause == pauses_.end()
                          ? config_.pluginPause
                          : std::min(2 * pause->second.length, kLongestPause * config_.pluginPause);
  pauses_[id] = {seams_.clock.now() + length, length};
}

}  // namespace railhead::attach
