#include "src/tune_run/gang_bench.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace railhead::tune {
namespace {

// For ranks that have told of a failure to end by themselves, and to say what each has seen.
constexpr double kSecondsToEnd = 15;

// What says most about the setting: the data, then who died, then who waited for it.
int weightOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kCorrupt:
      return 3;
    case Outcome::kHung:
      return 2;
    case Outcome::kRefused:
    case Outcome::kNoRoom:
      return 1;
    default:
      return 0;
  }
}

std::string secondsText(double seconds) {
  return std::to_string(static_cast<long>(std::ceil(seconds))) + " s";
}

}  // namespace

os::Clock::TimePoint GangBench::in(double seconds) const {
  return clock_.now() +
         std::chrono::duration_cast<os::Clock::Duration>(std::chrono::duration<double>(seconds));
}

Result<GangFacts> GangBench::open() {
  Slot& slot = slotFor({});
  RAILHEAD_TRY_ASSIGN(const auto failed, take(slot, {}));
  if (failed) {
    return Error(ErrorCode::kUnavailable, "the ranks do not start: " + failed->detail,
                 "let railhead bench collectives pass there first");
  }
  return factsOf(slot.facts);
}

// The gang of these settings, else the one that was used longer ago.
GangBench::Slot& GangBench::slotFor(const Setting& process) {
  for (Slot& slot : slots_) {
    if (slot.gang != nullptr && slot.process == process) return slot;
  }
  return *std::min_element(slots_.begin(), slots_.end(), [](const Slot& a, const Slot& b) {
    const auto age = [](const Slot& slot) { return slot.gang == nullptr ? 0 : slot.lastOrder + 1; };
    return age(a) < age(b);
  });
}

// A gang may have died while nobody measured: that says nothing of its setting.
Result<bool> GangBench::isAlive(Slot& slot) {
  for (;;) {
    RAILHEAD_TRY_ASSIGN(const auto heard, slot.gang->hear(clock_.now()));
    if (heard.kind != Gang::Heard::Kind::kReply) return heard.kind == Gang::Heard::Kind::kNothing;
  }
}

Result<std::optional<GangBench::Ending>> GangBench::take(Slot& slot, const Setting& process) {
  if (slot.gang != nullptr && slot.process == process) {
    RAILHEAD_TRY_ASSIGN(const bool alive, isAlive(slot));
    if (alive) return std::optional<Ending>();
  }
  slot.gang.reset();  // before the next is started in its place
  slot.process = process;
  slot.facts.clear();
  slot.lastOrder = orders_;
  RAILHEAD_TRY_ASSIGN(slot.gang, starter_.start(process, static_cast<int>(&slot - slots_.data())));
  auto failed = ready(slot);
  if (!failed.has_value() || *failed) slot.gang.reset();
  return failed;
}

Result<std::optional<GangBench::Ending>> GangBench::ready(Slot& slot) {
  const auto deadline = in(settings_.secondsToStart);
  for (;;) {
    RAILHEAD_TRY_ASSIGN(const auto heard, slot.gang->hear(deadline));
    if (heard.kind == Gang::Heard::Kind::kNothing) {
      return std::optional(Ending{Outcome::kHung, "the ranks were not ready after " +
                                                      secondsText(settings_.secondsToStart)});
    }
    if (heard.kind == Gang::Heard::Kind::kOver) {
      // Who ends before its first call, and of itself, does not take the setting.
      return std::optional(
          Ending{heard.bySignal ? Outcome::kCrashed : Outcome::kRefused, heard.text});
    }
    RAILHEAD_TRY_ASSIGN(const Reply reply, decodeReply(heard.text).addContext("a rank's reply"));
    if (reply.failed) {
      RAILHEAD_TRY_ASSIGN(Ending end, ending(slot, reply.failed));
      return std::optional(std::move(end));
    }
    if (!reply.facts) continue;
    if (reply.facts->rank != slot.facts.size())
      return Error(ErrorCode::kCorrupt, "the ranks tell what they are out of order");
    slot.facts.push_back(reply.facts->facts);
    if (slot.facts.size() == reply.facts->ranks) return std::optional<Ending>();
  }
}

// A rank has failed, or the gang is over: what the ranks still say, and which of it counts.
Result<GangBench::Ending> GangBench::ending(Slot& slot, std::optional<FailedReply> first) {
  const auto deadline = in(kSecondsToEnd);
  std::optional<FailedReply> worst = std::move(first);
  for (;;) {
    RAILHEAD_TRY_ASSIGN(const auto heard, slot.gang->hear(deadline));
    if (heard.kind == Gang::Heard::Kind::kReply) {
      const auto reply = decodeReply(heard.text);
      if (!reply.has_value() || !reply->failed) continue;
      if (!worst || weightOf(reply->failed->outcome) > weightOf(worst->outcome))
        worst = reply->failed;
      continue;
    }
    const bool over = heard.kind == Gang::Heard::Kind::kOver;
    if (over && heard.bySignal && (!worst || worst->outcome != Outcome::kCorrupt))
      return Ending{Outcome::kCrashed, heard.text};
    if (worst) return Ending{worst->outcome, worst->detail};
    return Ending{Outcome::kCrashed, over ? heard.text : "the ranks did not end"};
  }
}

Result<std::optional<GangBench::Ending>> GangBench::answers(Slot& slot, const Order& order,
                                                            Measurement& into) {
  // Ranks that cannot be told are ending: hear() says how.
  if (!slot.gang->tell(encode(order)).has_value()) {
    RAILHEAD_TRY_ASSIGN(Ending end, ending(slot, std::nullopt));
    return std::optional(std::move(end));
  }
  while (into.seconds.size() < order.sizes.size()) {
    RAILHEAD_TRY_ASSIGN(const auto heard, slot.gang->hear(in(settings_.secondsOfSilence())));
    if (heard.kind == Gang::Heard::Kind::kNothing) {
      const Size& size = order.sizes[into.seconds.size()];
      return std::optional(Ending{Outcome::kHung, "no rank answered within " +
                                                      secondsText(settings_.secondsOfSilence()) +
                                                      " at " + size.operation + " of " +
                                                      std::to_string(size.bytes) + " bytes"});
    }
    if (heard.kind == Gang::Heard::Kind::kOver) {
      RAILHEAD_TRY_ASSIGN(Ending end, ending(slot, std::nullopt));
      return std::optional(std::move(end));
    }
    RAILHEAD_TRY_ASSIGN(Reply reply, decodeReply(heard.text).addContext("a rank's reply"));
    if (reply.failed) {
      RAILHEAD_TRY_ASSIGN(Ending end, ending(slot, std::move(reply.failed)));
      return std::optional(std::move(end));
    }
    RAILHEAD_TRY(take(order, std::move(reply), into));
  }
  return std::optional<Ending>();
}

// What says nothing of this order is left.
Result<void> GangBench::take(const Order& order, Reply reply, Measurement& into) {
  const std::size_t next = into.seconds.size();
  const Error outOfOrder(ErrorCode::kCorrupt, "the ranks tell their times out of order");
  if (reply.times && reply.times->order == order.number) {
    if (reply.times->size != next || order.choosesWork(next)) return outOfOrder;
    into.seconds.push_back(std::move(reply.times->seconds));
  } else if (reply.work && reply.work->order == order.number) {
    if (reply.work->size != next || !order.choosesWork(next)) return outOfOrder;
    work_[order.sizes[next]] = reply.work->work;
    into.seconds.push_back({reply.work->work.callSeconds});
  }
  return {};
}

Order GangBench::orderOf(const Setting& choice, std::span<const Size> sizes, int repetitions) {
  Order order{++orders_, choice, {sizes.begin(), sizes.end()}, repetitions, {}};
  for (const Size& size : sizes) {
    const auto found = work_.find(size);
    order.units.push_back(found == work_.end() ? 0 : found->second.unitsPerCall);
  }
  return order;
}

Result<Measurement> GangBench::attempt(const Setting& setting, std::span<const Size> sizes,
                                       int repetitions) {
  const Layers layers = layersOf(setting);
  Slot& slot = slotFor(layers.process);
  RAILHEAD_TRY_ASSIGN(auto failed, take(slot, layers.process));
  if (failed && layers.process.isDefault()) {
    return Error(ErrorCode::kUnavailable, "the ranks do not start any more: " + failed->detail,
                 "go on with --resume when they do");
  }
  Measurement out;
  if (!failed) {
    const Order order = orderOf(layers.choice, sizes, repetitions);
    slot.lastOrder = order.number;
    RAILHEAD_TRY_ASSIGN(failed, answers(slot, order, out));
  }
  if (failed) {
    slot.gang.reset();  // killed on all ranks, whatever they still do
    return Measurement{failed->outcome, failed->detail, {}};
  }
  return out;
}

// The default is what all else is held against: one rank that was killed from outside must not end
// a search of hours, nor its resumption.
Result<Measurement> GangBench::measured(const Setting& setting, std::span<const Size> sizes,
                                        int repetitions) {
  RAILHEAD_TRY_ASSIGN(Measurement first, attempt(setting, sizes, repetitions));
  const bool perhapsChance = first.outcome == Outcome::kCrashed || first.outcome == Outcome::kHung;
  if (!setting.isDefault() || !perhapsChance) return first;
  return attempt(setting, sizes, repetitions);
}

// A measurement: why the work could not be chosen.
Result<std::optional<Measurement>> GangBench::chooseWork(std::span<const Size> sizes) {
  std::vector<Size> without;
  std::copy_if(sizes.begin(), sizes.end(), std::back_inserter(without),
               [&](const Size& size) { return size.overlapped && !work_.contains(size); });
  if (without.empty()) return std::optional<Measurement>();
  RAILHEAD_TRY_ASSIGN(auto chosen, measured({}, without, 1));
  if (chosen.outcome == Outcome::kMeasured) return std::optional<Measurement>();
  return std::optional(std::move(chosen));
}

Result<Measurement> GangBench::measure(const Setting& setting, std::span<const Size> sizes,
                                       int repetitions) {
  RAILHEAD_TRY_ASSIGN(auto failed, chooseWork(sizes));
  if (!failed) return measured(setting, sizes, repetitions);
  if (setting.isDefault()) return *std::move(failed);
  return Error(ErrorCode::kUnavailable,
               "the default fails before " + setting.text() + " is measured: " + failed->detail,
               "go on with --resume when it does not");
}

}  // namespace railhead::tune
