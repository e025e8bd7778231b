// CNI plugins as an os::ProcessRunner that executes nothing: interface plugins make a link in the
// pod, IPAM plugins hand out addresses (`static` ones those that they are told), chained ones pass
// their prevResult on. They act on a FakeKernel, whose faults they share: a call that is made to
// fail does nothing and prints a CNI error. As real ones, they take a DEL of what they do not know,
// and keep by GC what is valid. Told of a device information file that is not there, they write
// one. Thread-safe.
#pragma once

#include "src/os/clock.h"
#include "src/os/process.h"
#include "tests/support/fake_kernel.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace railhead::testing_support {

struct PluginRun {
  std::string type;
  std::string command;
  std::map<std::string, std::string> environment;
  std::string input;
};

class FakePlugins final : public os::ProcessRunner {
 public:
  enum class Kind { kInterface, kIpam, kStatic, kChained };

  // `kernel` outlives this.
  explicit FakePlugins(FakeKernel& kernel) : kernel_(kernel) {}

  // Puts the executable where `folder` is.
  void install(const std::string& type, Kind kind, const std::string& folder = "/opt/cni/bin");
  // What the type's ADD prints from now on, instead of what it would.
  void answer(const std::string& type, const std::string& output);
  // Every call of this type with this command exits 1 with this output; an empty one heals it.
  void fail(const std::string& type, const std::string& command, const std::string& output);

  // Calls of this type with this command take so long on `clock`, or end at their deadline.
  void slow(const std::string& type, const std::string& command, os::Clock& clock,
            std::chrono::milliseconds duration);
  // Calls of this type with this command wait until letGo().
  void hold(const std::string& type, const std::string& command);
  void letGo();
  bool waitUntilHeld();  // that one waits; false after 20 s

  std::vector<PluginRun> runs() const;  // of all calls that were made, failing ones too
  void forgetRuns();
  // What plugins hold now, one line each: must be empty after DEL.
  std::string snapshot() const;

  Result<os::ProcessResult> run(const os::ProcessSpec& spec) override;

 private:
  std::string add(const PluginRun& run, Kind kind);  // with mutex_ held; the output
  std::string address(const std::string& holder);
  void collect(const PluginRun& run);
  void describeDevice(const std::string& configuration);

  FakeKernel& kernel_;
  struct Slow {
    os::Clock* clock;
    std::chrono::milliseconds duration;
  };
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Slow> slow_;  // by "type command"
  std::string holding_;               // "type command"
  bool waits_ = false;
  std::map<std::string, Kind> kinds_;
  std::map<std::string, std::string> answers_;
  std::map<std::string, std::string> failures_;  // by "type command"
  std::set<std::string> held_;                   // "type container/ifname"
  std::map<std::string, int> addresses_;         // by holder
  std::vector<PluginRun> runs_;
};

}  // namespace railhead::testing_support
