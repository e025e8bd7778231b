#include "plugins/nccl-tuner/proof_place.h"

#include <cstdlib>

namespace railhead::nccl_tuner {
namespace {

constexpr std::uint32_t kFirstPort = 1024;
constexpr std::uint32_t kPorts = 65536;

// False when `name` is set to something else than a number from `least` to `most`, or is not set
// and `needed`.
bool numberFrom(const char* name, std::uint64_t least, std::uint64_t most, bool needed,
                std::uint64_t& number, Remark& why) {
  const char* const text = std::getenv(name);
  if (text == nullptr) {
    if (needed)
      why.say(
          "nothing proves that all ranks have this table: %s is not set, nor is "
          "RAILHEAD_TUNER_AGREED",
          name);
    return !needed;
  }
  if (readNumber(text, most, number) && number >= least) return true;
  why.say("%s is '%.40s', not a number from %llu to %llu", name, text,
          static_cast<unsigned long long>(least), static_cast<unsigned long long>(most));
  return false;
}

}  // namespace

std::uint16_t portBeside(std::uint16_t master) {
  std::uint32_t port = master + 17U;
  if (port >= kPorts) port -= kPorts - kFirstPort;
  if (port < kFirstPort) port = kFirstPort;  // a privileged master port
  return static_cast<std::uint16_t>(port);
}

bool readProofPlace(ProofPlace& place, Remark& why) {
  std::uint64_t world = 0;
  std::uint64_t rank = 0;
  std::uint64_t master = 0;
  std::uint64_t port = 0;
  std::uint64_t seconds = place.seconds;
  if (!numberFrom("WORLD_SIZE", 1, kMaxWorld, true, world, why)) return false;
  if (!numberFrom("RANK", 0, world - 1, true, rank, why)) return false;
  if (!numberFrom("RAILHEAD_TUNER_PORT", 1, 65535, false, port, why)) return false;
  if (!numberFrom("RAILHEAD_TUNER_PROOF_SECONDS", 1, 600, false, seconds, why)) return false;
  if (!numberFrom("MASTER_PORT", 1, 65535, port == 0, master, why)) return false;
  if (port == 0) port = portBeside(static_cast<std::uint16_t>(master));
  place.host = std::getenv("MASTER_ADDR");
  if (place.host == nullptr || place.host[0] == '\0') {
    why.say(
        "nothing proves that all ranks have this table: MASTER_ADDR is not set, nor is "
        "RAILHEAD_TUNER_AGREED");
    return false;
  }
  if (world < 2) {
    why.say("nothing proves that all ranks have this table: WORLD_SIZE is 1");
    return false;
  }
  place.world = static_cast<std::uint32_t>(world);
  place.rank = static_cast<std::uint32_t>(rank);
  place.port = static_cast<std::uint16_t>(port);
  place.masterPort = static_cast<std::uint16_t>(master);
  place.seconds = static_cast<std::uint32_t>(seconds);
  return true;
}

}  // namespace railhead::nccl_tuner
