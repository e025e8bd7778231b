#include "src/nccl/comm.h"

#include "src/nccl/calls.h"

#include <algorithm>
#include <thread>

namespace railhead::nccl {
namespace {

constexpr std::chrono::milliseconds kLongestNap{1};

static_assert(static_cast<int>(DataType::kInt8) == abi::kInt8);
static_assert(static_cast<int>(DataType::kUint8) == abi::kUint8);
static_assert(static_cast<int>(DataType::kInt32) == abi::kInt32);
static_assert(static_cast<int>(DataType::kInt64) == abi::kInt64);
static_assert(static_cast<int>(DataType::kFloat16) == abi::kFloat16);
static_assert(static_cast<int>(DataType::kFloat32) == abi::kFloat32);
static_assert(static_cast<int>(DataType::kFloat64) == abi::kFloat64);
static_assert(static_cast<int>(DataType::kBfloat16) == abi::kBfloat16);

abi::UniqueId rawId(const UniqueId& id) {
  abi::UniqueId out{};
  std::copy(id.begin(), id.end(), out.bytes);
  return out;
}

abi::DataType raw(DataType type) { return static_cast<abi::DataType>(type); }
abi::Stream raw(void* stream) { return static_cast<abi::Stream>(stream); }

}  // namespace

// One ncclComm_t and how it goes. Destroying and aborting both end it; whichever takes it does it.
class Comm::Handle {
 public:
  explicit Handle(const Calls& calls) : calls_(calls) {}

  abi::Comm* slot() { return &made_; }  // where NCCL puts the new one, perhaps from its own thread
  void adopt() { comm_ = made_; }       // once it is done with that
  abi::Comm get() const { return comm_; }

  // Until nothing is in progress any more.
  Result<void> settle(const char* what, Deadline deadline, const std::atomic<bool>& stop) const {
    auto nap = std::chrono::microseconds(5);
    while (true) {
      abi::Return state = abi::kSuccess;
      const abi::Comm comm = comm_;
      if (comm == nullptr || stop) return givenUp(what);
      const abi::Return code = calls_.asyncError(comm, &state);
      if (code != abi::kSuccess) return calls_.error(code, what, comm);
      if (state == abi::kSuccess) return {};
      if (state != abi::kInProgress) return calls_.error(state, what, comm);
      if (std::chrono::steady_clock::now() >= deadline) {
        return Error(ErrorCode::kDeadlineExceeded,
                     std::string(what) + ": the other ranks did not come in time",
                     "see that every rank runs, and that NCCL_SOCKET_IFNAME names an interface on "
                     "which they reach each other");
      }
      std::this_thread::sleep_for(nap);
      nap = std::min<std::chrono::microseconds>(nap * 2, kLongestNap);
    }
  }

  Result<void> leave(Deadline deadline) {
    static const std::atomic<bool> kNever{false};
    constexpr const char* kWhat = "leave NCCL";
    const abi::Return code = calls_.finalize(comm_);
    if (code != abi::kSuccess && code != abi::kInProgress) return calls_.error(code, kWhat, comm_);
    RAILHEAD_TRY(settle(kWhat, deadline, kNever));
    const abi::Comm dying = comm_.exchange(nullptr);
    if (dying == nullptr) return givenUp(kWhat);
    const abi::Return destroyed = calls_.destroy(dying);
    if (destroyed != abi::kSuccess) return calls_.error(destroyed, kWhat);
    return {};
  }

  void abort() {
    if (const abi::Comm dying = comm_.exchange(nullptr); dying != nullptr) calls_.abort(dying);
  }

 private:
  static Error givenUp(const char* what) {
    return {ErrorCode::kUnavailable, std::string(what) + ": given up"};
  }

  const Calls& calls_;
  abi::Comm made_ = nullptr;
  std::atomic<abi::Comm> comm_{nullptr};
};

Comm::Comm(std::shared_ptr<const Library> library, Place place)
    : library_(std::move(library)),
      place_(place),
      first_(std::make_unique<Handle>(library_->calls())),
      active_(first_.get()) {}

Comm::~Comm() { abort(); }

void Comm::abort() {
  if (direct_ != nullptr) direct_->abort();
  first_->abort();
}

Result<std::unique_ptr<Comm>> Comm::join(std::shared_ptr<const Library> library, const UniqueId& id,
                                         Place place, Launch launch, Deadline deadline,
                                         const std::atomic<bool>& stop) {
  const std::string what =
      "join NCCL as rank " + std::to_string(place.rank) + " of " + std::to_string(place.ranks);
  std::unique_ptr<Comm> out(new Comm(std::move(library), place));
  const Calls& calls = out->library_->calls();
  abi::Config config;
  config.blocking = 0;
  Handle& first = *out->first_;
  const abi::Return joined =
      calls.initRank(first.slot(), place.ranks, rawId(id), place.rank, &config);
  first.adopt();
  if (joined != abi::kSuccess && joined != abi::kInProgress) return calls.error(joined, what);
  RAILHEAD_TRY(first.settle(what.c_str(), deadline, stop));
  if (launch == Launch::kByThread) return out;

  config.blocking = 1;
  out->direct_ = std::make_unique<Handle>(calls);
  Handle& direct = *out->direct_;
  const abi::Return split = calls.split(first.get(), 0, place.rank, direct.slot(), &config);
  if (split != abi::kSuccess && split != abi::kInProgress)
    return calls.error(split, what, first.get());
  RAILHEAD_TRY(first.settle(what.c_str(), deadline, stop));
  direct.adopt();
  if (direct.get() == nullptr)
    return Error(ErrorCode::kInternal, what + ": NCCL split off no communicator");
  out->active_ = &direct;
  return out;
}

Result<void> Comm::took(int code, const char* what) {
  if (code == abi::kSuccess || code == abi::kInProgress) return {};
  return library_->calls().error(code, what, active_->get());
}

Result<void> Comm::allReduce(const void* send, void* receive, std::size_t count, DataType type,
                             void* stream) {
  return took(library_->calls().allReduce(send, receive, count, raw(type), abi::kSum,
                                          active_->get(), raw(stream)),
              "all_reduce");
}

Result<void> Comm::allGather(const void* send, void* receive, std::size_t sendCount, DataType type,
                             void* stream) {
  return took(
      library_->calls().allGather(send, receive, sendCount, raw(type), active_->get(), raw(stream)),
      "all_gather");
}

Result<void> Comm::reduceScatter(const void* send, void* receive, std::size_t receiveCount,
                                 DataType type, void* stream) {
  return took(library_->calls().reduceScatter(send, receive, receiveCount, raw(type), abi::kSum,
                                              active_->get(), raw(stream)),
              "reduce_scatter");
}

Result<void> Comm::broadcast(const void* send, void* receive, std::size_t count, DataType type,
                             int root, void* stream) {
  return took(library_->calls().broadcast(send, receive, count, raw(type), root, active_->get(),
                                          raw(stream)),
              "broadcast");
}

Result<void> Comm::reduce(const void* send, void* receive, std::size_t count, DataType type,
                          int root, void* stream) {
  return took(library_->calls().reduce(send, receive, count, raw(type), abi::kSum, root,
                                       active_->get(), raw(stream)),
              "reduce");
}

// A group that was begun is ended also when a call in it failed.
template <typename Body>
Result<void> Comm::grouped(const char* what, Body body) {
  const Calls& calls = library_->calls();
  RAILHEAD_TRY(took(calls.groupStart(), what));
  Result<void> inside = body(calls);
  Result<void> ended = took(calls.groupEnd(), what);
  RAILHEAD_TRY(std::move(inside));
  return ended;
}

Result<void> Comm::allToAll(const std::byte* send, std::byte* receive, std::size_t count,
                            std::size_t elementBytes, DataType type, void* stream) {
  return grouped("all_to_all", [&](const Calls& calls) -> Result<void> {
    for (int peer = 0; peer < place_.ranks; ++peer) {
      const std::size_t offset = static_cast<std::size_t>(peer) * count * elementBytes;
      RAILHEAD_TRY(took(
          calls.send(send + offset, count, raw(type), peer, active_->get(), raw(stream)), "send"));
      RAILHEAD_TRY(
          took(calls.receive(receive + offset, count, raw(type), peer, active_->get(), raw(stream)),
               "receive"));
    }
    return {};
  });
}

Result<void> Comm::sendReceive(const void* send, int to, void* receive, int from, std::size_t count,
                               DataType type, void* stream) {
  return grouped("sendrecv", [&](const Calls& calls) -> Result<void> {
    RAILHEAD_TRY(took(calls.send(send, count, raw(type), to, active_->get(), raw(stream)), "send"));
    return took(calls.receive(receive, count, raw(type), from, active_->get(), raw(stream)),
                "receive");
  });
}

Result<void> Comm::settle(Deadline deadline, const std::atomic<bool>& stop) {
  if (direct_ != nullptr) return {};
  return active_->settle("start an NCCL call", deadline, stop);
}

Result<void> Comm::health() const {
  const Calls& calls = library_->calls();
  abi::Return state = abi::kSuccess;
  abi::Return code = calls.asyncError(active_->get(), &state);
  if (code == abi::kSuccess) code = state;
  if (code == abi::kSuccess || code == abi::kInProgress) return {};
  return calls.error(code, "NCCL", active_->get());
}

Result<void> Comm::leave(Deadline deadline) {
  if (direct_ != nullptr) RAILHEAD_TRY(direct_->leave(deadline));
  return first_->leave(deadline);
}

}  // namespace railhead::nccl
