#include "src/collective/checked_call.h"
#include "src/collective/nccl/nccl_communicator.h"
#include "src/nccl/debug_log.h"
#include "tests/support/gpu_check/checks.h"
#include "tests/support/gpu_check/meeting.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include <unistd.h>

namespace railhead::testing_support {
namespace {

using namespace collective;  // NOLINT(google-build-using-namespace)
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kCallTime{30};

Deadline in(std::chrono::milliseconds time) { return Clock::now() + time; }

Result<std::unique_ptr<NcclCommunicator>> connect(const RankOptions& options, Meeting& meeting) {
  if (!options.log.empty()) RAILHEAD_TRY(nccl::applyDebugLog({options.log}));
  NcclSettings settings;
  settings.cudaLibraries = {options.cudaLibrary};
  settings.ncclLibraries = {options.ncclLibrary};
  settings.device = options.device;
  settings.launch = options.launch;
  return NcclCommunicator::connect(
      options.rank, options.ranks, settings,
      [&](const std::string& own) { return meeting.gather(own); }, in(std::chrono::seconds(60)));
}

struct Buffers {
  std::unique_ptr<Buffer> send;
  std::unique_ptr<Buffer> receive;
};

Result<Buffers> allocate(Memory& memory, std::size_t bytes) {
  Buffers out;
  RAILHEAD_TRY_ASSIGN(out.send, memory.allocate(bytes));
  RAILHEAD_TRY_ASSIGN(out.receive, memory.allocate(bytes));
  return out;
}

// One call out of place with its data checked. False: this call cannot be.
Result<bool> checkOnce(Communicator& communicator, Buffers& buffers, const Call& call,
                       std::uint32_t seed) {
  if (!communicator.supports(call)) return false;
  Memory& memory = communicator.memory();
  RAILHEAD_TRY_ASSIGN(const auto plan,
                      checkedCall(call, communicator.rank(), communicator.ranks(), seed));
  RAILHEAD_TRY_ASSIGN(const CallShape shape,
                      shapeOf(call, communicator.rank(), communicator.ranks()));
  const std::size_t width = elementBytes(call.type);
  const auto shifted = [](std::vector<Expectation> parts, std::size_t by) {
    for (Expectation& part : parts) part.offset += by;
    return parts;
  };
  RAILHEAD_TRY(memory.spoil(*buffers.receive));
  auto* to = static_cast<std::byte*>(buffers.receive->data());
  const std::byte* from = static_cast<const std::byte*>(buffers.send->data());
  std::size_t result = 0;
  if (call.inPlace) {
    const std::size_t inside = shape.inPlaceOffset * width;
    const std::size_t source = shape.sendCount < shape.receiveCount ? inside : 0;
    result = shape.receiveCount < shape.sendCount ? inside : 0;
    RAILHEAD_TRY(memory.fill(*buffers.receive, shifted(plan.before, source)));
    from = to + source;
  } else {
    RAILHEAD_TRY(memory.fill(*buffers.send, plan.before));
  }
  RAILHEAD_TRY(communicator.enqueue(call, from, to + result));
  RAILHEAD_TRY(communicator.wait(in(kCallTime)));
  RAILHEAD_TRY_ASSIGN(const auto found,
                      memory.check(*buffers.receive, shifted(plan.after, result)));
  if (found.elementsWrong == 0) return true;
  return Error(ErrorCode::kCheckFailed, std::string(operationName(call.operation)) + " " +
                                            std::string(elementTypeName(call.type)) + ": " +
                                            std::to_string(found.elementsWrong) +
                                            " wrong elements, the first at byte " +
                                            std::to_string(found.firstWrong));
}

Result<Json> checkAll(Communicator& communicator, Buffers& buffers, std::size_t largest) {
  Json out = Json::object();
  std::uint32_t seed = 1;
  for (const Operation operation : allOperations()) {
    int calls = 0;
    for (const ElementType type : allElementTypes()) {
      for (const std::size_t count : {2UL, 1002UL, 1UL << 17}) {
        for (const bool inPlace : {false, true}) {
          RAILHEAD_TRY_ASSIGN(
              const bool done,
              checkOnce(communicator, buffers, {operation, type, count, 1, inPlace}, seed++));
          calls += done ? 1 : 0;
        }
      }
    }
    RAILHEAD_TRY(checkOnce(communicator, buffers,
                           {operation, ElementType::kFloat32, largest / 4, 0, false}, seed++));
    out[std::string(operationName(operation))] = calls + 1;
  }
  return out;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Median time of one all_reduce, over batches of calls with one wait each.
Result<Json> times(Communicator& communicator, Buffers& buffers, std::size_t largest) {
  Json out = Json::array();
  for (const std::size_t bytes : {8UL, 8UL << 10, 64UL << 10, 1UL << 20, 16UL << 20, 64UL << 20}) {
    if (bytes > largest) break;
    const Call call{Operation::kAllReduce, ElementType::kFloat32, bytes / 4, 0, false};
    const int batch = bytes <= (64 << 10) ? 50 : bytes <= (1 << 20) ? 10 : 1;
    std::vector<double> micros;
    for (int round = 0; round < 12; ++round) {
      const auto begin = Clock::now();
      for (int i = 0; i < batch; ++i) {
        RAILHEAD_TRY(communicator.enqueue(call, buffers.send->data(), buffers.receive->data()));
      }
      RAILHEAD_TRY(communicator.wait(in(kCallTime)));
      const std::chrono::duration<double, std::micro> spent = Clock::now() - begin;
      if (round > 1) micros.push_back(spent.count() / batch);
    }
    out.push_back(
        {{"bytes", bytes}, {"callsPerBatch", batch}, {"medianMicroseconds", median(micros)}});
  }
  return out;
}

}  // namespace

Result<Json> checkCollectives(const RankOptions& options) {
  Meeting meeting(options.meeting, options.rank, options.ranks);
  const auto begin = Clock::now();
  RAILHEAD_TRY_ASSIGN(const auto communicator, connect(options, meeting));
  const std::chrono::duration<double> joined = Clock::now() - begin;
  const auto description = communicator->describe();
  Json out{{"rank", options.rank},
           {"launch", options.launch == nccl::Launch::kDirect ? "direct" : "by thread"},
           {"nccl", description.version},
           {"library", description.library},
           {"device", description.device},
           {"told", description.transports},
           {"connectSeconds", joined.count()}};
  RAILHEAD_TRY_ASSIGN(auto buffers, allocate(communicator->memory(), options.largest));
  RAILHEAD_TRY_ASSIGN(out["checkedCalls"], checkAll(*communicator, buffers, options.largest));
  RAILHEAD_TRY_ASSIGN(out["allReduceFloat32"], times(*communicator, buffers, options.largest));
  RAILHEAD_TRY(meeting.gather("done"));
  return out;
}

Result<Json> checkFault(const RankOptions& options, bool dies) {
  Meeting meeting(options.meeting, options.rank, options.ranks);
  RAILHEAD_TRY_ASSIGN(const auto communicator, connect(options, meeting));
  RAILHEAD_TRY_ASSIGN(auto buffers, allocate(communicator->memory(), options.largest));
  const Call call{Operation::kAllReduce, ElementType::kFloat32, options.largest / 4, 0, false};
  const auto once = [&](std::chrono::milliseconds within) -> Result<void> {
    RAILHEAD_TRY(communicator->enqueue(call, buffers.send->data(), buffers.receive->data()));
    return communicator->wait(in(within));
  };
  RAILHEAD_TRY(once(kCallTime));
  RAILHEAD_TRY(meeting.gather("connected"));
  if (options.rank == options.ranks - 1) {
    if (!dies) {
      RAILHEAD_TRY(meeting.gather("did not call"));
      return Json{{"rank", options.rank}, {"did", "nothing"}};
    }
    RAILHEAD_TRY(communicator->enqueue(call, buffers.send->data(), buffers.receive->data()));
    ::kill(::getpid(), SIGKILL);
  }
  const auto begin = Clock::now();
  Result<void> ended;
  while (ended && Clock::now() - begin < std::chrono::seconds(20))
    ended = once(std::chrono::seconds(2));
  const std::chrono::duration<double> spent = Clock::now() - begin;
  if (ended) return Error(ErrorCode::kCheckFailed, "nothing was noticed");
  Json out{{"rank", options.rank},
           {"deadlineSeconds", 2},
           {"endedAfterSeconds", spent.count()},
           {"code", std::string(errorCodeName(ended.error().code))},
           {"message", ended.error().message}};
  if (!dies) RAILHEAD_TRY(meeting.gather("ended"));
  return out;
}

}  // namespace railhead::testing_support
