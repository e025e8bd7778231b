// The connecting end: leads through data check, latency, bandwidth, message rate and sweep.
#include "src/bench/traffic.h"
#include "src/bench/verbs_conversation.h"
#include "src/bench/verbs_session.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace railhead::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Kinds of step; each has patterns of its own, a sweep one for each size.
enum class Phase : std::uint64_t {
  kMovedHere = 1,
  kMovedThere = 2,
  kBandwidth = 3,
  kRate = 4,
  kSweep = 16,
};

// One measurement: what is in flight, and under which pattern.
struct Measurement {
  VerbsLoad load;
  std::uint64_t pattern = 0;
};

std::uint64_t patternOf(Phase phase, std::size_t index = 0) {
  return static_cast<std::uint64_t>(phase) + index;
}

class Client {
 public:
  Client(const VerbsSession& session, const VerbsTargets& targets, Channel channel,
         std::vector<OpenRail> rails)
      : session_(session),
        targets_(targets),
        plan_(targets.plan),
        channel_(std::move(channel)),
        rails_(std::move(rails)) {}

  Result<VerbsReport> run() {
    RAILHEAD_TRY(greet());
    auto done = measure();
    Command finish;
    if (!done.has_value()) finish.failure = done.error().message;
    // The peer may be the reason for the failure; then nobody is there to be told.
    const auto told = channel_.send(encode(finish), answerBy(0));
    if (!done.has_value() && report_.bytesWrong == 0) return std::move(done).error();
    if (!done.has_value()) {
      report_.failure = std::move(done).error();
      return std::move(report_);
    }
    RAILHEAD_TRY(told);
    report_.verified = true;
    return std::move(report_);
  }

 private:
  Result<void> greet() {
    RAILHEAD_TRY(channel_.send(encode(Hello{plan_, offersOf(rails_)}), answerBy(0)));
    RAILHEAD_TRY_ASSIGN(const std::string text, channel_.receive(answerBy(0)));
    RAILHEAD_TRY_ASSIGN(const Welcome welcome,
                        decodeWelcome(text).addContext("what the peer sent"));
    if (welcome.rails.size() != rails_.size()) {
      return Error(ErrorCode::kCorrupt, "the peer answered with " +
                                            std::to_string(welcome.rails.size()) + " rails, " +
                                            std::to_string(rails_.size()) + " were asked for");
    }
    report_.peer = channel_.peer();
    report_.plan = plan_;
    report_.gpu = session_.memory.gpuName();
    report_.environment = session_.environment;
    report_.peerEnvironment = welcome.environment;
    for (std::size_t i = 0; i < rails_.size(); ++i) {
      RAILHEAD_TRY(rails_[i].connect(welcome.rails[i]));
      RailResult rail;
      rail.rail = i;
      rail.own = rails_[i].offer();
      rail.peer = welcome.rails[i];
      rail.mtu = rails_[i].mtu();
      rail.ceiling = ceilingOfRail(i, std::nullopt);
      report_.rails.push_back(std::move(rail));
    }
    return {};
  }

  std::optional<Ceiling> ceilingOfRail(std::size_t rail, std::optional<std::size_t> message) {
    const DeviceEnvironment nothing;
    const auto& devices = session_.environment.devices;
    return ceilingOf(rails_[rail].choice().device, rail < devices.size() ? devices[rail] : nothing,
                     rails_[rail].mtu(), targets_, rail, message);
  }

  Result<void> measure() {
    for (std::size_t i = 0; i < rails_.size(); ++i) {
      RAILHEAD_TRY(step("check " + rails_[i].label(), [&] { return checkBothWays(i); }));
    }
    std::vector<double> latencies;
    for (std::size_t i = 0; i < rails_.size(); ++i) {
      RAILHEAD_TRY(
          step("latency of " + rails_[i].label(), [&] { return measureLatency(i, latencies); }));
    }
    report_.latency = summarize(latencies);
    RAILHEAD_TRY(measureBandwidth());
    RAILHEAD_TRY(measureRate());
    for (std::size_t i = 0; i < plan_.sizes.size(); ++i) RAILHEAD_TRY(measureSize(i));
    return {};
  }

  template <typename Body>
  Result<void> step(const std::string& name, const Body& body) {
    if (session_.progress) session_.progress(name);
    const auto start = Clock::now();
    RAILHEAD_TRY(body());
    report_.steps.push_back({name, std::chrono::duration<double>(Clock::now() - start).count()});
    return {};
  }

  Result<Reply> awaitReply() {
    RAILHEAD_TRY_ASSIGN(const std::string text, channel_.receive(answerBy(plan_.bufferBytes())));
    RAILHEAD_TRY_ASSIGN(Reply reply, decodeReply(text).addContext("what the peer sent"));
    if (reply.error) return reply.error->addContext("at the peer");
    return reply;
  }
  Result<void> say(CommandKind kind, std::size_t rail, std::uint64_t seed, const VerbsLoad& load) {
    const Command command{kind, rail, seed, load.messageBytes, load.outstanding, ""};
    return channel_.send(encode(command), answerBy(0));
  }
  Result<Reply> ask(CommandKind kind, std::size_t rail, std::uint64_t seed = 0,
                    const VerbsLoad& load = {}) {
    RAILHEAD_TRY(say(kind, rail, seed, load));
    return awaitReply();
  }

  std::uint64_t seedFor(std::uint64_t pattern, std::size_t rail) const {
    return derivedSeed(plan_.seed, pattern, rail);
  }
  bool reads() const { return plan_.operation == VerbsOperation::kRead; }

  // Both sides get ready for messages that this end asks for.
  Result<void> prepare(std::size_t index, const Measurement& what) {
    OpenRail& rail = rails_[index];
    const std::uint64_t seed = seedFor(what.pattern, index);
    const auto kind = reads() ? CommandKind::kOffer : CommandKind::kPrepare;
    RAILHEAD_TRY(ask(kind, index, seed, what.load));
    if (reads()) return prepareToTake(rail, plan_, what.load, seed);
    return rail.outgoing().fillPattern(what.load.bytes(), seed);
  }

  // Runs `move`; the peer takes sends meanwhile, for somebody must post its receives.
  template <typename Move>
  Result<void> whilePeerTakes(const Move& move) {
    const bool sends = plan_.operation == VerbsOperation::kSend;
    if (sends) RAILHEAD_TRY(ask(CommandKind::kReceive, 0));
    auto moved = move();
    // The peer speaks up in between only to say why it stopped.
    const bool spoke = !moved.has_value() && moved.error().code == ErrorCode::kUnavailable;
    if (sends && spoke) RAILHEAD_TRY(awaitReply());
    return moved;
  }

  // What arrived, wherever that was.
  Result<void> verify(std::size_t index, const Measurement& what) {
    const std::uint64_t seed = seedFor(what.pattern, index);
    if (!reads()) {
      RAILHEAD_TRY_ASSIGN(const Reply reply, ask(CommandKind::kVerify, index, seed, what.load));
      return judge(index, takenThere(plan_.operation), what.load, reply.mismatch);
    }
    RAILHEAD_TRY_ASSIGN(const auto mismatch, compareTaken(rails_[index], plan_, what.load, seed));
    return judge(index, takenHere(plan_.operation), what.load, mismatch);
  }

  Result<void> judge(std::size_t rail, const char* direction, const VerbsLoad& load,
                     const std::optional<Mismatch>& mismatch) {
    const std::uint64_t compared = comparedBytes(plan_, load);
    report_.rails[rail].bytesChecked += compared;
    report_.bytesChecked += compared;
    if (!mismatch) return {};
    // The count is the peer's word: never more than was compared.
    const std::uint64_t wrong = std::clamp<std::uint64_t>(mismatch->wrongBytes, 1, compared);
    report_.rails[rail].bytesWrong += wrong;
    report_.bytesWrong += wrong;
    return wrongBytes(rails_[rail].label() + direction, *mismatch, compared);
  }

  Result<void> checkBothWays(std::size_t rail) {
    RAILHEAD_TRY(checkAskedHere(rail));
    return reads() ? checkReadThere(rail) : checkPushedThere(rail);
  }

  Result<void> checkAskedHere(std::size_t rail) {
    const Measurement what{plan_.bandwidthLoad(), patternOf(Phase::kMovedHere)};
    RAILHEAD_TRY(prepare(rail, what));
    RAILHEAD_TRY(whilePeerTakes([&] { return moveOnce(rails_[rail], what.load, channel_.fd()); }));
    return verify(rail, what);
  }

  Result<void> checkReadThere(std::size_t rail) {
    const VerbsLoad load = plan_.bandwidthLoad();
    const std::uint64_t seed = seedFor(patternOf(Phase::kMovedThere), rail);
    RAILHEAD_TRY(rails_[rail].outgoing().fillPattern(load.bytes(), seed));
    RAILHEAD_TRY_ASSIGN(const Reply reply, ask(CommandKind::kPull, rail, seed, load));
    return judge(rail, takenThere(plan_.operation), load, reply.mismatch);
  }

  Result<void> checkPushedThere(std::size_t index) {
    OpenRail& rail = rails_[index];
    const VerbsLoad load = plan_.bandwidthLoad();
    const std::uint64_t seed = seedFor(patternOf(Phase::kMovedThere), index);
    RAILHEAD_TRY(prepareToTake(rail, plan_, load, seed));
    RAILHEAD_TRY(say(CommandKind::kPush, index, seed, load));
    // Writes show nothing here before their fence, which may take its time over a slow link. Sends
    // wait for receives that are posted here meanwhile; the peer may say that it is done, or why it
    // is not, before the last of them is seen.
    bool spoke = true;
    if (plan_.operation == VerbsOperation::kSend) {
      const auto taken = receive({&rail}, channel_.fd());
      spoke = !taken.has_value() && taken.error().code == ErrorCode::kUnavailable;
      if (!taken.has_value() && !spoke) return taken.error();
    }
    RAILHEAD_TRY(awaitReply());
    if (spoke) RAILHEAD_TRY(receive({&rail}, channel_.fd()));
    RAILHEAD_TRY_ASSIGN(const auto mismatch, compareTaken(rail, plan_, load, seed));
    return judge(index, takenHere(plan_.operation), load, mismatch);
  }

  Result<void> measureLatency(std::size_t index, std::vector<double>& all) {
    OpenRail& rail = rails_[index];
    auto samples = reads() ? readAlone(rail, plan_, channel_.fd()) : playPingPong(index);
    if (!samples.has_value()) return std::move(samples).error();
    report_.latencyByMemory = rail.seesWords();
    report_.rails[index].latency = summarize(*samples);
    all.insert(all.end(), samples->begin(), samples->end());
    return {};
  }
  Result<std::vector<double>> playPingPong(std::size_t index) {
    rails_[index].clearReceivedWord();
    RAILHEAD_TRY(ask(CommandKind::kEcho, index));
    RAILHEAD_TRY_ASSIGN(auto samples, pingPong(rails_[index], plan_, channel_.fd()));
    RAILHEAD_TRY(awaitReply());
    return samples;
  }

  // The given rails at once, with every byte verified.
  Result<std::vector<RailTraffic>> measureOn(const std::vector<std::size_t>& indices,
                                             const Measurement& what) {
    std::vector<OpenRail*> rails;
    for (const std::size_t index : indices) {
      RAILHEAD_TRY(prepare(index, what));
      rails.push_back(&rails_[index]);
    }
    std::vector<RailTraffic> traffic;
    RAILHEAD_TRY(whilePeerTakes([&]() -> Result<void> {
      RAILHEAD_TRY_ASSIGN(traffic, moveForTime(rails, what.load, channel_.fd()));
      return {};
    }));
    for (const std::size_t index : indices) RAILHEAD_TRY(verify(index, what));
    return traffic;
  }

  // Each rail alone, then all at once: `alone` and `atOnce` are told each rail's traffic. With one
  // rail both are the same measurement.
  template <typename Alone, typename AtOnce>
  Result<void> measureEach(const std::string& name, const Measurement& what, const Alone& alone,
                           const AtOnce& atOnce) {
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < rails_.size(); ++i) {
      all.push_back(i);
      RAILHEAD_TRY(step(name + " of " + rails_[i].label(), [&]() -> Result<void> {
        RAILHEAD_TRY_ASSIGN(const auto traffic, measureOn({i}, what));
        alone(report_.rails[i], traffic.front());
        if (rails_.size() == 1) atOnce(report_.rails[i], traffic.front());
        return {};
      }));
    }
    if (rails_.size() == 1) return {};
    return step(name + " of all rails at once", [&]() -> Result<void> {
      RAILHEAD_TRY_ASSIGN(const auto traffic, measureOn(all, what));
      for (const std::size_t i : all) atOnce(report_.rails[i], traffic[i]);
      return {};
    });
  }

  Result<void> measureBandwidth() {
    RAILHEAD_TRY(measureEach(
        "bandwidth", {plan_.bandwidthLoad(), patternOf(Phase::kBandwidth)},
        [](RailResult& rail, const RailTraffic& traffic) {
          rail.rate = traffic.rate;
          rail.intervals = traffic.intervals;
        },
        [&](RailResult& rail, const RailTraffic& traffic) {
          rail.rateTogether = traffic.rate;
          report_.allRails.bitsPerSecond += traffic.rate.bitsPerSecond;
        }));
    report_.allRailsCeiling =
        ceilingOfAll([](const RailResult& rail) -> const auto& { return rail.ceiling; });
    return {};
  }

  Result<void> measureRate() {
    return measureEach(
        "message rate", {plan_.rateLoad(), patternOf(Phase::kRate)},
        [](RailResult& rail, const RailTraffic& traffic) {
          rail.messageRate.perSecond = traffic.messagesPerSecond;
          rail.messageRate.intervals = traffic.messageIntervals;
        },
        [&](RailResult& rail, const RailTraffic& traffic) {
          rail.messageRate.perSecondTogether = traffic.messagesPerSecond;
          report_.allRailsMessagesPerSecond += traffic.messagesPerSecond;
        });
  }

  Result<void> measureSize(std::size_t index) {
    const std::size_t bytes = plan_.sizes[index];
    SizeResult all{bytes, {}, {}, {}, {}};
    RAILHEAD_TRY(measureEach(
        formatBytes(bytes), {plan_.sizeLoad(bytes), patternOf(Phase::kSweep, index)},
        [&](RailResult& rail, const RailTraffic& traffic) {
          rail.sizes.push_back(
              {bytes, traffic.rate, {}, traffic.intervals, ceilingOfRail(rail.rail, bytes)});
        },
        [&](RailResult& rail, const RailTraffic& traffic) {
          rail.sizes.back().rateTogether = traffic.rate;
          all.rate.bitsPerSecond += traffic.rate.bitsPerSecond;
        }));
    all.ceiling = ceilingOfAll(
        [](const RailResult& rail) -> const auto& { return rail.sizes.back().ceiling; });
    report_.allRailsSizes.push_back(std::move(all));
    return {};
  }

  // The sum of the rails'; nullopt unless every rail has one.
  template <typename Of>
  std::optional<Ceiling> ceilingOfAll(const Of& of) const {
    std::vector<Ceiling> ceilings;
    for (const auto& rail : report_.rails) {
      if (const auto& ceiling = of(rail)) ceilings.push_back(*ceiling);
    }
    if (ceilings.size() != rails_.size()) return std::nullopt;
    return together(ceilings);
  }

  const VerbsSession& session_;
  const VerbsTargets& targets_;
  VerbsPlan plan_;
  Channel channel_;
  std::vector<OpenRail> rails_;
  VerbsReport report_;
};

}  // namespace

Result<VerbsReport> runVerbs(const VerbsSession& session, const Endpoint& peer,
                             const VerbsTargets& targets) {
  RAILHEAD_TRY(targets.plan.check());
  const std::size_t rates = targets.lineRates.size();
  if (rates > 1 && rates != session.rails.size()) {
    return Error(ErrorCode::kInvalidArgument, std::to_string(rates) + " line rates are given for " +
                                                  std::to_string(session.rails.size()) +
                                                  " rails; allowed: one for all, or one for each");
  }
  // What this end lacks is said before the peer is troubled.
  RAILHEAD_TRY_ASSIGN(auto rails,
                      openRails(session.verbs, session.rails, targets.plan, session.memory));
  if (session.progress) session.progress("looking for the peer at " + peer.toString());
  RAILHEAD_TRY_ASSIGN(Channel channel,
                      meetAsConnector(peer, {kVerbsPurpose, session.token}, session.meetBy));
  auto report = Client(session, targets, std::move(channel), std::move(rails)).run();
  if (!report.has_value()) return asCheckFailure(std::move(report).error());
  return report;
}

}  // namespace railhead::bench
