// What comes back without DEL, or after one that nobody answered.
#include "src/attach/attacher.h"

#include <algorithm>
#include <iterator>

namespace railhead::attach {

SweepReport Attacher::recover() {
  SweepReport report = sweep();
  for (Error& error : damaged_) report.failed.push_back(std::move(error));
  damaged_.clear();
  if (auto unused = checkSubnets(config_.networks); !unused.has_value())
    report.failed.push_back(
        std::move(unused).error().addContext("pods that ask for it are refused"));
  return report;
}

SweepReport Attacher::sweep() {
  SweepReport report;
  obeyMarks(report);
  for (const Attachment& seen : table_.all()) sweepOne(seen, Sweep::kRails, report);
  sweepStrays(report);
  takeNotes(report);
  return report;
}

SweepReport Attacher::sweepAttachments() {
  SweepReport report;
  const bool any = !table_.all().empty();
  if (any) obeyMarks(report);
  for (const Attachment& seen : table_.all()) sweepOne(seen, Sweep::kRails, report);
  takeNotes(report);
  return report;
}

SweepReport Attacher::sweepPlugins(const std::function<bool()>& stop) {
  SweepReport report;
  for (const Attachment& seen : table_.all()) {
    if (stop && stop()) break;
    sweepOne(seen, Sweep::kPlugins, report);
  }
  takeNotes(report);
  return report;
}

// DELs that passed without us.
void Attacher::obeyMarks(SweepReport& report) {
  const auto marked = marks_.all();
  if (!marked.has_value()) {
    report.failed.push_back(Error(marked.error()).addContext("look for DELs that passed"));
    return;
  }
  for (const AttachmentId& id : *marked) {
    const auto hold = table_.tryHold(id);
    if (!hold) continue;  // being worked on: the next sweep comes
    const auto known = table_.find(id);
    auto obeyed = obeyMark(id);
    if (!obeyed.has_value()) {
      report.failed.push_back(std::move(obeyed).error());
    } else if (known && known->state == AttachmentState::kAttached) {
      report.done.push_back("carries out the DEL of " + holderText(*known) +
                            ", which no agent answered");
    }
  }
}

// With the attachment held. From then on its record says that it ends, and sweepOne() sees to it.
Result<void> Attacher::obeyMark(const AttachmentId& id) {
  if (!marks_.has(id)) return {};
  if (auto known = table_.find(id); known && known->state == AttachmentState::kAttached) {
    known->state = AttachmentState::kDetaching;
    RAILHEAD_TRY(journal_.write(*known));
    table_.store(*known);
  }
  return marks_.erase(id);
}

void Attacher::takeNotes(SweepReport& report) {
  const std::lock_guard lock(notesMutex_);
  std::erase_if(pauses_, [&](const auto& pause) { return !table_.find(pause.first); });
  std::move(notes_.begin(), notes_.end(), std::back_inserter(report.done));
  notes_.clear();
}

void Attacher::sweepOne(const Attachment& seen, Sweep what, SweepReport& report) {
  const auto hold = table_.tryHold(seen.id);
  const auto current = table_.find(seen.id);
  if (!hold || !current) return;  // being worked on, or done meanwhile
  auto pod = openSame(*current);
  const bool alive = pod.has_value() && *pod;
  const bool whole = current->state == AttachmentState::kAttached;
  if (alive && whole) return;
  if (pod.has_value()) pod->reset();  // plugins may run now
  if (!pod.has_value()) {
    if (what == Sweep::kRails)
      report.failed.push_back(std::move(pod).error().addContext(holderText(seen)));
    return;
  }
  // Plugins take their time, and VFs do not wait for them: only in a living pod do theirs go first.
  const bool waitsForPlugins = current->hasPlugins() && (alive || current->rails.empty());
  if (waitsForPlugins != (what == Sweep::kPlugins)) return;
  if (what == Sweep::kPlugins && !pluginsDue(seen.id)) return;
  auto outcome =
      takeBack(*current, {.plugins = what == Sweep::kPlugins ? Plugins::kRun : Plugins::kLeave,
                          .budget = Budget(seams_.clock, config_.requestWait)});
  if (what == Sweep::kPlugins) pluginsFailed(seen.id, !outcome.has_value());
  if (!outcome.has_value()) {
    report.failed.push_back(std::move(outcome).error().addContext(holderText(seen)));
    return;
  }
  const std::string why = whole ? ": its namespace is gone" : ": the request was not finished";
  const auto left = table_.find(seen.id);
  if (!current->rails.empty() && (!left || left->rails.empty())) {
    report.done.push_back("took back the rails of " + holderText(seen) + why);
  } else if (!left) {
    report.done.push_back("took back what plugins gave " + holderText(seen) + why);
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
  for (const auto& single : seams_.rails.singleRails()) {
    for (const auto& rail : single.rails) {
      for (const auto& link : *links) {
        if (link.parentDevice == rail.vf.toString() && isStray(link))
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
  auto renamed = mover.bringStrayHome(rail.vf, rail.pf, rail.vfIndex);
  if (!renamed.has_value()) {
    report.failed.push_back(std::move(renamed).error().addContext("stray VF"));
  } else if (*renamed) {
    report.strays = true;
    report.done.push_back("renamed stray VF " + rail.vf.toString() + " from " + (*renamed)->from +
                          " to " + (*renamed)->to);
  }
}

}  // namespace railhead::attach
