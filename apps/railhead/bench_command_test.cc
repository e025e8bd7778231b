#include "apps/railhead/bench_command.h"

#include "tests/support/fake_verbs.h"
#include "tests/support/free_port.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::app {
namespace {

using testing::HasSubstr;
using testing_support::FakeFabric;
using testing_support::FakeVerbs;

struct Outcome {
  ExitCode code;
  std::string out;
  std::string err;
};

Outcome commandLine(std::vector<std::string> args) {
  args.insert(args.begin(), {"railhead", "bench", "verbs"});
  std::ostringstream out;
  std::ostringstream err;
  Context context{out, err, false, "railhead"};
  const ExitCode code = runCommandLine(args, context);
  return {code, out.str(), err.str()};
}

Outcome command(const BenchVerbsSettings& settings, verbs::Verbs& verbs) {
  std::ostringstream out;
  std::ostringstream err;
  Context context{out, err, false, "railhead"};
  runBenchVerbs(settings, verbs, context);
  return {context.exitCode, out.str(), err.str()};
}

std::string freeEndpoint() { return "127.0.0.1:" + std::to_string(testing_support::freePort()); }

class BenchVerbs : public testing::Test {
 protected:
  BenchVerbs() {
    settings_.plan.messageBytes = 4096;
    settings_.plan.outstanding = 4;
    settings_.plan.seconds = settings_.plan.rateSeconds = settings_.plan.sizeSeconds = 0.05;
    settings_.plan.rateOutstanding = 8;
    settings_.plan.latencySeconds = 0.02;
    settings_.plan.latencySamples = 30;
    settings_.timeout = 10;
    settings_.lineRates = {"100Mbit"};
    for (const char* name : {"a0", "b0"}) fabric_.setRate(name, {100e6});
  }

  std::pair<Outcome, Outcome> both(const std::string& tokenOfListener = "") {
    const std::string endpoint = freeEndpoint();
    BenchVerbsSettings listen = settings_;
    listen.listen = endpoint;
    listen.token = tokenOfListener;
    auto listening = std::async(std::launch::async, [&] { return command(listen, b_); });
    settings_.connect = endpoint;
    Outcome connected = command(settings_, a_);
    return {std::move(connected), listening.get()};
  }

  FakeFabric fabric_;
  FakeVerbs a_{fabric_, {{"a0", "10.0.0.1"}}};
  FakeVerbs b_{fabric_, {{"b0", "10.0.0.2"}}};
  BenchVerbsSettings settings_;
};

TEST_F(BenchVerbs, BothEndsSucceedAndSayWhatTheyMeasured) {
  const auto [connector, listener] = both();
  EXPECT_EQ(connector.code, ExitCode::kOk) << connector.err;
  EXPECT_EQ(listener.code, ExitCode::kOk) << listener.err;
  EXPECT_THAT(connector.out, HasSubstr("10.0.0.1 -> 10.0.0.2"));
  EXPECT_THAT(connector.out, HasSubstr("verified byte by byte, all right"));
  EXPECT_THAT(listener.out, HasSubstr("verified byte by byte, all right"));
  EXPECT_EQ(connector.err, "");
}

TEST_F(BenchVerbs, TheTablesShowPercentilesMessageRateAndSizes) {
  settings_.operation = "send";
  settings_.sizes = "64..128";
  const auto [connector, listener] = both();
  ASSERT_EQ(connector.code, ExitCode::kOk) << connector.err;
  EXPECT_THAT(connector.out, HasSubstr("RDMA send of 4 KiB, 4 in flight over 1 queue pair "));
  EXPECT_THAT(connector.out, HasSubstr("memory: host here, host at the peer"));
  for (const char* title : {"samples", "min", "median", "p90", "p99", "p99.9", "max", "mean"})
    EXPECT_THAT(connector.out, HasSubstr(title));
  EXPECT_THAT(connector.out, HasSubstr("half a round trip, seen by completions"));
  EXPECT_THAT(connector.out, HasSubstr("messages of 8 B, 8 in flight"));
  EXPECT_THAT(connector.out, HasSubstr(" /s"));
  EXPECT_THAT(connector.out, HasSubstr("± "));
  EXPECT_THAT(connector.out, HasSubstr("bandwidth by size"));
  EXPECT_THAT(connector.out, HasSubstr("128 B"));
}

TEST_F(BenchVerbs, GpuMemoryWithoutAGpuIsExitFourAtOnce) {
  settings_.listen = "127.0.0.1:0";
  settings_.memory = "cuda-peermem";
  settings_.cudaLibraries = {"libnosuchcuda.so.1"};
  const Outcome outcome = command(settings_, a_);
  EXPECT_EQ(outcome.code, ExitCode::kEnvironment);
  EXPECT_THAT(outcome.err, HasSubstr("--memory cuda-peermem: no CUDA here"));
  EXPECT_THAT(outcome.err, HasSubstr("remedy: "));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 2);
}

TEST_F(BenchVerbs, JsonIsOneObjectOnStandardOutput) {
  settings_.json = true;
  const auto [connector, listener] = both();
  ASSERT_EQ(connector.code, ExitCode::kOk) << connector.err;
  const auto json = nlohmann::json::parse(connector.out);
  EXPECT_EQ(json.at("verified"), true);
  EXPECT_THAT(json.at("rails").at(0).at("ceiling").at("explanation").get<std::string>(),
              HasSubstr("1024/1106"));
  EXPECT_EQ(nlohmann::json::parse(listener.out).at("role"), "listen");
}

TEST_F(BenchVerbs, AWrongByteIsExitThreeOnBothEnds) {
  fabric_.corruptByte("a0", 0, 5);
  const auto [connector, listener] = both();
  EXPECT_EQ(connector.code, ExitCode::kCheckFailed);
  EXPECT_EQ(listener.code, ExitCode::kCheckFailed);
  EXPECT_THAT(connector.err, HasSubstr("byte 5 is"));
  EXPECT_EQ(connector.out, "");
}

TEST_F(BenchVerbs, JsonCountsTheWrongBytes) {
  settings_.json = true;
  fabric_.corruptByte("a0", 0, 5);
  const auto [connector, listener] = both();
  for (const Outcome* end : {&connector, &listener}) {
    EXPECT_EQ(end->code, ExitCode::kCheckFailed);
    const auto json = nlohmann::json::parse(end->out);
    EXPECT_EQ(json.at("verified"), false);
    EXPECT_EQ(json.at("bytes_wrong"), 1);
    EXPECT_EQ(json.at("rails").at(0).at("bytes_wrong"), 1);
    EXPECT_THAT(json.at("failure").get<std::string>(), HasSubstr("byte 5 is"));
    EXPECT_THAT(end->err, HasSubstr("byte 5 is"));
  }
  const auto json = nlohmann::json::parse(connector.out);
  EXPECT_TRUE(json.at("rails").at(0).at("gbps").is_null());
  EXPECT_TRUE(json.at("rails").at(0).at("latency").is_null());
  EXPECT_TRUE(json.at("all_rails").at("share").is_null());
}

TEST_F(BenchVerbs, AWrongTokenIsExitFourInOneLineAndARemedy) {
  settings_.timeout = 0.5;
  const auto [connector, listener] = both("other");
  EXPECT_EQ(connector.code, ExitCode::kEnvironment);
  EXPECT_THAT(connector.err, HasSubstr("wrong token"));
  EXPECT_THAT(connector.err, HasSubstr("remedy: "));
  EXPECT_EQ(std::count(connector.err.begin(), connector.err.end(), '\n'), 2);
  EXPECT_EQ(listener.code, ExitCode::kEnvironment);
}

TEST_F(BenchVerbs, NobodyThereIsExitFourWithinTheTimeout) {
  settings_.timeout = 0.2;
  settings_.connect = freeEndpoint();
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = command(settings_, a_);
  EXPECT_EQ(outcome.code, ExitCode::kEnvironment);
  EXPECT_THAT(outcome.err, HasSubstr(settings_.connect));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST_F(BenchVerbs, NoRdmaDeviceIsExitFour) {
  FakeVerbs none(fabric_, {});
  settings_.listen = "127.0.0.1:0";
  const Outcome outcome = command(settings_, none);
  EXPECT_EQ(outcome.code, ExitCode::kEnvironment);
  EXPECT_THAT(outcome.err, HasSubstr("there is no RDMA device"));
}

TEST_F(BenchVerbs, BadValuesAreExitTwoAndNamed) {
  settings_.connect = "nowhere";
  EXPECT_THAT(command(settings_, a_).err, HasSubstr("'nowhere'"));
  settings_.connect = "127.0.0.1:1";
  settings_.lineRates = {"fast"};
  Outcome outcome = command(settings_, a_);
  EXPECT_EQ(outcome.code, ExitCode::kUsage);
  EXPECT_THAT(outcome.err, HasSubstr("--line-rate"));
  settings_.lineRates = {};
  settings_.operation = "erase";
  outcome = command(settings_, a_);
  EXPECT_EQ(outcome.code, ExitCode::kUsage);
  EXPECT_THAT(outcome.err, HasSubstr("--operation: operation 'erase': allowed is write, read or"));
  settings_.operation = "read";
  settings_.sizes = "8..9";
  outcome = command(settings_, a_);
  EXPECT_EQ(outcome.code, ExitCode::kUsage);
  EXPECT_THAT(outcome.err, HasSubstr("--sizes: sizes 8..9"));
  settings_.sizes = "";
  settings_.memory = "disk";
  outcome = command(settings_, a_);
  EXPECT_EQ(outcome.code, ExitCode::kUsage);
  EXPECT_THAT(outcome.err, HasSubstr("--memory: memory 'disk'"));
  settings_.memory = "host";
  settings_.rails = {"no/device"};
  outcome = command(settings_, a_);
  EXPECT_EQ(outcome.code, ExitCode::kUsage);
  EXPECT_THAT(outcome.err, HasSubstr("no/device"));
}

TEST(BenchVerbsUsage, ExactlyOneEndIsNeeded) {
  EXPECT_EQ(commandLine({}).code, ExitCode::kUsage);
  EXPECT_EQ(commandLine({"--listen", ":1", "--connect", "10.0.0.1:1"}).code, ExitCode::kUsage);
  EXPECT_EQ(commandLine({"--listen", ":1", "--size", "huge"}).code, ExitCode::kUsage);
  EXPECT_EQ(commandLine({"--listen", ":1", "--ceiling", "1Gbit", "--line-rate", "1Gbit"}).code,
            ExitCode::kUsage);
  EXPECT_EQ(commandLine({"--listen", ":1", "--qps", "2", "--pairs", "many"}).code,
            ExitCode::kUsage);
  const Outcome tooMany = commandLine({"--listen", ":1", "--qps", "65"});
  EXPECT_EQ(tooMany.code, ExitCode::kUsage);
  EXPECT_THAT(tooMany.err, HasSubstr("--qps 65: allowed is 1 to 64"));
  const Outcome tooBig = commandLine({"--listen", "127.0.0.1:0", "--size", "1GiB"});
  EXPECT_EQ(tooBig.code, ExitCode::kUsage);
  EXPECT_THAT(tooBig.err, HasSubstr("1073741824"));
}

TEST(BenchVerbsUsage, HelpHasAnExample) {
  const Outcome help = commandLine({"--help"});
  EXPECT_EQ(help.code, ExitCode::kOk);
  EXPECT_THAT(help.out, HasSubstr("railhead bench verbs --listen :7471"));
}

}  // namespace
}  // namespace railhead::app
