// What one rank tells of itself after it has moved data: its hardware, its counters, its backend's
// own words, its data check. Travels as JSON from each rank to rank 0, which judges. Untrusted when
// read back: bounded, kCorrupt names the field.
#pragma once

#include "src/base/result.h"
#include "src/verify/facts.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::verify {

struct RankAccount {
  int rank = 0;
  std::string node;
  std::string device;   // "NVIDIA H200"; empty: host memory
  std::string backend;  // "nccl 2.28.3"
  bool hostBuffers = false;
  bool softwareNic = false;
  std::optional<GpuAttributes> gpu;
  std::optional<bool> peermem;
  std::optional<ProbeResult> probe;
  MovedBytes sent;      // to the next rank, while the data moved
  MovedBytes received;  // from the previous one
  std::uint64_t retransmits = 0;
  std::vector<std::string> railsAvailable;  // RDMA devices of this rank
  std::vector<std::string> railsOpened;     // by the host backend; empty: sockets
  std::string log;                          // the lines of NCCL's log that count as evidence
  std::string topology;                     // NCCL's dump of it; may be empty
  std::optional<double> ceilingGbps;        // of all rails together
  std::string ceilingExplanation;
  std::uint64_t bytesMoved = 0;    // payload to the next rank while the counters ran
  double seconds = 0;              // that it took
  std::uint64_t bytesChecked = 0;  // of what came from the previous rank
  std::uint64_t elementsWrong = 0;
  std::vector<std::string> notes;  // what could not be read, and why

  std::string name() const;  // "rank 0 (spark-a)"
};

std::string toJson(const RankAccount& account);
Result<RankAccount> parseAccount(std::string_view json);

inline constexpr std::size_t kMaxEvidenceLines = 1 << 20;

// Of a log, the lines that NcclLog looks at, at most `most` bytes of them: the earliest ones.
std::string evidenceLines(std::string_view log, std::size_t most);

}  // namespace railhead::verify
