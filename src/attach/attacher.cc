#include "src/attach/attacher.h"

#include "src/attach/attach_plan.h"
#include "src/attach/result.h"
#include "src/base/text.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace railhead::attach {
namespace {

constexpr std::chrono::milliseconds kNoWait{0};

std::string placeOf(const RailRecord& rail) {
  return rail.podName + " (VF " + rail.vf.toString() + ")";
}

std::string holderText(const Attachment& attachment) {
  const std::string pod = attachment.pod.name.empty() ? "container " + attachment.id.containerId
                                                      : "pod " + attachment.pod.toString();
  return pod + " (sandbox " + attachment.id.containerId.substr(0, 13) + ")";
}

// The result for the runtime: the previous plugin's with our interfaces behind.
Result<std::string> resultFor(const CniRequest& request, const Attachment& attachment) {
  std::vector<ResultInterface> added;
  for (const RailRecord& rail : attachment.rails) {
    added.push_back({rail.podName, rail.mac, rail.podMtu, attachment.netnsPath, rail.vf.toString(),
                     rail.addresses});
  }
  return mergeResult(request.prevResult, added, request.cniVersion);
}

// A pod's namespace must not be the host's: its VFs would be configured on the node itself.
Result<os::Netns> openPod(os::NetnsOpener& opener, const std::string& path) {
  RAILHEAD_TRY_ASSIGN(os::Netns pod, opener.open(path).addContext("CNI_NETNS"));
  RAILHEAD_TRY_ASSIGN(const os::Netns host, opener.current());
  if (pod.id != host.id) return pod;
  return Error(ErrorCode::kInvalidArgument, "CNI_NETNS is " + quoted(path, 160) +
                                                ": the node's own network namespace cannot "
                                                "be a pod's");
}

Result<std::vector<std::string>> takenNames(const CniRequest& request, const os::Netns& pod,
                                            RailMover& mover) {
  RAILHEAD_TRY_ASSIGN(auto taken, interfaceNames(request.prevResult));
  RAILHEAD_TRY_ASSIGN(const auto links, mover.podLinks(pod));
  for (const auto& link : links) taken.push_back(link.name);
  return taken;
}

}  // namespace

Attacher::Attacher(AttachConfig config, AttachSeams seams, Journal journal)
    : config_(std::move(config)), seams_(seams), journal_(std::move(journal)) {}

Attacher::~Attacher() = default;

Result<std::unique_ptr<Attacher>> Attacher::open(AttachConfig config, AttachSeams seams) {
  RAILHEAD_TRY(validate(config));
  RAILHEAD_TRY_ASSIGN(Journal journal, Journal::open(seams.files, config.paths));
  RAILHEAD_TRY_ASSIGN(auto contents, journal.readAll());
  std::unique_ptr<Attacher> attacher(new Attacher(std::move(config), seams, std::move(journal)));
  for (const Attachment& attachment : contents.attachments) attacher->table_.store(attachment);
  attacher->damaged_ = std::move(contents.damaged);
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

Result<std::string> Attacher::add(const CniRequest& request) {
  RAILHEAD_TRY_ASSIGN(const auto hold, table_.hold(request.id, config_.queueWait));
  RAILHEAD_TRY_ASSIGN(auto standing, answerAgain(request));
  if (standing) return std::move(*standing);
  RAILHEAD_TRY_ASSIGN(const auto choices,
                      chooseNetworks(request, seams_.networks, seams_.devices, seams_.rails));
  RAILHEAD_TRY_ASSIGN(const os::Netns pod, openPod(seams_.netns, request.netnsPath));
  RAILHEAD_TRY_ASSIGN(RailMover mover, openMover());
  RAILHEAD_TRY_ASSIGN(auto taken, takenNames(request, pod, mover));
  Attachment attachment{request.id,
                        AttachmentState::kAttaching,
                        request.networkName,
                        request.netnsPath,
                        pod.id,
                        request.pod,
                        {}};
  RAILHEAD_TRY_ASSIGN(attachment.rails,
                      planRails(request, choices, config_.addresses, std::move(taken)));
  // Whatever could refuse the result does so before anything is touched.
  RAILHEAD_TRY(resultFor(request, attachment));
  if (attachment.rails.empty()) return resultFor(request, attachment);
  RAILHEAD_TRY(claim(attachment));
  RAILHEAD_TRY(carryOut(attachment, pod, mover));
  return resultFor(request, attachment);
}

Result<std::optional<std::string>> Attacher::answerAgain(const CniRequest& request) {
  const auto known = table_.find(request.id);
  if (!known) return std::optional<std::string>();
  RAILHEAD_TRY_ASSIGN(const auto pod, openSame(*known));
  if (known->state == AttachmentState::kAttached && pod && known->netnsPath == request.netnsPath) {
    RAILHEAD_TRY_ASSIGN(RailMover mover, openMover());
    const bool whole =
        std::all_of(known->rails.begin(), known->rails.end(),
                    [&](const RailRecord& rail) { return mover.verify(rail, *pod).has_value(); });
    if (whole) {
      RAILHEAD_TRY_ASSIGN(std::string result, resultFor(request, *known));
      return std::optional<std::string>(std::move(result));
    }
  }
  RAILHEAD_TRY_ASSIGN(const Homecoming outcome,
                      takeBack(*known, config_.returnWait).addContext("undo an earlier ADD"));
  if (outcome != Homecoming::kNotYet) return std::optional<std::string>();
  return Error(ErrorCode::kUnavailable,
               "the VFs of an earlier ADD of this container are not back yet");
}

Result<void> Attacher::claim(const Attachment& attachment) {
  // Each round frees one holder that has no right to its VFs any more; there are at most as many
  // holders as rails.
  for (std::size_t round = 0; round <= attachment.rails.size(); ++round) {
    RAILHEAD_TRY_ASSIGN(const auto holder, table_.claim(attachment, config_.queueWait));
    if (!holder) return {};
    const Error busy(ErrorCode::kBusy, "rail set is held by " + holderText(*holder),
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
                        takeBack(*current, config_.returnWait)
                            .addContext("take rails back from " + holderText(*current)));
    if (outcome == Homecoming::kNotYet) {
      return Error(ErrorCode::kUnavailable, "the kernel has not yet given back the rails of " +
                                                holderText(*current) + ", which is gone");
    }
  }
  return Error(ErrorCode::kBusy, "rail set changes hands too often");
}

Result<void> Attacher::carryOut(Attachment& attachment, const os::Netns& pod, RailMover& mover) {
  const auto prepare = [&]() -> Result<void> {
    for (RailRecord& rail : attachment.rails)
      RAILHEAD_TRY(mover.survey(rail).addContext(placeOf(rail)));
    return journal_.write(attachment);
  };
  if (auto prepared = prepare(); !prepared.has_value()) {
    table_.forget(attachment.id);  // nothing was touched
    return prepared;
  }
  table_.store(attachment);
  const auto steps = [&]() -> Result<void> {
    for (const RailRecord& rail : attachment.rails)
      RAILHEAD_TRY(mover.attach(rail, pod, config_.gidWait).addContext(placeOf(rail)));
    Attachment attached = attachment;
    attached.state = AttachmentState::kAttached;
    return journal_.write(attached);
  };
  auto done = steps();
  if (done.has_value()) {
    attachment.state = AttachmentState::kAttached;
    table_.store(attachment);
    return done;
  }
  const auto undone = takeBack(attachment, &pod, mover, config_.returnWait);
  if (!undone.has_value())
    done.error().message += "; undoing it failed too: " + undone.error().message;
  return done;
}

Result<Homecoming> Attacher::takeBack(const Attachment& attachment,
                                      std::chrono::milliseconds wait) {
  RAILHEAD_TRY_ASSIGN(const auto pod, openSame(attachment));
  RAILHEAD_TRY_ASSIGN(RailMover mover, openMover());
  return takeBack(attachment, pod ? &*pod : nullptr, mover, wait);
}

Result<Homecoming> Attacher::takeBack(Attachment attachment, const os::Netns* pod, RailMover& mover,
                                      std::chrono::milliseconds wait) {
  // A half-done ADD is undone after a crash anyway; only a complete one has to be marked.
  if (attachment.state == AttachmentState::kAttached) {
    attachment.state = AttachmentState::kDetaching;
    RAILHEAD_TRY(journal_.write(attachment));
  }
  table_.store(attachment);
  std::optional<Error> failure;
  bool allBack = true;
  for (auto rail = attachment.rails.rbegin(); rail != attachment.rails.rend(); ++rail) {
    auto outcome = mover.bringHome(*rail, pod, wait).addContext(placeOf(*rail));
    if (outcome.has_value()) {
      allBack = allBack && *outcome != Homecoming::kNotYet;
    } else if (!failure) {
      failure = std::move(outcome).error();
    } else {
      failure->message += "; " + outcome.error().message;
    }
  }
  {
    const std::lock_guard lock(notesMutex_);
    notes_.insert(notes_.end(), mover.notes().begin(), mover.notes().end());
  }
  if (failure) return *failure;
  if (!allBack) return Homecoming::kNotYet;
  RAILHEAD_TRY(journal_.erase(attachment.id));
  table_.forget(attachment.id);
  return Homecoming::kHome;
}

Result<void> Attacher::del(const CniRequest& request) {
  RAILHEAD_TRY_ASSIGN(const auto hold, table_.hold(request.id, config_.queueWait));
  const auto known = table_.find(request.id);
  if (!known) return {};
  // What the kernel still holds comes back by sweep(); the runtime need not wait for it.
  auto outcome = takeBack(*known, config_.returnWait);
  return outcome.has_value() ? Result<void>() : Result<void>(std::move(outcome).error());
}

Result<void> Attacher::check(const CniRequest& request) {
  RAILHEAD_TRY_ASSIGN(const auto hold, table_.hold(request.id, config_.queueWait));
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
  RAILHEAD_TRY_ASSIGN(const auto pod, openSame(*known));
  if (!pod || known->netnsPath != request.netnsPath) {
    return Error(ErrorCode::kCheckFailed, "namespace " + quoted(request.netnsPath, 160) +
                                              " is not the one that was attached");
  }
  RAILHEAD_TRY_ASSIGN(RailMover mover, openMover());
  for (const RailRecord& rail : known->rails) RAILHEAD_TRY(mover.verify(rail, *pod));
  return {};
}

Result<SweepReport> Attacher::gc(const CniRequest& request) {
  const std::set<AttachmentId> valid(request.validAttachments.begin(),
                                     request.validAttachments.end());
  SweepReport report;
  for (const Attachment& seen : table_.all()) {
    if (seen.networkName != request.networkName || valid.contains(seen.id)) continue;
    const auto hold = table_.tryHold(seen.id);
    const auto current = table_.find(seen.id);
    if (!hold || !current) continue;
    auto outcome = takeBack(*current, kNoWait);
    if (!outcome.has_value()) {
      report.failed.push_back(std::move(outcome).error().addContext(holderText(seen)));
    } else if (*outcome != Homecoming::kNotYet) {
      report.done.push_back("took back the rails of " + holderText(seen) + ": garbage collection");
    }
  }
  return report;
}

Result<void> Attacher::status() {
  RAILHEAD_TRY(seams_.files.listDirectory(config_.paths.state).addContext("attach status"));
  RAILHEAD_TRY_ASSIGN(RailMover mover, openMover());
  RAILHEAD_TRY(mover.hostLinks().addContext("attach status"));
  return {};
}

SweepReport Attacher::recover() {
  SweepReport report = sweep();
  for (Error& error : damaged_) report.failed.push_back(std::move(error));
  damaged_.clear();
  return report;
}

SweepReport Attacher::sweep() {
  SweepReport report;
  for (const Attachment& seen : table_.all()) sweepOne(seen, report);
  sweepStrays(report);
  const std::lock_guard lock(notesMutex_);
  std::move(notes_.begin(), notes_.end(), std::back_inserter(report.done));
  notes_.clear();
  return report;
}

void Attacher::sweepOne(const Attachment& seen, SweepReport& report) {
  const auto hold = table_.tryHold(seen.id);
  const auto current = table_.find(seen.id);
  if (!hold || !current) return;  // being worked on, or done meanwhile
  const auto pod = openSame(*current);
  const bool whole = current->state == AttachmentState::kAttached;
  if (pod.has_value() && *pod && whole) return;
  auto outcome = pod.has_value() ? takeBack(*current, kNoWait) : Result<Homecoming>(pod.error());
  if (!outcome.has_value()) {
    report.failed.push_back(std::move(outcome).error().addContext(holderText(seen)));
  } else if (*outcome != Homecoming::kNotYet) {
    report.done.push_back("took back the rails of " + holderText(seen) +
                          (whole ? ": its namespace is gone" : ": the request was not finished"));
  }
}

// VFs that came back under a pod's name and that no record knows: the journal was lost.
void Attacher::sweepStrays(SweepReport& report) {
  auto mover = openMover();
  auto links =
      mover.has_value() ? mover->hostLinks() : Result<std::vector<netlink::Link>>(mover.error());
  if (!links.has_value()) {
    report.failed.push_back(std::move(links).error().addContext("look for stray VFs"));
    return;
  }
  for (const auto& set : seams_.rails.railSets()) {
    for (const auto& rail : set.rails) {
      for (const auto& link : *links) {
        if (link.parentDevice == rail.vf.toString() && isStrayName(link.name))
          sweepStray(rail, *mover, report);
      }
    }
  }
}

void Attacher::sweepStray(const discover::Rail& rail, RailMover& mover, SweepReport& report) {
  // The look that found it may be older than an ADD: what counts is how the VF stands once no
  // request can take it.
  const auto reservation = table_.reserve(rail.vf);
  if (!reservation) return;
  auto renamed = mover.renameStray(rail.vf, rail.pf, rail.vfIndex);
  if (!renamed.has_value()) {
    report.failed.push_back(std::move(renamed).error().addContext("stray VF"));
  } else if (*renamed) {
    report.done.push_back("renamed stray VF " + rail.vf.toString() + " from " + (*renamed)->from +
                          " to " + (*renamed)->to);
  }
}

}  // namespace railhead::attach
