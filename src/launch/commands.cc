#include "src/launch/commands.h"

#include <random>

namespace railhead::launch {
namespace {

constexpr char kEndsWithUs[] = "--until-stdin-ends";

std::map<std::string, std::string> environmentOf(int rank, int ranks, int localRank,
                                                 const std::string& node,
                                                 const RankProgram& program,
                                                 const std::string& master) {
  auto out = program.environment;
  out["RANK"] = std::to_string(rank);
  out["WORLD_SIZE"] = std::to_string(ranks);
  out["LOCAL_RANK"] = std::to_string(localRank);
  out["MASTER_ADDR"] = program.masterAddress.empty() ? master : program.masterAddress;
  out["MASTER_PORT"] = std::to_string(program.masterPort);
  out["RAILHEAD_TOKEN"] = program.token;
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
    out.push_back({rank, "localhost", program.argv,
                   environmentOf(rank, ranks, rank, "localhost", program, "127.0.0.1")});
  }
  return out;
}

std::vector<RankCommand> sshCommands(const std::vector<std::string>& hosts,
                                     const RankProgram& program) {
  std::vector<RankCommand> out;
  const int ranks = static_cast<int>(hosts.size());
  for (int rank = 0; rank < ranks; ++rank) {
    const std::string& host = hosts[static_cast<std::size_t>(rank)];
    const std::string node = nameOf(host);
    std::string remote = "exec env";
    for (const auto& [name, value] :
         environmentOf(rank, ranks, 0, node, program, nameOf(hosts.front()))) {
      remote += " " + shellQuoted(name + "=" + value);
    }
    for (const auto& word : program.argv) remote += " " + shellQuoted(word);
    remote += std::string(" ") + kEndsWithUs;
    out.push_back(
        {rank, node, {"ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", host, remote}, {}});
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
