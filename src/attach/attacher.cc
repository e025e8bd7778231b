#include "src/attach/attacher.h"

#include "src/attach/attach_plan.h"
#include "src/attach/default_routes.h"
#include "src/attach/result.h"
#include "src/attach/subnet_use.h"
#include "src/base/text.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace railhead::attach {
namespace {

// The result for the runtime: the previous plugin's with what our networks gave behind.
Result<std::string> resultFor(const CniRequest& request, const Attachment& attachment) {
  RAILHEAD_TRY_ASSIGN(const auto results, resultsOf(attachment));
  return mergeResults(request.prevResult, results, request.cniVersion);
}

// A pod's namespace must not be the host's: its VFs would be configured on the node itself.
Result<os::Netns> openPod(os::NetnsOpener& opener, const std::string& path) {
  RAILHEAD_TRY_ASSIGN(os::Netns pod, opener.open(path).addContext("CNI_NETNS"));
  RAILHEAD_TRY_ASSIGN(const os::Netns host, opener.current());
  if (pod.id != host.id) return pod;
  return Error(ErrorCode::kInvalidArgument, "CNI_NETNS is " + inQuotes(path, 160) +
                                                ": the node's own network namespace cannot "
                                                "be a pod's");
}

// A rail's device, and one of a resource, is what kubelet gave to the pod, whatever it asks for.
std::vector<std::string> keysWithoutEffect(const NetworkChoice& choice) {
  std::vector<std::string> keys = choice.selection.ignored;
  const bool allotted = choice.network.rails || !choice.network.resourceName.empty();
  if (allotted && !choice.selection.deviceId.empty()) keys.emplace_back("'deviceID'");
  return keys;
}

Result<std::vector<std::string>> takenNames(const CniRequest& request, const os::Netns& pod,
                                            RailMover& mover) {
  RAILHEAD_TRY_ASSIGN(auto taken, interfaceNames(request.prevResult));
  RAILHEAD_TRY_ASSIGN(const auto links, mover.podLinks(pod));
  for (const auto& link : links) taken.push_back(link.name);
  return taken;
}

}  // namespace

std::string holderText(const Attachment& attachment) {
  const std::string pod = attachment.pod.name.empty() ? "container " + attachment.id.containerId
                                                      : "pod " + attachment.pod.toString();
  return pod + " (sandbox " + attachment.id.containerId.substr(0, 13) + ")";
}

Attacher::Attacher(AttachConfig config, AttachSeams seams, Journal journal)
    : config_(std::move(config)),
      seams_(seams),
      journal_(std::move(journal)),
      marks_(seams.files, config_.paths.state) {}

Attacher::~Attacher() = default;

Result<std::unique_ptr<Attacher>> Attacher::open(AttachConfig config, AttachSeams seams) {
  RAILHEAD_TRY(validate(config));
  RAILHEAD_TRY_ASSIGN(Journal journal, Journal::open(seams.files, config.paths));
  RAILHEAD_TRY_ASSIGN(auto contents, journal.readAll());
  std::unique_ptr<Attacher> attacher(new Attacher(std::move(config), seams, std::move(journal)));
  for (const Attachment& attachment : contents.attachments) attacher->table_.store(attachment);
  attacher->damaged_ = std::move(contents.damaged);
  attacher->knowsAll_ = attacher->damaged_.empty();
  return attacher;
}

Result<RailMover> Attacher::openMover() {
  return RailMover::open(seams_.files, config_.paths, seams_.netns, seams_.netlink, seams_.clock);
}

std::vector<Attachment> Attacher::attachments() const { return table_.all(); }

Result<std::optional<os::Netns>> Attacher::openSame(const Attachment& attachment) {
  auto opened = seams_.netns.open(attachment.netnsPath);
  if (opened.has_value()) {
    if (opened->id == attachment.netns) return std::optional<os::Netns>(std::move(*opened));
    return std::optional<os::Netns>();  // the path was given to another namespace
  }
  const ErrorCode code = opened.error().code;
  if (code == ErrorCode::kNotFound || code == ErrorCode::kInvalidArgument)
    return std::optional<os::Netns>();
  return std::move(opened).error();
}

Budget Attacher::budgetFor(const CniRequest& request) const {
  constexpr std::chrono::milliseconds kRest = cni::kAnswerWait - cni::kRequestBound;
  auto whole = config_.requestWait;
  if (request.patience) whole = std::min(whole, *request.patience - kRest);
  return {seams_.clock, whole};
}

Result<std::string> Attacher::add(const CniRequest& request) {
  const Budget budget = budgetFor(request);
  RAILHEAD_TRY_ASSIGN(const auto hold, table_.hold(request.id, budget.atMost(config_.queueWait)));
  // Whoever asked for it has gone, or is about to, and asks for its DEL then.
  if (budget.isOver())
    return Error(ErrorCode::kDeadlineExceeded, "the request has waited for too long");
  RAILHEAD_TRY(obeyMark(request.id));
  RAILHEAD_TRY_ASSIGN(auto standing, answerAgain(request, budget));
  if (standing) return std::move(*standing);
  RAILHEAD_TRY_ASSIGN(RailMover mover, openMover());
  RAILHEAD_TRY_ASSIGN(Attachment attachment, plan(request, mover));
  // Whatever could refuse the result does so before anything is touched.
  RAILHEAD_TRY(resultFor(request, attachment));
  if (attachment.empty()) return resultFor(request, attachment);
  RAILHEAD_TRY(claim(attachment, budget));
  RAILHEAD_TRY(carryOut(attachment, mover, budget));
  return finish(request, attachment);
}

// Without VF-bound addresses the ordinal does not matter.
Result<AddressPlanConfig> Attacher::addressesFor(const std::vector<NetworkChoice>& choices) {
  AddressPlanConfig addresses = config_.addresses;
  const bool needed = std::any_of(choices.begin(), choices.end(), [](const NetworkChoice& choice) {
    return choice.network.rails && !choice.network.rails->railSubnets.empty();
  });
  if (needed && seams_.ordinal != nullptr) {
    RAILHEAD_TRY_ASSIGN(addresses.nodeOrdinal, seams_.ordinal->ordinal());
  }
  return addresses;
}

Result<void> Attacher::checkSubnets(const std::vector<NetworkDefinition>& networks) {
  std::vector<PlacedSubnet> subnets;
  for (const NetworkDefinition& network : networks) {
    for (PlacedSubnet& subnet : subnetsOf(network, "network " + network.name))
      subnets.push_back(std::move(subnet));
  }
  if (subnets.empty()) return {};
  RAILHEAD_TRY_ASSIGN(const auto host, seams_.netlink.openLinks(nullptr));
  return checkUnused(subnets, config_.addresses, *host, railDevices(seams_.rails.singleRails()),
                     "this node");
}

Result<void> Attacher::checkSubnets(const std::vector<NetworkChoice>& choices,
                                    const AddressPlanConfig& addresses, const os::Netns& pod) {
  std::vector<PlacedSubnet> subnets;
  for (const NetworkChoice& choice : choices) {
    if (!choice.network.rails) continue;
    const std::string place = "network " + choice.selection.qualifiedName();
    for (PlacedSubnet& subnet : subnetsOf(*choice.network.rails, place))
      subnets.push_back(std::move(subnet));
  }
  if (subnets.empty()) return {};
  RAILHEAD_TRY(checkOverlaps(subnets));
  const RailDevices own = railDevices(seams_.rails.singleRails());
  RAILHEAD_TRY_ASSIGN(const auto host, seams_.netlink.openLinks(nullptr));
  RAILHEAD_TRY(checkUnused(subnets, addresses, *host, own, "this node"));
  RAILHEAD_TRY_ASSIGN(const auto inside, seams_.netlink.openLinks(&pod));
  return checkUnused(subnets, addresses, *inside, own, "the pod");
}

void Attacher::noteWithoutEffect(const CniRequest& request,
                                 const std::vector<NetworkChoice>& choices) {
  for (const NetworkChoice& choice : choices) {
    const auto ignored = keysWithoutEffect(choice);
    if (ignored.empty()) continue;
    note("pod " + request.pod.toString() + ": its annotation has keys without effect for network " +
         choice.selection.qualifiedName() + ": " + join(ignored, ", "));
  }
  if (!request.defaultNetwork.empty()) {
    note("pod " + request.pod.toString() + ": its annotation for a default network, " +
         inQuotes(request.defaultNetwork) +
         ", has no effect: its primary network is there before railhead is called");
  }
}

Result<Attachment> Attacher::plan(const CniRequest& request, RailMover& mover) {
  RAILHEAD_TRY_ASSIGN(const auto choices,
                      chooseNetworks(request, seams_.networks, seams_.devices, seams_.rails));
  noteWithoutEffect(request, choices);
  RAILHEAD_TRY_ASSIGN(const os::Netns pod, openPod(seams_.netns, request.netnsPath));
  RAILHEAD_TRY_ASSIGN(auto taken, takenNames(request, pod, mover));
  Attachment attachment;
  attachment.id = request.id;
  attachment.networkName = request.networkName;
  attachment.netnsPath = request.netnsPath;
  attachment.netns = pod.id;
  attachment.pod = request.pod;
  attachment.cniArgs = request.cniArgs;
  attachment.cniPath = request.cniPath;
  RAILHEAD_TRY_ASSIGN(const AddressPlanConfig addresses, addressesFor(choices));
  RAILHEAD_TRY(checkSubnets(choices, addresses, pod));
  AttachConfig placed = config_;
  placed.addresses = addresses;
  RAILHEAD_TRY(planAttachment(request, choices, placed, std::move(taken), attachment));
  if (!attachment.defaultRoutes.empty()) {
    RAILHEAD_TRY_ASSIGN(const auto inside, seams_.netlink.openLinks(&pod));
    RAILHEAD_TRY_ASSIGN(attachment.takenRoutes, routesInTheWay(*inside, attachment.defaultRoutes));
  }
  mover.leave();
  const PluginChains chains(pluginHost(), attachment, attachment.netnsPath);
  for (const ChainRecord& chain : attachment.ipam) RAILHEAD_TRY(chains.checkInstalled(chain));
  for (const ChainRecord& chain : attachment.delegates) RAILHEAD_TRY(chains.checkInstalled(chain));
  return attachment;
}

Result<std::string> Attacher::finish(const CniRequest& request, const Attachment& attachment) {
  RAILHEAD_TRY_ASSIGN(std::string result, resultFor(request, attachment));
  // As a delegate, whoever called us tells the status.
  if (seams_.status == nullptr || !request.deviceId.empty()) return result;
  const auto status = networkStatus(request, attachment);
  if (status.has_value()) {
    seams_.status->attached(request.pod.podNamespace, request.pod.name, request.pod.uid, *status);
  } else {
    note("no network status for " + holderText(attachment) + ": " + status.error().message);
  }
  return result;
}

Result<std::optional<std::string>> Attacher::answerAgain(const CniRequest& request,
                                                         const Budget& budget) {
  const auto known = table_.find(request.id);
  if (!known) return std::optional<std::string>();
  RAILHEAD_TRY_ASSIGN(const bool whole, standsWhole(*known, request));
  if (whole) {
    RAILHEAD_TRY_ASSIGN(std::string result, finish(request, *known));
    return std::optional<std::string>(std::move(result));
  }
  RAILHEAD_TRY_ASSIGN(const Homecoming outcome,
                      takeBack(*known, {.wait = config_.returnWait, .budget = budget})
                          .addContext("undo an earlier ADD"));
  if (outcome != Homecoming::kNotYet) return std::optional<std::string>();
  return Error(ErrorCode::kUnavailable,
               "the VFs of an earlier ADD of this container are not back yet");
}

Result<bool> Attacher::standsWhole(const Attachment& attachment, const CniRequest& request) {
  RAILHEAD_TRY_ASSIGN(const auto pod, openSame(attachment));
  if (attachment.state != AttachmentState::kAttached || !pod ||
      attachment.netnsPath != request.netnsPath) {
    return false;
  }
  RAILHEAD_TRY_ASSIGN(RailMover mover, openMover());
  RAILHEAD_TRY_ASSIGN(const auto links, mover.podLinks(*pod));
  const auto present = [&](const ChainRecord& chain) {
    return std::any_of(links.begin(), links.end(),
                       [&](const auto& link) { return link.name == chain.ifname; });
  };
  return std::all_of(attachment.delegates.begin(), attachment.delegates.end(), present) &&
         std::all_of(attachment.rails.begin(), attachment.rails.end(),
                     [&](const RailRecord& rail) { return mover.verify(rail, *pod).has_value(); });
}

Result<void> Attacher::claim(const Attachment& attachment, const Budget& budget) {
  // Each round frees one holder that has no right to its VFs any more; there are at most as many
  // holders as rails, and as many that have one of their addresses.
  for (std::size_t round = 0; round <= 2 * attachment.rails.size(); ++round) {
    RAILHEAD_TRY_ASSIGN(const auto holder,
                        table_.claim(attachment, budget.atMost(config_.queueWait)));
    if (!holder) return {};
    const std::string address = sharedAddress(attachment, *holder);
    const Error busy(
        ErrorCode::kBusy,
        (address.empty() ? "rail set is held by " : "address " + address + " is in use by ") +
            holderText(*holder),
        "wait until that pod is gone");
    const auto hold = table_.tryHold(holder->id);
    const auto current = table_.find(holder->id);
    if (!hold) return busy;
    if (!current) continue;
    RAILHEAD_TRY_ASSIGN(const auto alive, openSame(*current));
    // A pod has one sandbox: a new one of the same pod means that the older is dead.
    const bool replaced = !attachment.pod.uid.empty() && current->pod.uid == attachment.pod.uid &&
                          current->id.containerId != attachment.id.containerId;
    if (alive && current->state == AttachmentState::kAttached && !replaced) return busy;
    RAILHEAD_TRY_ASSIGN(const Homecoming outcome,
                        takeBack(*current, {.wait = config_.returnWait, .budget = budget})
                            .addContext("take rails back from " + holderText(*current)));
    if (outcome == Homecoming::kNotYet) {
      return Error(ErrorCode::kUnavailable, "the kernel has not yet given back the rails of " +
                                                holderText(*current) + ", which is gone");
    }
  }
  return Error(ErrorCode::kBusy, "rail set changes hands too often");
}

Result<void> Attacher::del(const CniRequest& request) {
  const Budget budget = budgetFor(request);
  RAILHEAD_TRY_ASSIGN(const auto hold, table_.hold(request.id, budget.atMost(config_.queueWait)));
  const auto known = table_.find(request.id);
  if (!known) return {};
  // What the kernel still holds comes back by sweep(); the runtime need not wait for it.
  auto outcome = takeBack(*known, {.wait = config_.returnWait, .budget = budget});
  if (outcome.has_value()) return {};
  // Once the record says that it ends, sweep() sees to the rest: the plugins before us in the
  // chain, which free the pod's address, must not wait for it. Whoever calls a delegate asks again.
  const auto left = table_.find(request.id);
  if (!request.deviceId.empty() || !left || left->state == AttachmentState::kAttached)
    return std::move(outcome).error();
  note("DEL of " + holderText(*known) + " is not finished and goes on: " + outcome.error().message);
  return {};
}

Result<void> Attacher::check(const CniRequest& request) {
  const Budget budget = budgetFor(request);
  RAILHEAD_TRY_ASSIGN(const auto hold, table_.hold(request.id, budget.atMost(config_.queueWait)));
  const auto known = table_.find(request.id);
  if (!known && request.deviceId.empty()) {
    RAILHEAD_TRY_ASSIGN(const auto wanted,
                        parseNetworks(request.networksAnnotation, request.pod.podNamespace));
    if (wanted.empty()) return {};
  }
  if (!known || known->state != AttachmentState::kAttached) {
    return Error(ErrorCode::kCheckFailed, "nothing is attached for " + request.id.toString() +
                                              ", though it asks for "
                                              "networks");
  }
  {
    RAILHEAD_TRY_ASSIGN(const auto pod, openSame(*known));
    if (!pod || known->netnsPath != request.netnsPath) {
      return Error(ErrorCode::kCheckFailed, "namespace " + inQuotes(request.netnsPath, 160) +
                                                " is not the one that was attached");
    }
    RAILHEAD_TRY_ASSIGN(RailMover mover, openMover());
    for (const RailRecord& rail : known->rails) RAILHEAD_TRY(mover.verify(rail, *pod));
  }
  const PluginChains chains(pluginHost(budget), *known, known->netnsPath);
  for (const ChainRecord& chain : known->ipam) RAILHEAD_TRY(chains.check(chain));
  for (const ChainRecord& chain : known->delegates) RAILHEAD_TRY(chains.check(chain));
  return {};
}

Result<SweepReport> Attacher::gc(const CniRequest& request) {
  const std::set<AttachmentId> valid(request.validAttachments.begin(),
                                     request.validAttachments.end());
  const Budget budget = budgetFor(request);
  SweepReport report;
  for (const Attachment& seen : table_.all()) {
    if (seen.networkName != request.networkName || valid.contains(seen.id)) continue;
    const auto hold = table_.tryHold(seen.id);
    const auto current = table_.find(seen.id);
    if (!hold || !current) continue;
    auto outcome = takeBack(*current, {.budget = budget});
    if (!outcome.has_value()) {
      report.failed.push_back(std::move(outcome).error().addContext(holderText(seen)));
    } else if (*outcome != Homecoming::kNotYet) {
      report.done.push_back("took back the rails of " + holderText(seen) + ": garbage collection");
    }
  }
  collectInPlugins(request, budget, report);
  return report;
}

Result<void> Attacher::status(const CniRequest& request) {
  const Budget budget = budgetFor(request);
  RAILHEAD_TRY(seams_.files.listDirectory(config_.paths.state).addContext("attach status"));
  RAILHEAD_TRY_ASSIGN(RailMover mover, openMover());
  RAILHEAD_TRY(mover.hostLinks().addContext("attach status"));
  return askIpam("STATUS", request, budget, nullptr);
}

}  // namespace railhead::attach
