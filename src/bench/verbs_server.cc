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
    RAILHEAD_TRY_ASSIGN(rails_, openRails(session_.verbs, choices, plan_));
    for (std::size_t i = 0; i < rails_.size(); ++i) RAILHEAD_TRY(rails_[i].connect(hello.rails[i]));
    welcome.rails = offersOf(rails_);
    report_.connector = false;
    report_.peer = channel_.peer();
    report_.plan = plan_;
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
                          channel_.receive(answerBy(inFlight, plan_.seconds)));
      RAILHEAD_TRY_ASSIGN(const Command command,
                          decodeCommand(text).addContext("what the peer sent"));
      if (command.kind == CommandKind::kFinish) return finish(command);
      if (command.rail >= rails_.size() || command.bytes > plan_.bufferBytes()) {
        return Error(ErrorCode::kCorrupt, "the peer's command is outside what was agreed");
      }
      Reply reply;
      if (auto done = obey(command, reply); !done.has_value()) reply.error = done.error();
      RAILHEAD_TRY(channel_.send(encode(reply), answerBy(0)));
      if (reply.error) return *reply.error;
    }
  }

  Result<void> obey(const Command& command, Reply& reply) {
    OpenRail& rail = rails_[command.rail];
    switch (command.kind) {
      case CommandKind::kPrepare:
        fillInverted(rail.incoming(), command.seed);
        return rail.expectFences();
      case CommandKind::kVerify:
        return verify(command, reply);
      case CommandKind::kWrite:
        fillPattern(rail.outgoing(), command.seed);
        return writeBuffer(rail, channel_.fd());
      case CommandKind::kEcho:
        rail.clearReceivedWord();
        RAILHEAD_TRY(channel_.send(encode(Reply{}), answerBy(0)));
        return echo(rail, channel_.fd());
      case CommandKind::kFinish:
        break;
    }
    return {};
  }

  Result<void> verify(const Command& command, Reply& reply) {
    OpenRail& rail = rails_[command.rail];
    RAILHEAD_TRY(rail.awaitFences(std::chrono::steady_clock::now() + kStallLimit, channel_.fd()));
    reply.mismatch = findMismatch(rail.incoming(), command.seed, command.bytes);
    report_.rails[command.rail].bytesChecked += rail.incoming().size();
    report_.bytesChecked += rail.incoming().size();
    if (!reply.mismatch) return {};
    report_.rails[command.rail].bytesWrong += reply.mismatch->wrongBytes;
    report_.bytesWrong += reply.mismatch->wrongBytes;
    if (!report_.failure) {
      report_.failure = wrongBytes(rail.label() + ", written by the peer", *reply.mismatch,
                                   rail.incoming().size());
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

}  // namespace

Result<VerbsReport> serveVerbs(const VerbsSession& session, int listener) {
  if (session.progress) session.progress("waiting for the peer");
  RAILHEAD_TRY_ASSIGN(Channel channel,
                      meetAsListener(listener, {kVerbsPurpose, session.token}, session.meetBy));
  if (session.progress) session.progress("following " + channel.peer());
  auto report = Server(session, std::move(channel)).serve();
  if (!report.has_value()) return asCheckFailure(std::move(report).error());
  return report;
}

}  // namespace railhead::bench
