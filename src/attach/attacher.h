// Attaches networks to pods and takes them back: rail sets by itself, others by executing their CNI
// plugins. Each operation is journal -> steps -> read back; a failing step undoes the earlier ones.
// Repeating an operation is a no-op.
// Thread-safe: operations of different containers run side by side, those of one container wait for
// each other. No namespace stays open after an operation, or while a plugin runs.
#pragma once

#include "src/attach/address_plan.h"
#include "src/attach/attachment_table.h"
#include "src/attach/budget.h"
#include "src/attach/config.h"
#include "src/attach/deletion_marks.h"
#include "src/attach/device_info.h"
#include "src/attach/devices.h"
#include "src/attach/journal.h"
#include "src/attach/network_status.h"
#include "src/attach/networks.h"
#include "src/attach/plugin_chain.h"
#include "src/attach/rail_mover.h"
#include "src/attach/request.h"
#include "src/base/result.h"
#include "src/netlink/client.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/netns.h"
#include "src/os/process.h"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace railhead::attach {

// The outside world of an Attacher; everything outlives it.
struct AttachSeams {
  os::Filesystem& files;
  os::NetnsOpener& netns;
  netlink::NetlinkOpener& netlink;
  os::Clock& clock;
  NetworkCatalog& networks;
  PodDevices& devices;
  RailCatalog& rails;
  os::ProcessRunner& plugins;      // executes CNI plugins of other authors
  StatusSink* status = nullptr;    // hears of every ADD with networks; null: nobody wants to
  NodeOrdinal* ordinal = nullptr;  // null: it is the configuration's
};

// What recover(), gc() and sweep() did, for the log.
struct SweepReport {
  std::vector<std::string> done;  // "gave enp1s0f0np0v0 (0000:01:10.0) back: its pod is gone"
  std::vector<Error> failed;      // each is tried again by the next sweep()
  bool strays = false;  // some were renamed: MTU, MAC and trust are as their pods had them
};

class Attacher final {
 public:
  // Checks the configuration, makes the state directory and reads the journal; touches no VF.
  // Call recover() before serving requests.
  static Result<std::unique_ptr<Attacher>> open(AttachConfig config, AttachSeams seams);
  ~Attacher();

  // The CNI result as JSON text in the request's version. Failures leave the node as it was; what
  // could not be undone is named in the error and finished by sweep().
  // kBusy: a VF is held by another pod, which the message names.
  Result<std::string> add(const CniRequest& request);
  // Succeeds when nothing is known, when the namespace is gone, and when it was done before. Of a
  // chained request also when a part of it failed that sweep() and sweepPlugins() go on with.
  Result<void> del(const CniRequest& request);
  // kCheckFailed says what is different.
  Result<void> check(const CniRequest& request);
  // Takes back what belongs to this network and is not among request.validAttachments, and passes
  // GC on to the plugins of the networks that pods have.
  Result<SweepReport> gc(const CniRequest& request);
  // Whether ADD could work now: state directory writable, kernel answers; for a delegate, the IPAM
  // plugin that its configuration names too.
  Result<void> status(const CniRequest& request);

  // At start: undoes half-done ADDs, finishes half-done DELs and those that passed while no agent
  // was there, gives VFs of dead namespaces back and renames strays of a lost journal. What takes
  // plugins is left to sweepPlugins().
  SweepReport recover();
  // Call on link events: VFs whose namespace died without DEL come back under their own name, undo
  // that failed is tried again, and strays are renamed. Lists the host's links; waits for no
  // plugin.
  SweepReport sweep();
  // The same without the strays. Call every second, should an event get lost: costs one open() for
  // each attachment, and nothing without any.
  SweepReport sweepAttachments();
  // What plugins have to give back: after the VFs of a dead pod, before those of a living one. From
  // a thread of its own: each attachment may take AttachConfig::requestWait. `stop`: asked before
  // each.
  SweepReport sweepPlugins(const std::function<bool()>& stop = {});

  // kInvalidArgument: a network has a subnet that the node uses already; named, with the route.
  Result<void> checkSubnets(const std::vector<NetworkDefinition>& networks);

  // What pods hold now.
  std::vector<Attachment> attachments() const;

 private:
  Attacher(AttachConfig config, AttachSeams seams, Journal journal);

  Budget budgetFor(const CniRequest& request) const;
  Result<RailMover> openMover();
  // The attachment's namespace if it is still the one it was; nothing when it is gone.
  Result<std::optional<os::Netns>> openSame(const Attachment& attachment);
  // Answers for an attachment that stands already; nothing when ADD has to be carried out.
  Result<std::optional<std::string>> answerAgain(const CniRequest& request, const Budget& budget);
  Result<bool> standsWhole(const Attachment& attachment, const CniRequest& request);
  Result<AddressPlanConfig> addressesFor(const std::vector<NetworkChoice>& choices);
  Result<void> checkSubnets(const std::vector<NetworkChoice>& choices,
                            const AddressPlanConfig& addresses, const os::Netns& pod);
  void noteWithoutEffect(const CniRequest& request, const std::vector<NetworkChoice>& choices);
  // The attachment of a request, nothing of it done.
  Result<Attachment> plan(const CniRequest& request, RailMover& mover);
  // Enters it into the table; gives VFs back first that a dead or unfinished attachment holds.
  Result<void> claim(const Attachment& attachment, const Budget& budget);
  Result<std::string> finish(const CniRequest& request, const Attachment& attachment);

  // The steps of ADD, in attacher_steps.cc.
  Result<void> carryOut(Attachment& attachment, RailMover& mover, const Budget& budget);
  Result<void> prepare(Attachment& attachment, RailMover& mover);
  Result<void> runIpam(Attachment& attachment, const Budget& budget);
  Result<void> attachRails(const Attachment& attachment, RailMover& mover, const Budget& budget);
  Result<void> runDelegates(Attachment& attachment, const Budget& budget);
  Result<void> runDelegate(Attachment& attachment, ChainRecord& chain, const PluginChains& chains);
  Result<void> writeDeviceInfo(const Attachment& attachment, const ChainRecord& chain);
  Result<void> routeDefaults(const Attachment& attachment);
  void tellDevices(const Attachment& attachment);
  Result<void> forgetDevices(const Attachment& attachment);
  PluginHost pluginHost(const std::optional<Budget>& budget = {}) const;

  // GC and STATUS of other authors' plugins, in attacher_networks.cc.
  void collectInPlugins(const CniRequest& request, const Budget& budget, SweepReport& report);
  Result<void> collectInNetwork(const std::string& network, const CniRequest& request,
                                const Budget& budget, const std::set<AttachmentId>& valid);
  Result<void> askIpam(const char* command, const CniRequest& request, const Budget& budget,
                       const std::set<AttachmentId>* valid);

  enum class Plugins {
    kRun,
    kLeave,  // sweepPlugins() comes for them
  };
  struct TakingBack {
    std::chrono::milliseconds wait{0};  // for the kernel, to return the VFs of a dead namespace
    Plugins plugins = Plugins::kRun;
    std::optional<Budget> budget = {};  // of the request; plugins that it leaves no time are left
  };
  // Puts back all that the attachment took, the last first, and forgets it. kNotYet: the kernel
  // still has a VF, or plugins were left; sweep() goes on. An error says all that was not put back;
  // the attachment stays known then, without the rails if those are home.
  Result<Homecoming> takeBack(Attachment attachment, RailMover& mover, const TakingBack& how);
  Result<Homecoming> takeBack(const Attachment& attachment, const TakingBack& how);
  Result<bool> isAlive(const Attachment& attachment);
  Result<void> giveDefaultsBack(const Attachment& attachment);
  Result<Homecoming> bringRailsHome(const Attachment& attachment, RailMover& mover,
                                    std::chrono::milliseconds wait);
  Result<void> release(std::vector<ChainRecord>& list, const PluginChains& chains);
  void note(std::string text);

  // Whether sweep() may execute plugins for this attachment again, and how that went.
  bool pluginsDue(const AttachmentId& id);
  void pluginsFailed(const AttachmentId& id, bool failed);

  // Sweeping, in attacher_sweep.cc.
  enum class Sweep { kRails, kPlugins };
  void sweepOne(const Attachment& seen, Sweep what, SweepReport& report);
  void obeyMarks(SweepReport& report);
  Result<void> obeyMark(const AttachmentId& id);
  void takeNotes(SweepReport& report);
  void sweepStrays(SweepReport& report);
  void sweepStray(const discover::Rail& rail, RailMover& mover, SweepReport& report);

  AttachConfig config_;
  AttachSeams seams_;
  Journal journal_;
  DeletionMarks marks_;
  std::vector<Error> damaged_;  // journal files that could not be read at open()
  bool knowsAll_ = true;        // there were none of these
  AttachmentTable table_;
  std::mutex notesMutex_;
  std::vector<std::string> notes_;  // for the next sweep's report
  struct Pause {
    std::chrono::steady_clock::time_point until;
    std::chrono::milliseconds length;
  };
  std::map<AttachmentId, Pause> pauses_;  // with notesMutex_
};

// How messages call whose attachment it is: the pod, else the container.
std::string holderText(const Attachment& attachment);

}  // namespace railhead::attach
