// The grammar of NCCL's log, one line at a time: what stands in front of a message, and the forms
// of those messages that tell something about the data path. Read in NCCL's sources from 2.18 to
// 2.30, and in logs of 2.31 and of AMD's RCCL; a message of another form is not guessed at. Pure
// functions over views into the line.
//
// A line is   [what mpirun, kubectl, torchrun or a clock put there] host:pid:tid [cudaDev] NCCL
// INFO text   The number in brackets is the process's CUDA device, not the rank.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::verify {

enum class LogLevel { kVersion, kInfo, kWarn };

struct LogMessage {
  std::string_view host;  // empty when the line does not say
  std::uint64_t pid = 0;
  std::uint64_t tid = 0;
  LogLevel level = LogLevel::kInfo;
  std::string_view text;
  // False when another message begins before the line ends, or the line has no end: then what the
  // text lacks cannot be known.
  bool whole = true;
};

// Takes terminal colours and a carriage return at the end out of `line`.
void stripDecoration(std::string& line);

// Takes Ray's " [repeated 14x across cluster]" and what follows it off `line`. True: it was there,
// and as many lines that differ in numbers alone were left out.
bool stripRepeats(std::string& line);

// Calls `take` for each message in a line. `terminated`: the line ended with a newline and is
// complete. Lines of other programs have none. A run of spaces before the next message's origin
// ends a line, too.
void forEachMessage(std::string_view line, bool terminated,
                    const std::function<void(const LogMessage&)>& take);

enum class Side { kSend, kReceive };
enum class Medium { kNet, kP2p, kShm, kCollNet };

// "Channel 00/0 : 0[0] -> 1[0] [receive] via NET/IB/0(2)/GDRDMA(PCI)/flush=None/Shared"
struct ChannelLine {
  int channel = 0;
  int from = 0;             // ranks of the communicator, which the line does not name
  int to = -1;              // -1 for kCollNet: the network itself
  Side side = Side::kSend;  // who wrote it; P2P and SHM are told by the sender alone
  Medium medium = Medium::kNet;
  std::string_view carrier;  // "IB", "Socket", "IBext_v10"; "IPC", "CUMEM"; "direct/direct"
  int device = -1;           // the net's device; -1 where there is none
  int proxyRank = -1;        // whose NIC it is (PXN); -1: the own one
  bool gdr = false;
  bool gdrOverPci = false;  // not over the CPU's own link to the GPU
  bool shared = false;
};

// Core's own verbs transport and the NGC plugin's, which calls itself "IBext_v8" or "NCCL RDMA
// Plugin v10". Others may go over anything.
bool isVerbs(std::string_view carrier);

// kNone: not about a channel's path. kOld: as before 2.7, "Ring 00 : 35 -> 34 [send] via NET/IB/0",
// which is not read further.
enum class ChannelForm { kNone, kWhole, kDamaged, kOld };

// kDamaged: it begins like one and is none of the known forms: torn, cut or newer than we know.
ChannelForm parseChannel(const LogMessage& message, ChannelLine& line);

// "ncclCommInitRank comm 0x7f rank 0 nranks 2 ... commId 0x9a - Init START"
struct InitLine {
  std::uint64_t comm = 0;  // the process's own pointer
  int rank = 0;
  int rankCount = 0;
  std::optional<std::uint64_t> commId;  // the same on every rank; absent for a split from 2.23 on
  std::uint64_t parent = 0;             // 0: not split from another
  std::int64_t splitCount = 0;
  std::int64_t color = 0;
  bool complete = false;  // false: it starts
};
std::optional<InitLine> parseInit(std::string_view text);

// "NET/IB : Using [0]mlx5_0:1/RoCE [1]mlx5_1:1/RoCE [RO]; OOB eth0:10.0.0.1<0>": the devices behind
// NET/IB/0 and NET/IB/1. A merged one has several names.
struct NetDevice {
  int index = 0;
  std::vector<std::string> names;
};
// Empty when it is no such message. NCCL cuts a message at 1023 bytes; a device cut in two is left
// out.
std::vector<NetDevice> parseNetDevices(std::string_view text);
// "NET/IB : Made virtual device [4] name=mlx5_0+mlx5_1 speed=400000 ndevs=2"
std::optional<NetDevice> parseVirtualDevice(std::string_view text);

// What a log says of GPUDirect RDMA beside its channels. None of it decides anything: the NIC-side
// lines ("enabled for HCA") speak of the NIC alone, those for a GPU were reworded twice and are
// gone from 2.30.
struct GdrClaim {
  bool aboutGpu = false;
  bool enabled = false;
  std::string_view text;
};
std::optional<GdrClaim> parseGdrClaim(std::string_view text);

// "Connected all rings", since 2.24 with ", use ring PXN 0 GDR 1".
struct RingsLine {
  std::optional<bool> gdr;  // an AND over the ranks
};
std::optional<RingsLine> parseRings(std::string_view text);

// "AllReduce: 8388608 Bytes -> Algo RING proto SIMPLE channel{Lo..Hi}={0..3}", before 2.24 with
// numbers and without channels, before 2.23 without the function.
struct TuningLine {
  std::string_view function;  // may be empty
  std::uint64_t bytes = 0;
  std::string_view algorithm;  // "RING"
  std::string_view protocol;   // "LL128"
  int channels = 0;            // 0: not told
};
std::optional<TuningLine> parseTuning(std::string_view text);

// "NCCL_NET_GDR_LEVEL set by environment to SYS"
struct SettingLine {
  std::string_view name;
  std::string_view value;
};
std::optional<SettingLine> parseSetting(std::string_view text);

// The word after `before` when `text` begins with it: "Using network IB". Empty: it does not.
std::string_view wordAfter(std::string_view text, std::string_view before);

}  // namespace railhead::verify
