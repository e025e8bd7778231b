#include "src/launch/commands.h"

#include <random>

namespace railhead::launch {
namespace {

constexpr char kEndsWithUs[] = "--until-stdin-ends";
// No questions, and an end in seconds where a host does not answer, or does so no more.
constexpr const char* kSshOptions[] = {"BatchMode=yes", "ConnectTimeout=10",
                                       "ServerAliveInterval=5", "ServerAliveCountMax=3"};
constexpr char kToken[] = "RAILHEAD_TOKEN";
// Words of a command can be read by every user of either machine: the token comes as the first line
// of the input, of which a shell's read takes no byte more.
constexpr char kTakesToken[] =
    "sh -c 'IFS= read -r RAILHEAD_TOKEN; export RAILHEAD_TOKEN; exec \"$@\"' sh";

struct Seat {
  int rank = 0;
  int ranks = 0;
  int localRank = 0;
  int localRanks = 1;
};

std::map<std::string, std::string> environmentOf(const Seat& seat, const std::string& node,
                                                 const RankProgram& program,
                                                 const std::string& master) {
  auto out = program.environment;
  out["RANK"] = std::to_string(seat.rank);
  out["WORLD_SIZE"] = std::to_string(seat.ranks);
  out["LOCAL_RANK"] = std::to_string(seat.localRank);
  out["LOCAL_WORLD_SIZE"] = std::to_string(seat.localRanks);
  out["MASTER_ADDR"] = program.masterAddress.empty() ? master : program.masterAddress;
  out["MASTER_PORT"] = std::to_string(program.masterPort);
  out[kToken] = program.token;
  out["RAILHEAD_NODE"] = node;
  return out;
}

// "user@host" or "[fd00::1]" without what is not its name.
std::string nameOf(const std::string& destination) {
  std::string name = destination.substr(destination.find('@') + 1);
  if (name.size() > 2 && name.front() == '[' && name.back() == ']')
    name = name.substr(1, name.size() - 2);
  return name;
}

}  // namespace

std::vector<RankCommand> localCommands(int ranks, const RankProgram& program) {
  std::vector<RankCommand> out;
  for (int rank = 0; rank < ranks; ++rank) {
    auto& command = out.emplace_back();
    command.rank = rank;
    command.node = "localhost";
    command.argv = program.argv;
    command.argv.insert(command.argv.end(), program.operands.begin(), program.operands.end());
    command.environment =
        environmentOf({rank, ranks, rank, ranks}, command.node, program, "127.0.0.1");
    command.watchesInput = program.watchesInput;
  }
  return out;
}

std::vector<RankCommand> sshCommands(const std::vector<std::string>& hosts,
                                     const RankProgram& program) {
  std::vector<RankCommand> out;
  const int local = program.ranksPerNode;
  const int ranks = static_cast<int>(hosts.size()) * local;
  for (int rank = 0; rank < ranks; ++rank) {
    const std::string& host = hosts[static_cast<std::size_t>(rank / local)];
    const std::string node = nameOf(host);
    auto environment =
        environmentOf({rank, ranks, rank % local, local}, node, program, nameOf(hosts.front()));
    environment.erase(kToken);
    std::string remote = "exec env";
    for (const auto& [name, value] : environment) {
      remote += " " + shellQuoted(name + "=" + value);
    }
    remote += std::string(" ") + kTakesToken;
    for (const auto& word : program.argv) remote += " " + shellQuoted(word);
    remote += std::string(" ") + kEndsWithUs;
    for (const auto& word : program.operands) remote += " " + shellQuoted(word);
    auto& command = out.emplace_back();
    command.rank = rank;
    command.node = node;
    command.argv = {"ssh"};
    for (const char* option : kSshOptions) command.argv.insert(command.argv.end(), {"-o", option});
    command.argv.insert(command.argv.end(), {host, remote});
    command.input = program.token + "\n";
    command.watchesInput = true;
  }
  return out;
}

std::string shellQuoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string newToken() {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::random_device random;
  std::string out;
  for (int i = 0; i < 32; ++i) out += kDigits[random() % 16];
  return out;
}

}  // namespace railhead::launch
