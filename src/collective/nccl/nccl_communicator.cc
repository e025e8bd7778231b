#include "src/collective/nccl/nccl_communicator.h"

#include "src/collective/nccl/call_guard.h"
#include "src/collective/nccl/introduction.h"
#include "src/gpu/cuda/cuda.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <utility>

namespace railhead::collective {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kSpin{1};
// Who waits long naps longer, by a share of it that no measurement shows.
constexpr int kNapShare = 256;
constexpr std::chrono::microseconds kShortestNap{10};
constexpr std::chrono::microseconds kLongestNap{500};
constexpr std::chrono::milliseconds kHealthEvery{20};
// How long abort() waits for the calling thread to notice, and how long the device may take to
// stop.
constexpr std::chrono::milliseconds kAbortGrace{500};
constexpr std::chrono::seconds kStopGrace{5};

nccl::DataType dataType(ElementType type) {
  switch (type) {
    case ElementType::kInt8:
      return nccl::DataType::kInt8;
    case ElementType::kUint8:
      return nccl::DataType::kUint8;
    case ElementType::kInt32:
      return nccl::DataType::kInt32;
    case ElementType::kInt64:
      return nccl::DataType::kInt64;
    case ElementType::kFloat16:
      return nccl::DataType::kFloat16;
    case ElementType::kBfloat16:
      return nccl::DataType::kBfloat16;
    case ElementType::kFloat32:
      return nccl::DataType::kFloat32;
    case ElementType::kFloat64:
      return nccl::DataType::kFloat64;
  }
  return nccl::DataType::kInt8;
}

// What the environment tells NCCL about its network; the rest it finds out by itself.
std::vector<std::string> toldTransports() {
  std::vector<std::string> out;
  for (const char* name :
       {"NCCL_NET", "NCCL_NET_PLUGIN", "NCCL_IB_DISABLE", "NCCL_IB_HCA", "NCCL_SOCKET_IFNAME",
        "NCCL_NET_GDR_LEVEL", "NCCL_P2P_DISABLE", "NCCL_SHM_DISABLE", "NCCL_HOSTID"}) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets them
    if (value != nullptr) out.push_back(std::string(name) + "=" + value);
  }
  return out;
}

// What a rank needs of its own machine.
struct Local {
  std::shared_ptr<const gpu::cuda::Context> context;
  std::unique_ptr<CudaMemory> memory;
  std::unique_ptr<gpu::cuda::Stream> stream;
  std::shared_ptr<const nccl::Library> library;
};

struct Libraries {
  gpu::cuda::Cuda cuda;
  std::shared_ptr<const nccl::Library> nccl;
};

Result<Libraries> openLibraries(const NcclSettings& settings) {
  RAILHEAD_TRY_ASSIGN(const auto opening, gpu::cuda::Cuda::open(settings.cudaLibraries));
  if (!opening.cuda) {
    return Error(
        ErrorCode::kEnvironment, "no CUDA here: " + opening.absence,
        "run on a node with an NVIDIA GPU and its driver; in a pod ask for nvidia.com/gpu");
  }
  RAILHEAD_TRY_ASSIGN(auto library, nccl::Library::open(settings.ncclLibraries));
  return Libraries{*opening.cuda, std::move(library)};
}

Result<gpu::cuda::DeviceFacts> deviceFor(const gpu::cuda::Cuda& cuda,
                                         const NcclSettings& settings) {
  if (!settings.device.empty()) return cuda.device(settings.device);
  RAILHEAD_TRY_ASSIGN(const auto devices, cuda.devices());
  if (devices.empty()) return Error(ErrorCode::kEnvironment, "CUDA shows no device here");
  return devices[static_cast<std::size_t>(settings.localRank) % devices.size()];
}

Result<Local> openLocal(const NcclSettings& settings) {
  RAILHEAD_TRY_ASSIGN(const Libraries libraries, openLibraries(settings));
  RAILHEAD_TRY_ASSIGN(const auto device, deviceFor(libraries.cuda, settings));
  Local out;
  out.library = libraries.nccl;
  RAILHEAD_TRY_ASSIGN(out.context, libraries.cuda.retain(device.ordinal));
  RAILHEAD_TRY_ASSIGN(out.memory, CudaMemory::open(out.context, settings.memory));
  RAILHEAD_TRY_ASSIGN(auto stream, out.context->createStream());
  out.stream = std::make_unique<gpu::cuda::Stream>(std::move(stream));
  return out;
}

}  // namespace

std::string ncclHindrance(const NcclSettings& settings) {
  const auto libraries = openLibraries(settings);
  return libraries ? "" : libraries.error().describe();
}

NcclCommunicator::NcclCommunicator(int rank, int ranks, NcclSettings settings,
                                   std::shared_ptr<const gpu::cuda::Context> context,
                                   std::unique_ptr<CudaMemory> memory, gpu::cuda::Stream stream,
                                   std::shared_ptr<const nccl::Library> library)
    : rank_(rank),
      ranks_(ranks),
      settings_(std::move(settings)),
      context_(std::move(context)),
      memory_(std::move(memory)),
      stream_(std::move(stream)),
      library_(std::move(library)) {}

Result<std::unique_ptr<NcclCommunicator>> NcclCommunicator::connect(int rank, int ranks,
                                                                    const NcclSettings& settings,
                                                                    const Gather& gather,
                                                                    Deadline deadline) {
  auto local = openLocal(settings);
  NcclIntroduction own;
  if (local) own.version = (*local).library->version();
  if (local && rank == 0) {
    auto id = (*local).library->uniqueId();
    if (id) {
      own.id = *id;
    } else {
      local = std::move(id).error();
    }
  }
  if (!local) own.failure = local.error().describe();
  RAILHEAD_TRY_ASSIGN(const auto texts, gather(own.encode()));
  if (!local) return std::move(local).error();
  RAILHEAD_TRY_ASSIGN(const nccl::UniqueId id, agreedId(texts, ranks));

  std::unique_ptr<NcclCommunicator> out(
      new NcclCommunicator(rank, ranks, settings, (*local).context, std::move((*local).memory),
                           std::move(*(*local).stream), (*local).library));
  const gpu::cuda::Context::Current current(*out->context_);
  RAILHEAD_TRY(current.result());
  RAILHEAD_TRY_ASSIGN(out->comm_, nccl::Comm::join(out->library_, id, {rank, ranks},
                                                   settings.launch, deadline, out->stop_));
  out->guard_ = std::make_unique<CallGuard>([comm = out->comm_.get(), &stop = out->stop_] {
    stop = true;
    comm->abort();
  });
  return out;
}

NcclCommunicator::~NcclCommunicator() {
  if (guard_ == nullptr) return;
  const gpu::cuda::Context::Current current(*context_);
  if (!failure_ && current.result()) {
    const auto until = Clock::now() + settings_.leavePatience;
    const CallGuard::Busy busy(*guard_, until);
    // When it fails the communicator is aborted with comm_: nothing more can be done for the peers.
    static_cast<void>(comm_->leave(until));
  }
  guard_.reset();
  comm_.reset();
}

BackendDescription NcclCommunicator::describe() const {
  return {"nccl", library_->versionText(), library_->path(), context_->facts().name,
          toldTransports()};
}

Result<void> NcclCommunicator::supports(const Call& call) const {
  RAILHEAD_TRY(shapeOf(call, rank_, ranks_));
  return {};
}

Result<void> NcclCommunicator::broken() const {
  if (failure_) {
    return Error(ErrorCode::kUnavailable,
                 "this communicator was given up before: " + failure_->message);
  }
  return {};
}

Error NcclCommunicator::breakWith(Error error) {
  error.addContext("rank " + std::to_string(rank_));
  failure_ = error;
  comm_->abort();
  // The device stops looking for its peers now; memory can only be given back when it has.
  static_cast<void>(stream_.wait(Clock::now() + kStopGrace));
  return error;
}

Result<void> NcclCommunicator::start(const Call& call, const CallShape& shape, const void* send,
                                     void* receive) {
  const nccl::DataType type = dataType(call.type);
  void* stream = stream_.handle();
  switch (call.operation) {
    case Operation::kAllReduce:
      return comm_->allReduce(send, receive, call.count, type, stream);
    case Operation::kAllGather:
      return comm_->allGather(send, receive, shape.sendCount, type, stream);
    case Operation::kReduceScatter:
      return comm_->reduceScatter(send, receive, shape.receiveCount, type, stream);
    case Operation::kBroadcast:
      return comm_->broadcast(send, receive, call.count, type, call.root, stream);
    case Operation::kReduce:
      return comm_->reduce(send, receive, call.count, type, call.root, stream);
    case Operation::kAllToAll:
      return comm_->allToAll(static_cast<const std::byte*>(send), static_cast<std::byte*>(receive),
                             call.count / static_cast<std::size_t>(ranks_), elementBytes(call.type),
                             type, stream);
    case Operation::kSendReceive:
      return comm_->sendReceive(send, (rank_ + 1) % ranks_, receive, (rank_ + ranks_ - 1) % ranks_,
                                call.count, type, stream);
  }
  return Error(ErrorCode::kInternal, "an operation without a call of NCCL");
}

Result<void> NcclCommunicator::enqueue(const Call& call, const void* send, void* receive) {
  RAILHEAD_TRY_ASSIGN(const CallShape shape, shapeOf(call, rank_, ranks_));
  const std::lock_guard lock(inUse_);
  RAILHEAD_TRY(broken());
  const gpu::cuda::Context::Current current(*context_);
  RAILHEAD_TRY(current.result());
  const auto until = Clock::now() + settings_.callPatience;
  Result<void> started = comm_->settle(until, stop_);
  if (started) {
    const CallGuard::Busy busy(*guard_, until);
    started = start(call, shape, send, receive);
  }
  if (started) return {};
  if (Clock::now() >= until) {
    return breakWith({ErrorCode::kDeadlineExceeded,
                      std::string(operationName(call.operation)) +
                          ": NCCL did not take the call in time; a peer may be gone"});
  }
  if (stop_) return breakWith({ErrorCode::kUnavailable, "given up while NCCL took a call"});
  return breakWith(std::move(started).error());
}

Result<void> NcclCommunicator::follow(const gpu::cuda::Event& event) {
  const std::lock_guard lock(inUse_);
  RAILHEAD_TRY(broken());
  return stream_.follow(event);
}

// A communicator that starts calls from a thread of NCCL's has them on the stream when it settles.
Result<void> NcclCommunicator::mark(const gpu::cuda::Event& event) {
  const std::lock_guard lock(inUse_);
  RAILHEAD_TRY(broken());
  RAILHEAD_TRY(comm_->settle(Clock::now() + settings_.callPatience, stop_));
  return stream_.record(event);
}

Result<void> NcclCommunicator::poll(Deadline deadline) {
  RAILHEAD_TRY(comm_->settle(deadline, stop_));
  const auto begin = Clock::now();
  auto nextHealth = begin + kHealthEvery;
  while (true) {
    RAILHEAD_TRY_ASSIGN(const bool done, stream_.idle());
    if (done) return comm_->health();
    if (stop_) return Error(ErrorCode::kUnavailable, "given up while NCCL was at work");
    const auto now = Clock::now();
    if (now >= deadline) {
      return Error(ErrorCode::kDeadlineExceeded,
                   "NCCL's work did not end in time; a peer may be gone or make another call");
    }
    if (now >= nextHealth) {
      RAILHEAD_TRY(comm_->health());
      nextHealth = now + kHealthEvery;
    }
    if (now - begin < kSpin) continue;
    const auto nap =
        std::clamp<Clock::duration>((now - begin) / kNapShare, kShortestNap, kLongestNap);
    std::this_thread::sleep_for(std::min<Clock::duration>(nap, deadline - now));
  }
}

Result<void> NcclCommunicator::wait(Deadline deadline) {
  const std::lock_guard lock(inUse_);
  RAILHEAD_TRY(broken());
  Result<void> ended = poll(deadline);
  if (ended) return {};
  return breakWith(std::move(ended).error());
}

void NcclCommunicator::abort() {
  stop_ = true;
  // The thread that calls notices soon, unless it is blocked inside NCCL: this frees it.
  std::unique_lock lock(inUse_, kAbortGrace);
  if (!lock.owns_lock()) return comm_->abort();
  if (!failure_) breakWith({ErrorCode::kUnavailable, "given up"});
}

}  // namespace railhead::collective
