// The connecting end: leads through data check, latency and bandwidth.
#include "src/bench/traffic.h"
#include "src/bench/verbs_conversation.h"
#include "src/bench/verbs_session.h"

#include <algorithm>
#include <chrono>

namespace railhead::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Kinds of step; each has patterns of its own.
enum class Phase : std::uint64_t { kCheckOut = 1, kCheckIn = 2, kAlone = 3, kTogether = 4 };

class Client {
 public:
  Client(const VerbsSession& session, const VerbsTargets& targets, Channel channel)
      : session_(session), targets_(targets), plan_(targets.plan), channel_(std::move(channel)) {}

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
    RAILHEAD_TRY_ASSIGN(rails_, openRails(session_.verbs, session_.rails, plan_));
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
    report_.environment = session_.environment;
    report_.peerEnvironment = welcome.environment;
    for (std::size_t i = 0; i < rails_.size(); ++i) {
      RAILHEAD_TRY(rails_[i].connect(welcome.rails[i]));
      RailResult rail;
      rail.rail = i;
      rail.own = rails_[i].offer();
      rail.peer = welcome.rails[i];
      rail.mtu = rails_[i].mtu();
      const DeviceEnvironment nothing;
      const auto& devices = session_.environment.devices;
      rail.ceiling = ceilingOf(rails_[i].choice().device, i < devices.size() ? devices[i] : nothing,
                               rail.mtu, targets_, i);
      report_.rails.push_back(std::move(rail));
    }
    return {};
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
    for (std::size_t i = 0; i < rails_.size(); ++i) {
      RAILHEAD_TRY(step("bandwidth of " + rails_[i].label(), [&] { return measureAlone(i); }));
    }
    return measureTogether();
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
  Result<Reply> ask(CommandKind kind, std::size_t rail, std::uint64_t seed = 0,
                    std::uint64_t bytes = 0) {
    RAILHEAD_TRY(channel_.send(encode(Command{kind, rail, seed, bytes, ""}), answerBy(0)));
    return awaitReply();
  }

  std::uint64_t seedFor(Phase phase, std::size_t rail) const {
    return derivedSeed(plan_.seed, static_cast<std::uint64_t>(phase), rail);
  }

  // Both sides get ready for writes towards the peer that will carry this phase's pattern.
  Result<void> prepareOut(Phase phase, std::size_t rail) {
    RAILHEAD_TRY(ask(CommandKind::kPrepare, rail, seedFor(phase, rail)));
    fillPattern(rails_[rail].outgoing(), seedFor(phase, rail));
    return {};
  }
  Result<void> verifyOut(Phase phase, std::size_t rail, std::uint64_t messages) {
    const std::uint64_t slots = rails_[rail].slotCount();
    const std::uint64_t bytes = std::min(messages, slots) * plan_.messageBytes;
    RAILHEAD_TRY_ASSIGN(const Reply reply,
                        ask(CommandKind::kVerify, rail, seedFor(phase, rail), bytes));
    return judge(rail, ", as the peer received it", reply.mismatch);
  }
  Result<void> judge(std::size_t rail, const char* direction,
                     const std::optional<Mismatch>& mismatch) {
    report_.rails[rail].bytesChecked += plan_.bufferBytes();
    report_.bytesChecked += plan_.bufferBytes();
    if (!mismatch) return {};
    // The count is the peer's word: never more than was compared.
    const std::uint64_t wrong =
        std::clamp<std::uint64_t>(mismatch->wrongBytes, 1, plan_.bufferBytes());
    report_.rails[rail].bytesWrong += wrong;
    report_.bytesWrong += wrong;
    return wrongBytes(rails_[rail].label() + direction, *mismatch, plan_.bufferBytes());
  }

  Result<void> checkBothWays(std::size_t rail) {
    RAILHEAD_TRY(checkOut(rail));
    return checkIn(rail);
  }

  Result<void> checkOut(std::size_t rail) {
    RAILHEAD_TRY(prepareOut(Phase::kCheckOut, rail));
    RAILHEAD_TRY(writeBuffer(rails_[rail], channel_.fd()));
    return verifyOut(Phase::kCheckOut, rail, rails_[rail].slotCount());
  }

  Result<void> checkIn(std::size_t index) {
    OpenRail& rail = rails_[index];
    const std::uint64_t seed = seedFor(Phase::kCheckIn, index);
    fillInverted(rail.incoming(), seed);
    RAILHEAD_TRY(rail.expectFences());
    RAILHEAD_TRY(ask(CommandKind::kWrite, index, seed));
    RAILHEAD_TRY(rail.awaitFences(Clock::now() + kStallLimit, channel_.fd()));
    return judge(index, ", written by the peer",
                 findMismatch(rail.incoming(), seed, rail.incoming().size()));
  }

  Result<void> measureLatency(std::size_t rail, std::vector<double>& all) {
    rails_[rail].clearReceivedWord();
    RAILHEAD_TRY(ask(CommandKind::kEcho, rail));
    RAILHEAD_TRY_ASSIGN(const auto samples, pingPong(rails_[rail], plan_, channel_.fd()));
    RAILHEAD_TRY(awaitReply());
    report_.rails[rail].latency = summarize(samples);
    all.insert(all.end(), samples.begin(), samples.end());
    return {};
  }

  Result<void> measureAlone(std::size_t rail) {
    RAILHEAD_TRY(prepareOut(Phase::kAlone, rail));
    RAILHEAD_TRY_ASSIGN(const auto traffic, writeForTime({&rails_[rail]}, plan_, channel_.fd()));
    report_.rails[rail].rate = traffic.front().rate;
    report_.rails[rail].intervals = traffic.front().intervals;
    return verifyOut(Phase::kAlone, rail, traffic.front().messages);
  }

  Result<void> measureTogether() {
    if (rails_.size() == 1) {  // the same measurement
      report_.rails[0].rateTogether = report_.rails[0].rate;
    } else {
      RAILHEAD_TRY(step("bandwidth of all rails at once", [&] { return writeTogether(); }));
    }
    std::vector<Ceiling> ceilings;
    for (const auto& rail : report_.rails) {
      report_.allRails.bitsPerSecond += rail.rateTogether.bitsPerSecond;
      if (rail.ceiling) ceilings.push_back(*rail.ceiling);
    }
    if (ceilings.size() == rails_.size()) report_.allRailsCeiling = together(ceilings);
    return {};
  }

  Result<void> writeTogether() {
    std::vector<OpenRail*> all;
    for (std::size_t i = 0; i < rails_.size(); ++i) {
      RAILHEAD_TRY(prepareOut(Phase::kTogether, i));
      all.push_back(&rails_[i]);
    }
    RAILHEAD_TRY_ASSIGN(const auto traffic, writeForTime(all, plan_, channel_.fd()));
    for (std::size_t i = 0; i < rails_.size(); ++i) {
      report_.rails[i].rateTogether = traffic[i].rate;
      RAILHEAD_TRY(verifyOut(Phase::kTogether, i, traffic[i].messages));
    }
    return {};
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
  if (session.progress) session.progress("looking for the peer at " + peer.toString());
  RAILHEAD_TRY_ASSIGN(Channel channel,
                      meetAsConnector(peer, {kVerbsPurpose, session.token}, session.meetBy));
  auto report = Client(session, targets, std::move(channel)).run();
  if (!report.has_value()) return asCheckFailure(std::move(report).error());
  return report;
}

}  // namespace railhead::bench
