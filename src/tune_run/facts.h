// What the ranks are and stand on: the fabric that a profile is of, and the platform that a space
// of settings is for. Pure functions; value types.
#pragma once

#include "src/base/result.h"
#include "src/tune/profile.h"
#include "src/tune/space.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::tune {

struct RankFacts {
  std::string node;                // the same for ranks of one node
  std::string backend;             // "nccl" or "host"
  std::string version;             // of NCCL: "2.28.9"
  std::string gpu;                 // its name; empty: none in use
  std::vector<std::string> hcas;   // RDMA devices that carry
  std::vector<std::string> nics;   // of each, vendor:device, or "soft-roce"
  std::vector<std::string> links;  // of each, its rate, or "unknown"
  std::uint64_t mtu = 0;           // of the netdevs below, bytes
  std::uint64_t rails = 1;         // that it can use at once
  bool overSockets = false;
  bool hasGdr = false;
  bool isIntegratedGpu = false;
  std::string noChoices;  // why choices by size cannot be switched here; empty: they can

  bool operator==(const RankFacts&) const = default;
};
std::string encode(const RankFacts& facts);  // JSON
Result<RankFacts> decodeFacts(std::string_view json);

struct GangFacts {
  Fingerprint fabric;
  Platform platform;
  std::string backend;
  std::string noChoices;  // of the first rank that has one

  Space space() const;  // without choices by size where they cannot be switched
};
// kCheckFailed: nodes that differ, which one profile cannot be of; names the field.
Result<GangFacts> factsOf(const std::vector<RankFacts>& ranks);

}  // namespace railhead::tune
