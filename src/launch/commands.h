// The commands that become the ranks of a gang, for the places this machine reaches by itself or by
// ssh. Pure; the environment is the usual one (src/collective/world.h reads it).
#pragma once

#include "src/launch/gang.h"
#include "src/launch/placement.h"

#include <cstdint>
#include <string>
#include <vector>

namespace railhead::launch {

// What ssh ends with when it cannot reach a host.
inline constexpr int kSshFailed = 255;
// And what to do about that.
inline constexpr const char* kTrySsh = "check that `ssh HOST true` works without a question";

struct RankProgram {
  std::vector<std::string> argv;                   // the same for every rank
  std::map<std::string, std::string> environment;  // beside RANK and its kin
  std::string masterAddress;  // empty: the first host's name, or 127.0.0.1 for local ranks
  std::uint16_t masterPort = 0;
  std::string token;
  std::vector<std::string> operands = {};  // behind argv and every option that a launcher adds
  int ranksPerNode = 1;                    // of hosts; local ranks share one node
  bool watchesInput = false;               // local ranks, as in RankCommand; those by ssh always do
};

std::vector<RankCommand> localCommands(int ranks, const RankProgram& program);

// So many ranks on each host, in the order of the hosts, by `ssh -o BatchMode=yes`. The far program
// is started with --until-stdin-ends, so that it ends when ssh, or this machine, is gone. The token
// is the first line of each one's input.
std::vector<RankCommand> sshCommands(const std::vector<std::string>& hosts,
                                     const RankProgram& program);

// The word as a POSIX shell reads it back.
std::string shellQuoted(const std::string& word);

// A token that nobody else has.
std::string newToken();

}  // namespace railhead::launch
