// The listening end: follows the connector's commands.
#include "src/bench/traffic.h"
#include "src/bench/verbs_conversation.h"
#include "src/bench/verbs_session.h"

namespace railhead::bench {
namespace {

class Server {
 public:
  Server(const VerbsSession& session, Channel channel)
      : session_(session), channel_(std::move(channel)) {}

  Result<VerbsReport> serve() {
    RAILHEAD_TRY_ASSIGN(const std::string text, channel_.receive(answerBy(0)));
    RAILHEAD_TRY_ASSIGN(const Hello hello, decodeHello(text).addContext("what the peer sent"));
    auto welcome = prepare(hello);
    if (!welcome.has_value()) {
      // Both ends fail with one message; if the peer is gone already, ours is enough.
      (void)channel_.send(encodeRefusal(welcome.error()), answerBy(0));
      return std::move(welcome).error();
    }
    RAILHEAD_TRY(channel_.send(encode(*welcome), answerBy(0)));
    RAILHEAD_TRY(follow());
    report_.verified = !report_.failure;
    return std::move(report_);
  }

 private:
  Result<Welcome> prepare(const Hello& hello) {
    plan_ = hello.plan;
    RAILHEAD_TRY_ASSIGN(const auto order, pairRails(session_.rails, hello.rails));
    std::vector<RailChoice> choices;
    Welcome welcome;
    welcome.environment = session_.environment;
    welcome.environment.devices.clear();
    for (const std::size_t index : order) {
      choices.push_back(session_.rails[index]);
      if (index < session_.environment.devices.size()) {
        welcome.environment.devices.push_back(session_.environment.devices[index]);
      }
    }
    RAILHEAD_TRY_ASSIGN(rails_, openRails(session_.verbs, choices, plan_, session_.memory));
    for (std::size_t i = 0; i < rails_.size(); ++i) RAILHEAD_TRY(rails_[i].connect(hello.rails[i]));
    welcome.rails = offersOf(rails_);
    report_.connector = false;
    report_.peer = channel_.peer();
    report_.plan = plan_;
    report_.gpu = session_.memory.gpuName();
    report_.environment = welcome.environment;
    for (std::size_t i = 0; i < rails_.size(); ++i) {
      RailResult rail;
      rail.rail = i;
      rail.own = welcome.rails[i];
      rail.peer = hello.rails[i];
      rail.mtu = rails_[i].mtu();
      report_.rails.push_back(std::move(rail));
    }
    return welcome;
  }

  Result<void> follow() {
    for (;;) {
      const std::uint64_t inFlight = plan_.bufferBytes() * rails_.size();
      RAILHEAD_TRY_ASSIGN(const std::string text,
                          channel_.receive(answerBy(inFlight, plan_.longestSeconds())));
      RAILHEAD_TRY_ASSIGN(const Command command,
                          decodeCommand(text).addContext("what the peer sent"));
      if (command.kind == CommandKind::kFinish) return finish(command);
      if (command.rail >= rails_.size() || !fits(command)) {
        return Error(ErrorCode::kCorrupt, "the peer's command is outside what was agreed");
      }
      Reply reply;
      if (auto done = obey(command, reply); !done.has_value()) reply.error = done.error();
      if (command.kind == CommandKind::kReceive && !reply.error) continue;
      RAILHEAD_TRY(channel_.send(encode(reply), answerBy(0)));
      if (reply.error) return *reply.error;
    }
  }

  // The load stays within the buffers, and gives every queue pair a slot.
  bool fits(const Command& command) const {
    const bool needsNone =
        command.kind == CommandKind::kEcho || command.kind == CommandKind::kReceive;
    if (needsNone) return true;
    return command.messageBytes > 0 && command.outstanding >= plan_.pairsPerRail &&
           command.load().bytes() <= plan_.bufferBytes() &&
           command.outstanding <= plan_.mostOutstanding();
  }

  Result<void> obey(const Command& command, Reply& reply) {
    OpenRail& rail = rails_[command.rail];
    const VerbsLoad load = command.load();
    switch (command.kind) {
      case CommandKind::kPrepare:
        return prepareToTake(rail, plan_, load, command.seed);
      case CommandKind::kReceive:
        RAILHEAD_TRY(ready());
        return takeSends();
      case CommandKind::kVerify:
        RAILHEAD_TRY(receive({&rail}, channel_.fd()));
        return compare(command, reply);
      case CommandKind::kPush:
        RAILHEAD_TRY(rail.outgoing().fillPattern(load.bytes(), command.seed));
        return moveOnce(rail, load, channel_.fd());
      case CommandKind::kOffer:
        return rail.outgoing().fillPattern(load.bytes(), command.seed);
      case CommandKind::kPull:
        RAILHEAD_TRY(prepareToTake(rail, plan_, load, command.seed));
        RAILHEAD_TRY(moveOnce(rail, load, channel_.fd()));
        return compare(command, reply);
      case CommandKind::kEcho:
        rail.clearReceivedWord();
        return echo(rail, channel_.fd(), [this] { return ready(); });
      case CommandKind::kFinish:
        break;
    }
    return {};
  }

  // The connector's next command, or its leaving, ends it early: follow() hears which.
  Result<void> takeSends() {
    auto taken = receive(everyRail(), channel_.fd());
    if (!taken.has_value() && taken.error().code == ErrorCode::kUnavailable) return {};
    return taken;
  }

  Result<void> ready() { return channel_.send(encode(Reply{}), answerBy(0)); }

  std::vector<OpenRail*> everyRail() {
    std::vector<OpenRail*> out;
    for (auto& rail : rails_) out.push_back(&rail);
    return out;
  }

  Result<void> compare(const Command& command, Reply& reply) {
    OpenRail& rail = rails_[command.rail];
    RAILHEAD_TRY_ASSIGN(reply.mismatch, compareTaken(rail, plan_, command.load(), command.seed));
    const std::uint64_t compared = comparedBytes(plan_, command.load());
    report_.rails[command.rail].bytesChecked += compared;
    report_.bytesChecked += compared;
    if (!reply.mismatch) return {};
    report_.rails[command.rail].bytesWrong += reply.mismatch->wrongBytes;
    report_.bytesWrong += reply.mismatch->wrongBytes;
    if (!report_.failure) {
      report_.failure =
          wrongBytes(rail.label() + takenHere(plan_.operation), *reply.mismatch, compared);
    }
    return {};
  }

  Result<void> finish(const Command& command) {
    if (report_.failure || command.failure.empty()) return {};
    return Error(ErrorCode::kCheckFailed, "the peer reports: " + command.failure);
  }

  const VerbsSession& session_;
  Channel channel_;
  VerbsPlan plan_;
  std::vector<OpenRail> rails_;
  VerbsReport report_;
};

VerbsPlan smallestPlan() {
  VerbsPlan plan;
  plan.messageBytes = plan.rateBytes = VerbsPlan::kMinMessage;
  plan.outstanding = plan.rateOutstanding = 1;
  return plan;
}

}  // namespace

Result<VerbsReport> serveVerbs(const VerbsSession& session, int listener) {
  // Whether the memory can be registered at all is said before a peer is waited for.
  RAILHEAD_TRY(openRails(session.verbs, session.rails, smallestPlan(), session.memory));
  if (session.progress) session.progress("waiting for the peer");
  RAILHEAD_TRY_ASSIGN(Channel channel,
                      meetAsListener(listener, {kVerbsPurpose, session.token}, session.meetBy));
  if (session.progress) session.progress("following " + channel.peer());
  auto report = Server(session, std::move(channel)).serve();
  if (!report.has_value()) return asCheckFailure(std::move(report).error());
  return report;
}

}  // namespace railhead::bench
