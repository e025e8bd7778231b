// What the two ends of a verbs benchmark say to each other over the channel: JSON objects with
// bounded fields, as values here. Decoding never trusts the peer: kCorrupt names field and value.
//
//   connector                          listener
//   Hello (plan, its rails)      ->
//                                <-    Welcome (its rails, in the connector's order) or Refusal
//   Command                      ->
//                                <-    Reply (kEcho answers twice: ready, then finished; kReceive
//                                      says ready, then nothing unless it fails: a word in the
//                                      middle of the traffic could overtake it)
//   ... Command kFinish ends it.
#pragma once

#include "src/base/ip.h"
#include "src/base/result.h"
#include "src/bench/environment.h"
#include "src/bench/pattern.h"
#include "src/bench/transfer_memory.h"
#include "src/bench/verbs_plan.h"
#include "src/verbs/types.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::bench {

struct PairOffer {
  std::uint32_t number = 0;  // 24 bits
  std::uint32_t psn = 0;     // 24 bits
};

// What a peer must know to move bytes over one rail.
struct RailOffer {
  std::string device;
  std::string netdev;
  verbs::Gid gid;
  int prefixLength = 0;  // of the GID's address; 0 unknown
  int mtu = 0;           // active, bytes
  TransferMemory memory = TransferMemory::kHost;
  int readsInFlight = 1;  // that its device answers and asks at a time
  std::uint64_t address = 0;
  std::uint32_t key = 0;
  std::uint64_t sourceAddress = 0;
  std::uint32_t sourceKey = 0;
  std::uint64_t bytes = 0;  // writable from `address` on, and readable from `sourceAddress` on
  std::vector<PairOffer> pairs;
};

struct Hello {
  VerbsPlan plan;
  std::vector<RailOffer> rails;
};

struct Welcome {
  std::vector<RailOffer> rails;
  Environment environment;
};

enum class CommandKind {
  kPrepare,  // fill the rail's receive memory with the inverse of the pattern, post receives
  kReceive,  // take the sends that arrive on every prepared rail, up to their fences
  kVerify,   // wait for the fences of every queue pair, compare: the load's slots, a guard behind
  kPush,     // write or send the pattern in every slot once to the peer, then the fences
  kOffer,    // fill the slots with the pattern, to be read
  kPull,     // read every slot of the peer's once and compare
  kEcho,     // answer latency messages until the last
  kFinish,   // over; `failure` says what the connector found wrong, if anything
};

struct Command {
  CommandKind kind = CommandKind::kFinish;
  std::size_t rail = 0;
  std::uint64_t seed = 0;
  // The load: its slots are all that moves. 0 where none is needed.
  std::uint64_t messageBytes = 0;
  int outstanding = 0;
  std::string failure;

  VerbsLoad load() const { return {messageBytes, outstanding, 0}; }
};

struct Reply {
  std::optional<Error> error;        // the step itself failed
  std::optional<Mismatch> mismatch;  // kVerify or kPull found wrong bytes
};

std::string encode(const Hello& hello);
std::string encode(const Welcome& welcome);
std::string encodeRefusal(const Error& error);
std::string encode(const Command& command);
std::string encode(const Reply& reply);

Result<Hello> decodeHello(std::string_view text);
Result<Welcome> decodeWelcome(std::string_view text);  // a Refusal comes back as its Error
Result<Command> decodeCommand(std::string_view text);
Result<Reply> decodeReply(std::string_view text);

}  // namespace railhead::bench
