// Each case in a process of its own: what is given up does not come back.
#include "src/os/capabilities.h"

#include "src/os/process.h"

#include <cstdint>
#include <map>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::os {
namespace {

std::uint64_t bit(Capability capability) {
  return std::uint64_t{1} << static_cast<int>(capability);
}

// The Cap... and NoNewPrivs lines of a program that this process executes.
std::map<std::string, std::uint64_t> ofExecuted() {
  std::map<std::string, std::uint64_t> values;
  const auto ran = SystemProcessRunner().run({.argv = {"cat", "/proc/self/status"}});
  if (!ran.has_value()) return values;
  std::istringstream lines(ran->output);
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(':');
    if (line.starts_with("Cap") || line.starts_with("NoNewPrivs"))
      values[line.substr(0, colon)] = std::stoull(line.substr(colon + 1), nullptr, 16);
  }
  return values;
}

// Runs `body` in a child process; its answer is the exit code.
int inChild(int (*body)()) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Capabilities, ExecutedProgramsHaveWhatIsKeptAndNoMore) {
  EXPECT_EQ(
      inChild([] {
        const auto before = ofExecuted();
        const auto kept = keepOnlyCapabilities({Capability::kNetAdmin, Capability::kSysAdmin});
        if (!kept.has_value()) return 1;
        auto after = ofExecuted();
        const std::uint64_t wanted =
            before.at("CapEff") & (bit(Capability::kNetAdmin) | bit(Capability::kSysAdmin));
        std::uint64_t told = 0;
        for (const auto capability : *kept) told |= bit(capability);
        if (told != wanted) return 2;
        if (after["CapEff"] != wanted || after["CapPrm"] != wanted) return 3;
        if (after["CapInh"] != 0 || after["CapAmb"] != 0) return 4;
        return after["NoNewPrivs"] == 1 ? 0 : 5;
      }),
      0);
}

TEST(Capabilities, WhatIsGivenUpDoesNotComeBack) {
  EXPECT_EQ(inChild([] {
              if (!keepOnlyCapabilities({}).has_value()) return 1;
              const auto again = keepOnlyCapabilities({Capability::kNetAdmin});
              if (!again.has_value() || !again->empty()) return 2;
              return ofExecuted()["CapEff"] == 0 ? 0 : 3;
            }),
            0);
}

TEST(Capabilities, HaveNames) {
  EXPECT_EQ(capabilityName(Capability::kNetAdmin), "CAP_NET_ADMIN");
  EXPECT_EQ(capabilityName(Capability::kNetBindService), "CAP_NET_BIND_SERVICE");
}

}  // namespace
}  // namespace railhead::os
