// What a run's NCCL logs tell of the data path: any number of ranks, processes and files, in any
// pieces, in bounded memory. Nothing is believed beyond what a whole line says: a line that is
// torn, glued to another or without an end counts as damaged and is no evidence.
//
// Not thread-safe; no I/O: the caller feeds bytes from files, pipes or kubectl.
#pragma once

#include "src/verify/nccl_line.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace railhead::verify {

// One way that channels of a rank pair take. Equal lines are one of these.
struct ChannelPath {
  Medium medium = Medium::kNet;
  std::string carrier;
  int device = -1;
  int proxyRank = -1;
  bool gdr = false;
  bool gdrOverPci = false;
  std::uint64_t channels = 0;  // bit c for channel c; NCCL has at most 64
};

// How one end of a pair is connected, as the process of that end wrote it.
struct EndPaths {
  std::vector<ChannelPath> paths;        // in order of appearance; empty: no whole line
  std::optional<std::uint32_t> process;  // index into NcclLog::processes()
  bool cut = false;                      // it has more kinds of paths than are kept
};

// Bytes that rank `from` sends to rank `to`. P2P and SHM are told at the sending end alone.
struct LoggedPair {
  std::uint32_t communicator = 0;  // index into NcclLog::communicators()
  int from = 0;
  int to = 0;
  EndPaths send;
  EndPaths receive;
};

struct LoggedCommunicator {
  // False for those channels whose communicator the log does not name. `ambiguous`: their process
  // has several, so ranks of different ones may be mixed up in here.
  bool named = false;
  bool ambiguous = false;
  int rankCount = 0;                       // 0: unknown
  std::map<int, std::uint32_t> processes;  // by rank
};

// What a process says of GPUDirect RDMA beside its channels. NICs and GPUs may differ: the first of
// each kind is kept for the report.
struct LoggedClaims {
  std::size_t count = 0;
  std::string enabled, disabled;  // empty: none said so
};

struct LoggedProcess {
  std::string host;
  std::uint64_t pid = 0;
  std::string version;  // "2.28.9+cuda13.0"; empty: this process did not say
  // "Using network X", or the plugin assigned to its communicator; several when communicators
  // differ. A channel over one that neither it nor, when it told none, anybody named is damage.
  std::vector<std::string> networks;
  std::vector<NetDevice> devices;  // of "NET/IB : Using", with those NCCL made of several
  std::optional<bool> ringGdr;     // AND over the ranks, as of 2.24
  bool ringsConnected = false;
  std::map<std::string, std::string> settings;  // environment that NCCL says it obeyed
  LoggedClaims nicClaims;                       // "GPU Direct RDMA enabled for HCA": no evidence
  LoggedClaims gpuClaims;                       // the same for a GPU: unreliable
};

struct LoggedTuning {
  std::string function, algorithm, protocol;
  int channels = 0;
  std::uint64_t smallest = 0, largest = 0;  // bytes
  std::size_t count = 0;
};

// What one log may cost. More is left out and counted.
struct LogBounds {
  std::size_t line = 16384;     // bytes kept of one line; NCCL writes 1023
  std::size_t pairs = 1 << 19;  // about 200 bytes each
  std::size_t pathsPerEnd = 64;
  std::size_t processes = 1 << 16;
  std::size_t communicators = 1 << 14;
};

struct LogStatistics {
  std::uint64_t bytes = 0;
  std::uint64_t lines = 0;
  std::uint64_t messages = 0;      // of NCCL
  std::uint64_t channelLines = 0;  // whole ones
  std::uint64_t damaged = 0;       // began like a channel line and were none; torn-off flags
  std::uint64_t tornFlags = 0;     // of these: a "/GDRDMA" that no channel line in sight has lost
  std::uint64_t repeated = 0;      // each stands for others that Ray left out
  std::uint64_t oldLines = 0;      // channels as NCCL told them before 2.7, which are not read
  std::uint64_t longLines = 0;     // longer than LogBounds::line
  std::uint64_t leftOut = 0;       // channel lines of pairs beyond the bounds
  std::string firstDamaged;        // for the report, cut
};

class NcclLog {
 public:
  explicit NcclLog(LogBounds bounds = {}) : bounds_(bounds) {}

  const LogBounds& bounds() const { return bounds_; }
  const LogStatistics& statistics() const { return statistics_; }
  // Versions in order of appearance; more than one is a finding of its own.
  const std::vector<std::string>& versions() const { return versions_; }
  const std::vector<LoggedProcess>& processes() const { return processes_; }
  const std::vector<std::string>& warnings() const { return warnings_; }  // the first 32
  std::vector<LoggedTuning> tunings() const;

  // Those that the log names, and one for all channels of which it does not. Indexes may change
  // while the log grows.
  std::vector<LoggedCommunicator> communicators() const;
  // Sorted by communicator, from, to.
  std::vector<LoggedPair> pairs() const;
  // The RDMA devices behind NET/<net>/<device> of a process; empty when the log does not say.
  std::vector<std::string> devicesOf(std::uint32_t process, const ChannelPath& path) const;

 private:
  friend class NcclLogStream;
  using Key = std::array<std::int32_t, 3>;  // communicator, from, to
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  struct PackedPath {
    std::uint64_t channels = 0;
    std::int32_t proxyRank = -1;
    std::int16_t device = -1;
    std::uint16_t carrier = 0;
    std::uint8_t medium = 0;
    bool gdr = false;
    bool gdrOverPci = false;
  };
  struct PackedEnd {
    std::vector<PackedPath> paths;
    std::int64_t process = -1;
    bool cut = false;
  };
  struct PackedPair {
    PackedEnd send, receive;
  };
  struct Membership {
    std::int32_t communicator = 0;
    int rank = 0;
    int rankCount = 0;
    std::uint64_t pointer = 0;
  };
  struct ProcessState {
    std::vector<Membership> memberships;
    std::map<std::uint64_t, std::size_t> opening;  // by thread: the communicator it is making
    // Where channels of no known communicator are kept, by those of the process that it may be.
    std::map<std::vector<std::int32_t>, std::int32_t> unnamed;
  };
  struct CommunicatorState {
    LoggedCommunicator told;
    std::uint64_t identity = 0;
    std::int32_t same = -1;  // it turned out to be this one
    // Of one that is not named:
    std::vector<std::int32_t> maybe;  // the communicators it may be
    std::uint32_t process = 0;        // whose channels it has
    int highestRank = 0;              // in these
  };

  void line(std::string_view text, bool terminated);
  bool message(const LogMessage& message);  // true: a "/GDRDMA" in it has its place there
  void otherMessage(const LogMessage& message);
  void damagedLine(std::string_view text);
  void channel(const LogMessage& message, const ChannelLine& line);
  bool mayUse(const LoggedProcess& process, std::string_view network) const;
  void addPath(PackedEnd& end, const PackedPath& path) const;
  void init(const LogMessage& message, const InitLine& line);
  void processMessage(std::string_view text, LoggedProcess& process);
  void tuning(const TuningLine& line);
  std::optional<std::uint32_t> processOf(const LogMessage& message);
  std::int32_t communicatorOf(std::uint32_t process, std::uint64_t tid, const ChannelLine& line);
  std::int32_t newCommunicator(std::uint64_t identity, int rankCount, bool named);
  // For each communicator the one that it turned out to be: mostly itself.
  std::vector<std::int32_t> resolved() const;
  bool alike(const std::vector<std::int32_t>& communicators) const;
  // For each communicator the place where its channels are told, from that answer.
  std::vector<std::uint32_t> places(const std::vector<std::int32_t>& resolved) const;
  std::optional<std::uint16_t> carrierIndex(std::string_view name);
  EndPaths unpacked(const PackedEnd& end) const;

  LogBounds bounds_;
  LogStatistics statistics_;
  std::vector<std::string> versions_, warnings_, carriers_, networks_;
  std::vector<LoggedProcess> processes_;
  std::vector<ProcessState> states_;
  std::map<std::pair<std::string, std::uint64_t>, std::uint32_t> processIndex_;
  std::vector<CommunicatorState> communicators_;
  std::map<std::pair<std::uint64_t, int>, std::int32_t> communicatorIndex_;
  std::unordered_map<Key, PackedPair, KeyHash> pairs_;
  std::map<std::pair<std::string, std::string>, LoggedTuning> tunings_;
};

// One file or pipe. Several may feed the same log in turn; the log outlives them.
class NcclLogStream {
 public:
  explicit NcclLogStream(NcclLog& log) : log_(log) {}

  void feed(std::string_view bytes);
  // The stream has ended. A last line without a newline was cut: its channel is no evidence.
  void end();

 private:
  void finishLine(bool terminated);

  NcclLog& log_;
  std::string line_;
  bool tooLong_ = false;
};

}  // namespace railhead::verify
