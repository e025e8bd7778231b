// The real agent on a real kernel, killed with SIGKILL between any two of its steps, and with
// single steps failing. strace brings it there: the programs are the shipped ones. kill_node.sh
// does one round inside a node and holds the node against what it has to be; here is which rounds
// there are. One lab for all; both nodes work at the same time.
#include "lab/demo/node_setup.h"
#include "lab/demo/scenario.h"
#include "tests/integration/kill_trace.h"
#include "tests/integration/lab_fixture.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

constexpr const char* kScript = "/tmp/kill_node.sh";
constexpr const char* kNever = "write@9999";
constexpr std::size_t kNodes = 2;
constexpr int kTries = 8;

struct Round {
  bool right = false;
  std::string printed;

  bool has(const std::string& line) const {
    return ("\n" + printed).find("\n" + line + "\n") != std::string::npos;
  }
  // How many calls had changed something when the agent died, or when one failed.
  std::size_t done(const std::string& phase) const {
    const auto all = tracedCalls(printed, phase);
    const std::size_t changing = changingCalls(printed, phase).size();
    return changing - (!all.empty() && all.back().changes ? 1 : 0);
  }
};

class LabKill : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    topology_ = new Topology(*loadTopology("two-sparks"));
    auto lab = BoundLab::start(*topology_, labOptions("kill"));
    ASSERT_TRUE(lab.has_value()) << lab.error().describe();
    lab_ = new BoundLab(std::move(*lab));
    std::stringstream script;
    script << std::ifstream(RAILHEAD_SOURCE_DIR "/tests/integration/kill_node.sh").rdbuf();
    for (std::size_t i = 0; i < kNodes; ++i) {
      const NodeShell node(lab_->client(), topology_->nodes[i].name);
      for (const auto& step :
           {installFiles(node, *topology_, i), node.writeFile(kScript, script.str()),
            startKubelet(node), startAgent(node), awaitAllocatable(node, 4)}) {
        ASSERT_TRUE(step.has_value()) << step.error().message;
      }
      const Round recorded = round(i, {"install"});
      ASSERT_TRUE(recorded.right) << recorded.printed;
    }
  }
  static void TearDownTestSuite() {
    delete lab_;
    delete topology_;
    lab_ = nullptr;
  }
  void SetUp() override {
    ASSERT_NE(lab_, nullptr) << "the lab did not start";
    begun_ = std::chrono::steady_clock::now();
  }

  static Round round(std::size_t node, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"sh", kScript});
    ExecOptions options;
    options.deadline = std::chrono::seconds(120);
    const auto done = lab_->client().exec(topology_->nodes[node].name, arguments, options);
    if (!done.has_value()) return {false, done.error().describe()};
    return {done->exitCode == 0, done->output + done->errorOutput};
  }
  static void mustBeRight(const Round& round) { ASSERT_TRUE(round.right) << round.printed; }

  static void onEachNode(const std::function<void(std::size_t)>& work) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kNodes; ++i) threads.emplace_back(work, i);
    for (auto& thread : threads) thread.join();
  }

  // Before which changing calls of the phases to die; as many rounds as the longest list.
  struct Phase {
    std::string name;
    std::vector<TracedCall> calls;    // all that change something
    std::vector<std::size_t> wanted;  // indices into calls
    std::set<std::size_t> reached;    // so many calls done at death
    int kills = 0;
    int shift = 0;  // so many more messages to kubelet came before in the last round
  };

  // gRPC sends by the same call as netlink does, now once more and now once less.
  static int rpcsIn(const Round& round, const std::string& phase) {
    const auto all = tracedCalls(round.printed, phase);
    return static_cast<int>(
        std::count_if(all.begin(), all.end(), [](const TracedCall& call) { return call.rpc; }));
  }

  // The calls of an undisturbed round.
  static Phase phaseOf(const Round& whole, const std::string& name) {
    Phase phase{name, changingCalls(whole.printed, name), {}, {}, 0, 0};
    for (std::size_t i = 0; i < phase.calls.size(); ++i) phase.wanted.push_back(i);
    return phase;
  }

  // Rounds of `command` with a death in each phase, until every wanted point was reached.
  void sweep(const std::vector<std::string>& command, std::vector<Phase>& phases) {
    std::mutex mutex;
    std::atomic<bool> failed{false};
    std::size_t next = 0;
    const auto rounds = std::max_element(phases.begin(), phases.end(), [](auto& a, auto& b) {
                          return a.wanted.size() < b.wanted.size();
                        })->wanted.size();
    onEachNode([&](std::size_t node) {
      for (;;) {
        std::size_t index = 0;
        {
          const std::lock_guard lock(mutex);
          if (next == rounds) return;
          index = next++;
        }
        // Again where the point was missed.
        for (int attempt = 0; attempt < kTries && !failed; ++attempt) {
          std::vector<std::string> arguments = command;
          std::size_t missing = 0;
          {
            const std::lock_guard lock(mutex);
            for (const auto& phase : phases)
              arguments.push_back(point(phase, index, attempt, missing));
          }
          if (missing == 0) break;
          const Round done = round(node, arguments);
          const std::lock_guard lock(mutex);
          for (auto& phase : phases) {
            if (!done.has(phase.name + " killed")) continue;
            ++phase.kills;
            phase.reached.insert(done.done(phase.name));
            const auto& call = phase.calls[std::min(done.done(phase.name), phase.calls.size() - 1)];
            phase.shift = rpcsIn(done, phase.name) - call.rpcsBefore;
          }
          if (!done.right) {
            failed = true;
            ADD_FAILURE() << topology_->nodes[node].name << ": " << join(arguments, " ") << '\n'
                          << done.printed;
          }
        }
      }
    });
    if (!failed) check(command.front(), phases);
  }

  static std::string point(const Phase& phase, std::size_t index, int attempt,
                           std::size_t& missing) {
    if (index >= phase.wanted.size() || phase.reached.contains(phase.wanted[index])) return kNever;
    ++missing;
    TracedCall call = phase.calls[phase.wanted[index]];
    // Of other calls, too, a round has now more and now fewer before: a new connection to kubelet,
    // a GID that is awaited.
    static constexpr int kAround[kTries] = {0, 0, -1, 1, -2, 2, 0, -3};
    const int shift = call.name == "sendmsg" ? phase.shift : 0;
    call.ordinal = std::max(1, call.ordinal + shift + kAround[attempt]);
    return call.at();
  }

  void check(const std::string& what, const std::vector<Phase>& phases) const {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun_;
    for (const auto& phase : phases) {
      std::printf("%s: killed %d times in %s, before %zu of its %zu changing calls\n", what.c_str(),
                  phase.kills, phase.name.c_str(), phase.reached.size(), phase.calls.size());
      int missed = 0;
      for (const std::size_t index : phase.wanted) {
        if (phase.reached.contains(index)) continue;
        // gRPC sends by the same call, now once more and now once less: one of netlink's sends may
        // be missed in all tries. Pods and sandboxes have the same ones.
        const bool excused = phase.calls[index].name == "sendmsg" && ++missed == 1;
        std::printf("%s: never killed before call %zu of %s\n", what.c_str(), index,
                    phase.name.c_str());
        EXPECT_TRUE(excused) << what << ": never killed before call " << index << " of "
                             << phase.name << ", " << phase.calls[index].kind;
      }
    }
    std::printf("%s: %.0f s\n", what.c_str(), took.count());
  }

  static Topology* topology_;
  static BoundLab* lab_;
  std::chrono::steady_clock::time_point begun_;
};

Topology* LabKill::topology_ = nullptr;
BoundLab* LabKill::lab_ = nullptr;

// Every round makes the VFs anew, which takes seconds: before the first call of each kind. The fake
// kernel's tests have every one (src/provision/provision_fault_test.cc).
TEST_F(LabKill, BetweenStepsOfProvision) {
  const Round whole = round(0, {"provision", kNever});
  ASSERT_TRUE(whole.right) << whole.printed;
  std::vector<Phase> phases{phaseOf(whole, "start")};
  Phase& start = phases.front();
  start.wanted.clear();
  const auto same = [&](std::size_t a, std::size_t b) {
    return start.calls[a].kind == start.calls[b].kind;
  };
  for (std::size_t i = 0; i < start.calls.size(); ++i) {
    bool before = false;
    for (std::size_t other = 0; other < i; ++other) before = before || same(i, other);
    if (!before) start.wanted.push_back(i);
  }
  EXPECT_GE(start.calls.size(), 32U) << whole.printed;
  sweep({"provision"}, phases);
}

// kubelet and the runtime clear a failed pod away, namespace and all, while no agent is there.
TEST_F(LabKill, BetweenAnyTwoStepsOfAPodsAddAndDel) {
  // A node's first pod makes folders that stay: the rounds after it have fewer steps.
  onEachNode([](std::size_t node) { mustBeRight(round(node, {"pod", kNever, kNever})); });
  const Round whole = round(0, {"pod", kNever, kNever});
  ASSERT_TRUE(whole.right) << whole.printed;
  std::vector<Phase> phases{phaseOf(whole, "ADD"), phaseOf(whole, "DEL")};
  EXPECT_GE(phases[0].calls.size(), 12U);
  EXPECT_GE(phases[1].calls.size(), 10U);
  sweep({"pod"}, phases);
}

// The sandbox outlives the agent, so all that is put right is put right by the agent.
TEST_F(LabKill, BetweenAnyTwoStepsWithASandboxThatStays) {
  onEachNode([](std::size_t node) { mustBeRight(round(node, {"open"})); });
  const Round whole = round(0, {"sandbox", kNever, kNever});
  ASSERT_TRUE(whole.right) << whole.printed;
  std::vector<Phase> phases{phaseOf(whole, "ADD"), phaseOf(whole, "DEL")};
  sweep({"sandbox"}, phases);
  onEachNode([](std::size_t node) { mustBeRight(round(node, {"close"})); });
}

// A step that the kernel refuses: the request fails, and at once there is nothing left of it.
TEST_F(LabKill, EveryChangingStepOfAddAndDelFailing) {
  onEachNode([](std::size_t node) { mustBeRight(round(node, {"open"})); });
  const Round whole = round(0, {"fail", "EIO", kNever, kNever});
  ASSERT_TRUE(whole.right) << whole.printed;
  const Phase add = phaseOf(whole, "ADD");
  const Phase del = phaseOf(whole, "DEL");
  std::atomic<std::size_t> next{0};
  std::atomic<int> failures{0};
  onEachNode([&](std::size_t node) {
    for (std::size_t i = next++; i < std::max(add.calls.size(), del.calls.size()); i = next++) {
      const auto at = [&](const Phase& phase) {
        const bool reply = i >= phase.calls.size() || phase.calls[i].name == "sendto";
        return reply ? std::string(kNever) : phase.calls[i].at();
      };
      const Round done = round(node, {"fail", "EIO", at(add), at(del)});
      failures += (done.has("ADD failed") ? 1 : 0) + (done.has("DEL failed") ? 1 : 0);
      EXPECT_TRUE(done.right) << at(add) << ' ' << at(del) << '\n' << done.printed;
      if (!done.right) return;
    }
  });
  std::printf("%d failing calls\n", failures.load());
  EXPECT_GE(failures, static_cast<int>(add.calls.size() + del.calls.size()) - 4);
  onEachNode([](std::size_t node) { mustBeRight(round(node, {"close"})); });
}

}  // namespace
}  // namespace railhead::lab
