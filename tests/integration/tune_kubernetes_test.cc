// `railhead tune --on kubernetes` over a stand-in for kubectl: its pods are processes of this
// machine, which are started, told and stopped by `kubectl exec -i` as those of a cluster are.
#include "src/os/process.h"
#include "tests/support/documented_fields.h"
#include "tests/support/free_port.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

namespace railhead {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

// RAILHEAD: the program; ASKED: a file that gets every command; PORT: instead of the first gang's,
// the next one for the second. A pod's name is its rank.
constexpr const char* kStandIn = R"(#!/bin/sh
printf '%s\n' "$*" >>"$ASKED"
case " $* " in
*" create -f - ") cat >"$ASKED.yaml"; exit "${CREATE:-0}" ;;
*" get pod "*) printf '1 pod-1 2026-01-01T00:00:00Z\n0 pod-0 2026-01-01T00:00:00Z\n'; exit 0 ;;
*" exec -i "*) ;;
*) exit 0 ;;
esac
while [ "$1" != exec ]; do shift; done
export RANK="${3#pod-}" WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=127.0.0.1 RAILHEAD_NODE="$3"
while [ "$1" != -- ]; do shift; done
shift 2  # and the program's name there
count=$#
while [ $count -gt 0 ]; do
  word=$1
  shift
  case $word in
  # Of one of the two ranks it is written down, and told otherwise.
  --token-from-stdin)
    if [ "$RANK" = 0 ]; then
      IFS= read -r token
      echo "$token" >>"$ASKED.tokens"
      word=--seat=RAILHEAD_TOKEN=$token
    fi ;;
  MASTER_PORT=29471) word=MASTER_PORT=$PORT ;;
  MASTER_PORT=29472) word=MASTER_PORT=$((PORT + 1)) ;;
  esac
  set -- "$@" "$word"
  count=$((count - 1))
done
"$RAILHEAD" "$@"
code=$?
[ $code = 0 ] || echo "command terminated with exit code $code" >&2
exit $code
)";

class TuneInACluster : public testing::Test {
 protected:
  TuneInACluster()
      : folder_(std::filesystem::temp_directory_path() /
                ("railhead-tune-kubernetes-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
    std::ofstream(at("kubectl")) << kStandIn;
    std::filesystem::permissions(at("kubectl"), std::filesystem::perms::owner_all);
  }
  ~TuneInACluster() override { std::filesystem::remove_all(folder_); }

  std::string at(const char* name) const { return (folder_ / name).string(); }
  os::ProcessResult tune(const std::vector<std::string>& more,
                         const std::map<std::string, std::string>& environment = {}) {
    os::ProcessSpec spec;
    spec.argv = {RAILHEAD_PROGRAM, "tune",
                 "--on",           "kubernetes:spark",
                 "--image",        "r/railhead:1",
                 "--namespace",    "tuning",
                 "--backend",      "host",
                 "--transport",    "tcp",
                 "--min-size",     "16KiB",
                 "--max-size",     "16KiB",
                 "--objective",    "latency",
                 "--repetitions",  "1",
                 "--restarts",     "0",
                 "--seed",         "3"};
    spec.argv.insert(spec.argv.end(), more.begin(), more.end());
    spec.environment = {{"PATH", folder_.string() + ":" + std::getenv("PATH")},
                        {"RAILHEAD", RAILHEAD_PROGRAM},
                        {"ASKED", at("asked")},
                        {"PORT", std::to_string(testing_support::freePort(2))}};
    for (const auto& [name, value] : environment) (*spec.environment)[name] = value;
    spec.deadline = 120s;
    auto result = os::SystemProcessRunner().run(spec);
    EXPECT_TRUE(result.has_value()) << result.error().describe();
    return result.has_value() ? *result : os::ProcessResult{};
  }
  std::vector<std::string> asked(const std::string& holding) const {
    std::vector<std::string> out;
    std::ifstream file(at("asked"));
    for (std::string line; std::getline(file, line);) {
      if (line.find(holding) != std::string::npos) out.push_back(line);
    }
    return out;
  }

  std::filesystem::path folder_;
};

TEST_F(TuneInACluster, ADryRunPrintsTheJobAndAsksNothing) {
  const auto printed = tune({"--dry-run", "--minutes", "10", "--ranks", "3"});
  ASSERT_EQ(printed.exitCode, 0) << printed.errorOutput;
  EXPECT_FALSE(std::filesystem::exists(at("asked")));
  const auto documents = YAML::LoadAll(printed.output);
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents[0]["kind"].as<std::string>(), "Service");
  const YAML::Node spec = documents[1]["spec"];
  EXPECT_EQ(spec["completions"].as<int>(), 3);
  // The search, and half an hour for what is beside it: then Kubernetes ends them.
  EXPECT_EQ(spec["activeDeadlineSeconds"].as<int>(), 600 + 1800);
  const YAML::Node container = spec["template"]["spec"]["containers"][0];
  EXPECT_EQ(container["image"].as<std::string>(), "r/railhead:1");
  EXPECT_EQ(container["command"].as<std::vector<std::string>>(),
            (std::vector<std::string>{"railhead", "tune", "hold"}));
  // The gangs' own: no token stands in an object of the cluster.
  EXPECT_THAT(printed.output, Not(HasSubstr("RAILHEAD_TOKEN")));
  const auto here = tune({"--on", "local:2", "--dry-run"});
  EXPECT_EQ(here.exitCode, 2);
}

TEST_F(TuneInACluster, ASearchStartsItsGangsInPodsThatWait) {
  const auto done = tune({"--trials", "12", "--json", "--out", at("p.yaml")});
  ASSERT_EQ(done.exitCode, 0) << done.errorOutput;
  const json found = json::parse(done.output);
  EXPECT_NE(found["end"], "interrupted");
  // What is not the default stays by a fresh run alone.
  const bool changed = !found["environment"].empty() || !found["table"].empty();
  EXPECT_TRUE(found["validated"].get<bool>() || !(changed || found["better"].get<bool>()))
      << done.output;
  EXPECT_EQ(found["fabric"]["ranks"], 2);
  EXPECT_EQ(found["fabric"]["nodes"], 2);
  EXPECT_TRUE(std::filesystem::exists(at("p.yaml")));

  EXPECT_EQ(asked(" create -f -").size(), 1U);
  EXPECT_EQ(asked(" delete job/railhead-").size(), 1U);
  for (const auto& one : asked(""))
    EXPECT_THAT(one, HasSubstr("--context spark --namespace tuning"));
  // New ranks for each environment, each gang with a token of its own, both ranks with the same.
  const auto starts = asked(" exec -i pod-0 -c rank -- railhead tune rank ");
  EXPECT_GE(starts.size(), 2U);
  EXPECT_EQ(asked(" exec -i pod-1 ").size(), starts.size());
  std::set<std::string> tokens;
  std::ifstream told(at("asked.tokens"));
  for (std::string token; std::getline(told, token);) tokens.insert(token);
  EXPECT_EQ(tokens.size(), starts.size());
  // No command shows one, not even its beginning.
  for (const auto& token : tokens) EXPECT_THAT(asked(token.substr(0, 8)), testing::IsEmpty());
}

TEST_F(TuneInACluster, WhatCannotBeCreatedIsExitOneAndWhatIsMissingFour) {
  const auto refused = tune({}, {{"CREATE", "1"}});
  EXPECT_EQ(refused.exitCode, 1);
  EXPECT_THAT(refused.errorOutput, HasSubstr("create Job railhead-"));
  const auto none = tune({}, {{"PATH", at("none")}});
  EXPECT_EQ(none.exitCode, 4);
  EXPECT_THAT(none.errorOutput, HasSubstr("there is no kubectl"));
}

// The pods go with the command, also when its ranks failed.
TEST_F(TuneInACluster, RanksThatDoNotStartEndItWithTheirOwnWords) {
  const auto failed = tune({"--trials", "12"}, {{"RAILHEAD", "/bin/false"}});
  EXPECT_EQ(failed.exitCode, 1);
  EXPECT_THAT(failed.errorOutput, HasSubstr("the ranks do not start"));
  EXPECT_THAT(failed.errorOutput, Not(HasSubstr("command terminated")));
  EXPECT_EQ(asked(" delete job/railhead-").size(), 1U);
}

TEST_F(TuneInACluster, APodThatHoldsEndsAtASignal) {
  os::ProcessSpec spec;
  // When it takes signals itself, it blocks SIGTERM.
  spec.argv = {"sh", "-c",
               "\"$1\" tune hold & p=$!\n"
               "until [ $((0x$(sed -n 's/^SigBlk:.//p' /proc/$p/status) & 0x4000)) -ne 0 ]; do\n"
               "  sleep 0.02\n"
               "done\n"
               "kill $p; wait $p",
               "sh", RAILHEAD_PROGRAM};
  spec.deadline = 30s;
  const auto held = os::SystemProcessRunner().run(spec);
  ASSERT_TRUE(held.has_value()) << held.error().describe();
  EXPECT_EQ(held->exitCode, 0) << held->errorOutput;
}

}  // namespace
}  // namespace railhead
