// The entry points that NCCL looks for, one per version of its interface. Whatever it hands over,
// the answer is success: NCCL fails the collective on anything else.
#include "plugins/nccl-tuner/process_tuner.h"

namespace railhead::nccl_tuner {
namespace {

// NCCL closes a plugin with its last communicator and opens it again with the next; the file is
// linked to stay loaded (-z nodelete), so that what the process has proven lasts as long as it.
constinit ProcessTuner tuner;

abi::Return openV3(std::size_t ranks, std::size_t nodes, abi::Logger log, void** context) {
  if (context != nullptr) *context = const_cast<void*>(tuner.open(ranks, nodes, log));
  return abi::kSuccess;
}

abi::Return openV5(void** context, std::uint64_t, std::size_t ranks, std::size_t nodes,
                   abi::Logger log, void*, void*) {
  return openV3(ranks, nodes, log, context);
}

abi::Return decideV4(void* context, int collective, std::size_t bytes, int, float** costs,
                     int algorithms, int protocols, int, int* channels) {
  tuner.decide(context, {.collective = collective,
                         .bytes = bytes,
                         .costs = reinterpret_cast<float*>(costs),
                         .algorithms = algorithms,
                         .protocols = protocols,
                         .channels = channels});
  return abi::kSuccess;
}

abi::Return decideV3(void* context, int collective, std::size_t bytes, int pipelined, float** costs,
                     int algorithms, int protocols, int* channels) {
  return decideV4(context, collective, bytes, pipelined, costs, algorithms, protocols, 0, channels);
}

abi::Return close(void*) { return abi::kSuccess; }  // a context is a place in the table

constexpr char kName[] = "railhead";

}  // namespace
}  // namespace railhead::nccl_tuner

#define RAILHEAD_EXPORT extern "C" __attribute__((visibility("default")))
RAILHEAD_EXPORT railhead::nccl_tuner::abi::TunerV3 ncclTunerPlugin_v3;
RAILHEAD_EXPORT railhead::nccl_tuner::abi::TunerV4 ncclTunerPlugin_v4;
RAILHEAD_EXPORT railhead::nccl_tuner::abi::TunerV5 ncclTunerPlugin_v5;
RAILHEAD_EXPORT railhead::nccl_tuner::abi::TunerV6 ncclTunerPlugin_v6;
#undef RAILHEAD_EXPORT

namespace mine = railhead::nccl_tuner;
mine::abi::TunerV3 ncclTunerPlugin_v3{mine::kName, mine::openV3, mine::decideV3, mine::close};
mine::abi::TunerV4 ncclTunerPlugin_v4{mine::kName, mine::openV3, mine::decideV4, mine::close};
mine::abi::TunerV5 ncclTunerPlugin_v5{mine::kName, mine::openV5, mine::decideV4, mine::close};
mine::abi::TunerV6 ncclTunerPlugin_v6{mine::kName, mine::openV5, mine::decideV4, mine::close,
                                      nullptr};
