#include "apps/railhead/tune_rank_command.h"

#include "apps/railhead/order_reader.h"
#include "apps/railhead/rank_options.h"
#include "apps/railhead/rank_session.h"
#include "apps/railhead/tuned_rank.h"
#include "src/base/text.h"
#include "src/os/clock.h"
#include "src/tune_run/live_choice.h"
#include "src/tune_run/rank_worker.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <poll.h>
#include <unistd.h>

namespace railhead::app {
namespace {

constexpr const char* kPurpose = "tune " RAILHEAD_VERSION;

struct Settings {
  RankOptions ranks;
  std::string setting{tune::kDefault};
  std::string plugin;
  std::string sizeOption = "--max-size";
  double callTimeout = 10;
  std::uint32_t dataSeed = 1;
  std::vector<std::string> seat;  // NAME=VALUE of the environment
  bool tokenFromStdin = false;
};

constexpr std::size_t kMaxToken = 256;

// Before anything reads it, and while one thread runs.
Result<void> takeSeat(const std::vector<std::string>& seat) {
  for (const std::string& one : seat) {
    const auto equals = one.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return Error(ErrorCode::kInvalidArgument,
                   "--seat " + inQuotes(one) + ": expected NAME=VALUE");
    }
    ::setenv(one.substr(0, equals).c_str(), one.c_str() + equals + 1, 1);
  }
  return {};
}

// The first line of the input, byte by byte: what follows it is the orders' reader's.
Result<void> takeToken(double seconds) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  std::string token;
  while (token.size() <= kMaxToken) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(limit - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    pollfd waiting{STDIN_FILENO, POLLIN, 0};
    char c = 0;
    if (::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) continue;
    const ssize_t got = ::read(STDIN_FILENO, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    if (c != '\n') {
      token += c;
      continue;
    }
    ::setenv("RAILHEAD_TOKEN", token.c_str(), 1);
    return {};
  }
  return Error(ErrorCode::kUnavailable, "--token-from-stdin: no line came");
}

// What stands in this process' environment before NCCL is loaded. One thread runs.
void prepareNccl(const Settings& settings, const tune::Setting& setting,
                 const tune::LiveChoices& live) {
  for (const auto& [name, value] : setting.values()) {
    if (name.starts_with("NCCL_")) ::setenv(name.c_str(), value.c_str(), 1);
  }
  if (!hindersChoices(settings.plugin).empty()) return;
  ::setenv("NCCL_TUNER_PLUGIN", settings.plugin.c_str(), 1);
  ::setenv("RAILHEAD_TUNER_LIVE", live.path().c_str(), 1);
}

Result<HostTuning> hostTuning(const tune::Setting& setting, RankOptions& options) {
  HostTuning out;
  if (setting.value("transport") != tune::kDefault) options.transport = setting.value("transport");
  RAILHEAD_TRY_ASSIGN(out.rails, countOf(setting, "rails"));
  RAILHEAD_TRY_ASSIGN(out.pieceBytes, countOf(setting, "segment"));
  return out;
}

Result<void> serve(const Settings& settings, Context& context) {
  RAILHEAD_TRY(takeSeat(settings.seat));
  if (settings.tokenFromStdin) RAILHEAD_TRY(takeToken(settings.ranks.timeout));
  RAILHEAD_TRY_ASSIGN(const auto world, collective::worldFrom(collective::processEnvironment()));
  RAILHEAD_TRY_ASSIGN(const tune::Setting setting, tune::Setting::parse(settings.setting));
  const auto reply = [&](const std::string& line) {
    context.err << (std::string(tune::kReplyMark) + line + "\n") << std::flush;
  };
  RAILHEAD_TRY_ASSIGN(tune::LiveChoices live, tune::LiveChoices::create());
  prepareNccl(settings, setting, live);
  RankOptions options = settings.ranks;
  options.untilStdinEnds = false;  // the orders' reader sees to that
  RAILHEAD_TRY_ASSIGN(const HostTuning tuning, hostTuning(setting, options));
  const auto session = RankSession::open(options, world, kPurpose,
                                         RankSession::NcclLog::kAsTheEnvironmentSays, tuning);
  if (!session.has_value()) {
    const bool hung = session.error().code == ErrorCode::kDeadlineExceeded;
    reply(tune::encode(tune::FailedReply{hung ? tune::Outcome::kHung : tune::Outcome::kRefused,
                                         session.error().message}));
    return session.error();
  }
  OrderReader orders;
  os::SystemClock clock;
  HostChoices host((*session)->host());
  return tune::serveOrders(
      {(*session)->communicator(), (*session)->group(), clock,
       [&](const tune::Setting& choice) {
         return (*session)->nccl() != nullptr ? live.choose(choice) : host.choose(choice);
       },
       [&] { return orders.next(); }, reply, settings.callTimeout, settings.dataSeed,
       [&] { return computeBeside(**session); }, settings.sizeOption},
      rankFacts(**session, world, settings.plugin));
}

}  // namespace

void addTuneRank(CLI::App* tune, Context& context) {
  auto settings = std::make_shared<Settings>();
  auto* command = tune->add_subcommand("rank", "One rank of a tuning gang")->group("");
  addRankOptions(command, settings->ranks);
  command->add_option("--setting", settings->setting, "of this process");
  command->add_option("--tuner-plugin", settings->plugin, "path");
  command->add_option("--call-timeout", settings->callTimeout, "seconds");
  command->add_option("--seat", settings->seat, "NAME=VALUE of the environment");
  command->add_flag("--token-from-stdin", settings->tokenFromStdin, "RAILHEAD_TOKEN, a line");
  command->add_option("--size-option", settings->sizeOption, "which the sizes came by");
  command->add_option("--data-seed", settings->dataSeed, "of the data that is checked");
  command->final_callback([settings, &context] {
    const auto served = serve(*settings, context);
    if (!served.has_value()) fail(context, served.error());
  });
}

}  // namespace railhead::app
