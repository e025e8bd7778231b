#include "src/collective/world.h"

#include "src/base/text.h"

#include <array>
#include <cstdlib>
#include <initializer_list>

#include <unistd.h>

namespace railhead::collective {
namespace {

struct Variable {
  std::string name;
  std::string value;
};

std::optional<Variable> firstOf(const EnvironmentLookup& environment,
                                std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (auto value = environment(name)) return Variable{name, *value};
  }
  return std::nullopt;
}

Result<int> numberOf(const std::optional<Variable>& variable, const char* wanted, int low,
                     int high) {
  const std::string range =
      "expected a number from " + std::to_string(low) + " to " + std::to_string(high);
  if (!variable) {
    return Error(
        ErrorCode::kInvalidArgument, std::string(wanted) + " is not set: " + range,
        "start this as a rank (torchrun, srun, an Indexed Job), or choose where with --on");
  }
  const auto number = parseUnsigned(variable->value);
  if (!number || *number < static_cast<std::uint64_t>(low) ||
      *number > static_cast<std::uint64_t>(high)) {
    return Error(ErrorCode::kInvalidArgument,
                 variable->name + "=" + inQuotes(variable->value) + ": " + range);
  }
  return static_cast<int>(*number);
}

Result<std::string> lineOf(const EnvironmentLookup& environment, const char* name,
                           std::size_t limit) {
  std::string text = environment(name).value_or("");
  if (text.size() > limit || text.find('\n') != std::string::npos) {
    return Error(ErrorCode::kInvalidArgument, std::string(name) + "=" + inQuotes(text) +
                                                  ": expected one line of at most " +
                                                  std::to_string(limit) + " bytes");
  }
  return text;
}

std::string hostName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

}  // namespace

EnvironmentLookup processEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

bool isRank(const EnvironmentLookup& environment) {
  return firstOf(environment, {"RANK", "JOB_COMPLETION_INDEX", "SLURM_PROCID"}).has_value() &&
         firstOf(environment, {"WORLD_SIZE", "SLURM_NTASKS"}).has_value();
}

Result<World> worldFrom(const EnvironmentLookup& environment) {
  World world;
  RAILHEAD_TRY_ASSIGN(world.ranks, numberOf(firstOf(environment, {"WORLD_SIZE", "SLURM_NTASKS"}),
                                            "WORLD_SIZE", 1, kMaxRanks));
  RAILHEAD_TRY_ASSIGN(
      world.rank, numberOf(firstOf(environment, {"RANK", "JOB_COMPLETION_INDEX", "SLURM_PROCID"}),
                           "RANK", 0, world.ranks - 1));
  if (const auto local = firstOf(environment, {"LOCAL_RANK", "SLURM_LOCALID"})) {
    RAILHEAD_TRY_ASSIGN(world.localRank, numberOf(local, "LOCAL_RANK", 0, world.ranks - 1));
  }
  RAILHEAD_TRY_ASSIGN(auto address, lineOf(environment, "MASTER_ADDR", 253));
  if (!address.empty()) world.masterAddress = std::move(address);
  if (world.ranks > 1) {
    RAILHEAD_TRY_ASSIGN(const int port,
                        numberOf(firstOf(environment, {"MASTER_PORT"}), "MASTER_PORT", 1, 65535));
    world.masterPort = static_cast<std::uint16_t>(port);
  }
  RAILHEAD_TRY_ASSIGN(world.token, lineOf(environment, "RAILHEAD_TOKEN", 128));
  RAILHEAD_TRY_ASSIGN(world.node, lineOf(environment, "RAILHEAD_NODE", 253));
  if (world.node.empty()) world.node = hostName();
  return world;
}

}  // namespace railhead::collective
