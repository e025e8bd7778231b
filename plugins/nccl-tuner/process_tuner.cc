#include "plugins/nccl-tuner/process_tuner.h"

#include "plugins/nccl-tuner/proof.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace railhead::nccl_tuner {
namespace {

class Held {
 public:
  explicit Held(pthread_mutex_t& mutex) : mutex_(mutex) { ::pthread_mutex_lock(&mutex_); }
  ~Held() { ::pthread_mutex_unlock(&mutex_); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

const char* environment(const char* name) {  // null when it is empty, too
  const char* const value = std::getenv(name);
  return value == nullptr || value[0] == '\0' ? nullptr : value;
}

template <typename T>
bool aligned(const T* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % alignof(T) == 0;
}

// HASH, or HASH:DIGEST with the digest of the file's bytes as 16 hexadecimal digits.
bool isAgreed(const char* agreed, const TableIdentity& table) {
  char whole[sizeof table.hash + 17];
  std::snprintf(whole, sizeof whole, "%s:%016" PRIx64, table.hash, table.bytes);
  return std::strcmp(agreed, table.hash) == 0 || std::strcmp(agreed, whole) == 0;
}

bool isChoice(const LiveChoice& live) {
  return live.algorithm < abi::kAlgorithms && live.protocol < abi::kProtocols &&
         live.channels <= kMaxChannels && (live.channels == 0 || takesChannels(live.algorithm));
}

}  // namespace

void apply(const Choice& choice, const Decision& decision) {
  if (decision.costs == nullptr || !aligned(decision.costs)) return;
  if (decision.protocols != abi::kProtocols || decision.algorithms > abi::kAlgorithms) return;
  if (choice.algorithm >= decision.algorithms || choice.protocol >= decision.protocols) return;
  if (choice.channels > 0 && (decision.channels == nullptr || !aligned(decision.channels))) return;
  float& cost = decision.costs[choice.algorithm * abi::kProtocols + choice.protocol];
  if (!(cost >= 0.0F)) return;  // -1: this communicator cannot; and what is no number
  cost = 0.0F;
  if (choice.channels > 0) *decision.channels = choice.channels;
}

const void* ProcessTuner::open(std::size_t ranks, std::size_t nodes, abi::Logger log) {
  Remark told;
  const void* context = nullptr;
  {
    const Held held(mutex_);
    context = admit(ranks, nodes, told);
  }
  if (log != nullptr)
    log(abi::kLogInfo, abi::kSubsystemInit | abi::kSubsystemTuning, "nccl-tuner", 0,
        "railhead tuner: %s", told.text);
  return context;
}

const void* ProcessTuner::admit(std::size_t ranks, std::size_t nodes, Remark& told) {
  if (ranks < 2) {
    told.say("off: a communicator of one rank has nothing to tune");
    return nullptr;
  }
  if (standing_ == Standing::Unknown)
    begin(ranks);
  else if (standing_ == Standing::Refused && ranks == world_)
    proveWorld(Objection::EarlierComm);

  if (standing_ == Standing::Live) {
    told.say("on: live choices for %zu ranks on %zu nodes", ranks, nodes);
    return live_;
  }
  if (standing_ != Standing::Agreed && standing_ != Standing::Proven) {
    told.say("off: %s", why_.text);
    return nullptr;
  }
  if (standing_ == Standing::Proven && ranks > world_) {
    told.say("off: %zu ranks are more than the %u that have proven their table", ranks, world_);
    return nullptr;
  }
  const auto* shape = table_.find(ranks, nodes);
  if (shape == nullptr)
    told.say("off: table %.12s has no line for %zu ranks on %zu nodes", table_.identity().hash,
             ranks, nodes);
  else
    told.say("on: table %.12s, %s, %u of its %zu lines for %zu ranks on %zu nodes",
             table_.identity().hash, standing_ == Standing::Agreed ? "agreed" : "proven",
             shape->lines(), table_.lines(), ranks, nodes);
  return shape;
}

void ProcessTuner::begin(std::size_t ranks) {
  standing_ = Standing::Off;
  if (const char* const path = environment("RAILHEAD_TUNER_LIVE"); path != nullptr) {
    live_ = mapLiveFile(path, why_);
    if (live_ != nullptr) standing_ = Standing::Live;
    return;
  }
  const char* const path = environment("RAILHEAD_TUNER_TABLE");
  if (!readTableFile(path != nullptr ? path : kDefaultTable, table_, why_)) return;
  if (const char* const agreed = environment("RAILHEAD_TUNER_AGREED"); agreed != nullptr) {
    const auto& own = table_.identity();
    if (isAgreed(agreed, own))
      standing_ = Standing::Agreed;
    else if (std::strncmp(agreed, own.hash, sizeof own.hash - 1) == 0)
      why_.say("the ranks agreed on %.100s, and this rank's table has the digest %016" PRIx64,
               agreed, own.bytes);
    else
      why_.say("the ranks agreed on table %.12s, and this rank has %.12s", agreed, own.hash);
    return;
  }
  ProofPlace place;
  if (!readProofPlace(place, why_)) return;
  world_ = place.world;
  if (ranks == world_) return proveWorld(Objection::None);
  standing_ = Standing::Refused;
  why_.say(
      "the first communicator has %zu ranks, not all %u: nothing proves that they have one "
      "table",
      ranks, world_);
}

void ProcessTuner::proveWorld(Objection own) {
  standing_ = Standing::Off;
  ProofPlace place;
  if (!readProofPlace(place, why_)) return;
  if (prove(place, table_.identity(), own, why_)) standing_ = Standing::Proven;
}

void ProcessTuner::decide(const void* context, const Decision& decision) const {
  if (context == nullptr) return;
  if (context == live_) {
    LiveChoice live;
    if (!readLive(*live_, live) || !isChoice(live)) return;
    apply({static_cast<std::uint8_t>(live.algorithm), static_cast<std::uint8_t>(live.protocol),
           static_cast<std::uint8_t>(live.channels)},
          decision);
    return;
  }
  const auto* shape = table_.recognize(context);
  if (shape == nullptr) return;
  if (const auto* choice = table_.choose(*shape, decision.collective, decision.bytes);
      choice != nullptr)
    apply(*choice, decision);
}

}  // namespace railhead::nccl_tuner
