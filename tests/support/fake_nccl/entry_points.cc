// The exported calls of the fake.
#include "tests/support/fake_cuda/control.h"
#include "tests/support/fake_nccl/arithmetic.h"
#include "tests/support/fake_nccl/comm.h"
#include "tests/support/fake_nccl/control.h"
#include "tests/support/fake_nccl/faults.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <random>

using namespace railhead::nccl::abi;        // NOLINT: this file is NCCL's interface
using namespace railhead::testing_support;  // NOLINT
#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

std::mutex mutex;
std::map<Comm, std::shared_ptr<FakeComm>> comms;
std::atomic<int> aborts{0};

// The calls of this thread's open group: one exchange of one communicator.
struct Group {
  int depth = 0;
  std::shared_ptr<FakeComm> comm;
  Stream stream = nullptr;
  Work work;
};
thread_local Group group;

std::shared_ptr<FakeComm> find(Comm comm) {
  const std::lock_guard lock(mutex);
  const auto found = comms.find(comm);
  return found == comms.end() ? nullptr : found->second;
}

Comm keep(std::shared_ptr<FakeComm> comm) {
  const auto handle = reinterpret_cast<Comm>(comm.get());
  const std::lock_guard lock(mutex);
  comms[handle] = std::move(comm);
  return handle;
}

std::shared_ptr<FakeComm> take(Comm comm) {
  const std::lock_guard lock(mutex);
  const auto found = comms.find(comm);
  if (found == comms.end()) return nullptr;
  auto out = std::move(found->second);
  comms.erase(found);
  return out;
}

const std::byte* bytes(const void* from) { return static_cast<const std::byte*>(from); }
std::byte* bytes(void* to) { return static_cast<std::byte*>(to); }

// What every call checks first.
Return checked(const std::shared_ptr<FakeComm>& comm, DataType type) {
  if (comm == nullptr || bytesOf(type) == 0) return kInvalidArgument;
  return comm->ready();
}

// Puts a call on the stream. One in a group waits for the group's end.
Return start(const std::shared_ptr<FakeComm>& comm, Work work, Stream stream) {
  if (group.depth == 0) return comm->start(std::move(work), stream);
  if (group.comm != nullptr && group.comm != comm) return kInvalidUsage;
  if (work.result != nullptr) return kInvalidUsage;  // none of ours puts sums into a group
  group.comm = comm;
  group.stream = stream;
  auto& all = group.work.transfers;
  all.insert(all.end(), work.transfers.begin(), work.transfers.end());
  if (group.work.corruptible == nullptr) group.work.corruptible = work.corruptible;
  return kSuccess;
}

// Everybody's `count` elements to everybody in `targets`, to be added up there.
Work sums(const FakeComm& comm, const void* send, std::size_t count, DataType type, bool toMe,
          const std::vector<int>& targets) {
  const std::size_t size = count * bytesOf(type);
  Work work;
  work.type = type;
  work.count = count;
  const auto ranks = static_cast<std::size_t>(comm.ranks());
  if (toMe) work.parts.assign(ranks, std::vector<std::byte>(size));
  for (int peer = 0; peer < comm.ranks(); ++peer) {
    const bool sends = std::find(targets.begin(), targets.end(), peer) != targets.end();
    Transfer transfer{peer, nullptr, 0, nullptr, 0};
    if (sends) {
      transfer.out = bytes(send);
      transfer.outBytes = size;
    }
    if (toMe) {
      transfer.in = work.parts[static_cast<std::size_t>(peer)].data();
      transfer.inBytes = size;
    }
    work.transfers.push_back(transfer);
  }
  return work;
}

std::vector<int> everybody(const FakeComm& comm) {
  std::vector<int> out;
  for (int rank = 0; rank < comm.ranks(); ++rank) out.push_back(rank);
  return out;
}

}  // namespace

EXPORTED int fakeNcclControl(const char* command) { return faults().command(command) ? 0 : -1; }
EXPORTED int fakeNcclComms(void) {
  const std::lock_guard lock(mutex);
  return static_cast<int>(comms.size());
}
EXPORTED int fakeNcclAborts(void) { return aborts; }

EXPORTED Return ncclGetVersion(int* version) {
  *version = faults().version();
  return kSuccess;
}
EXPORTED const char* ncclGetErrorString(Return code) {
  static constexpr const char* kTexts[] = {"no error",
                                           "unhandled cuda error",
                                           "unhandled system error",
                                           "internal error",
                                           "invalid argument",
                                           "invalid usage",
                                           "remote process exited or there was a network error",
                                           "NCCL operation in progress"};
  return code >= 0 && code <= kInProgress ? kTexts[code] : "unknown result code";
}
EXPORTED const char* ncclGetLastError(Comm) { return "the fake was told so"; }

EXPORTED Return ncclGetUniqueId(UniqueId* out) {
  std::random_device random;
  std::snprintf(out->bytes, sizeof out->bytes, "railhead-fake-nccl-%08x%08x", random(), random());
  return kSuccess;
}

EXPORTED Return ncclCommInitRankConfig(Comm* out, int ranks, UniqueId id, int rank,
                                       Config* config) {
  const int device = fakeCudaCurrentDevice();
  if (device < 0) return kUnhandledCudaError;
  if (config->magic != kConfigMagic || rank < 0 || rank >= ranks) return kInvalidArgument;
  logInfo(device, "NCCL version 2.28.9+cuda13.0");
  auto comm = std::make_shared<FakeComm>(rank, ranks, config->blocking != 0);
  *out = keep(comm);
  const Return code =
      comm->join(std::string(id.bytes, ::strnlen(id.bytes, sizeof id.bytes)), device);
  if (code != kSuccess && code != kInProgress) {
    take(*out);
    *out = nullptr;
  }
  return code;
}

EXPORTED Return ncclCommSplit(Comm parent, int, int, Comm* out, Config* config) {
  const auto comm = find(parent);
  const Return code = checked(comm, kInt8);
  if (code != kSuccess) return code;
  *out = keep(comm->split(config->blocking != 0));
  return comm->accepted();
}
EXPORTED Return ncclCommGetAsyncError(Comm handle, Return* out) {
  const auto comm = find(handle);
  if (comm == nullptr) return kInvalidArgument;
  *out = comm->state();
  return kSuccess;
}
EXPORTED Return ncclCommFinalize(Comm handle) {
  const auto comm = find(handle);
  const Return code = checked(comm, kInt8);
  return code == kSuccess ? comm->accepted() : code;
}
EXPORTED Return ncclCommDestroy(Comm handle) {
  const auto comm = take(handle);
  return comm == nullptr ? kInvalidArgument : kSuccess;
}
EXPORTED Return ncclCommAbort(Comm handle) {
  const auto comm = take(handle);
  if (comm == nullptr) return kInvalidArgument;
  ++aborts;
  comm->abort();
  return kSuccess;
}

EXPORTED Return ncclAllReduce(const void* send, void* receive, std::size_t count, DataType type,
                              Reduction, Comm handle, Stream stream) {
  const auto comm = find(handle);
  if (const Return code = checked(comm, type); code != kSuccess) return code;
  Work work = sums(*comm, send, count, type, true, everybody(*comm));
  work.result = work.corruptible = bytes(receive);
  return start(comm, std::move(work), stream);
}
EXPORTED Return ncclReduce(const void* send, void* receive, std::size_t count, DataType type,
                           Reduction, int root, Comm handle, Stream stream) {
  const auto comm = find(handle);
  if (const Return code = checked(comm, type); code != kSuccess) return code;
  const bool toMe = comm->rank() == root;
  Work work = sums(*comm, send, count, type, toMe, {root});
  if (toMe) work.result = work.corruptible = bytes(receive);
  return start(comm, std::move(work), stream);
}
EXPORTED Return ncclReduceScatter(const void* send, void* receive, std::size_t count, DataType type,
                                  Reduction, Comm handle, Stream stream) {
  const auto comm = find(handle);
  if (const Return code = checked(comm, type); code != kSuccess) return code;
  Work work = sums(*comm, send, count, type, true, everybody(*comm));
  for (Transfer& transfer : work.transfers)  // each rank gets a part of its own
    transfer.out += static_cast<std::size_t>(transfer.peer) * transfer.outBytes;
  work.result = work.corruptible = bytes(receive);
  return start(comm, std::move(work), stream);
}
EXPORTED Return ncclAllGather(const void* send, void* receive, std::size_t count, DataType type,
                              Comm handle, Stream stream) {
  const auto comm = find(handle);
  if (const Return code = checked(comm, type); code != kSuccess) return code;
  const std::size_t size = count * bytesOf(type);
  Work work;
  for (int peer = 0; peer < comm->ranks(); ++peer) {
    work.transfers.push_back(
        {peer, bytes(send), size, bytes(receive) + static_cast<std::size_t>(peer) * size, size});
  }
  work.corruptible = bytes(receive);
  return start(comm, std::move(work), stream);
}
EXPORTED Return ncclBroadcast(const void* send, void* receive, std::size_t count, DataType type,
                              int root, Comm handle, Stream stream) {
  const auto comm = find(handle);
  if (const Return code = checked(comm, type); code != kSuccess) return code;
  const std::size_t size = count * bytesOf(type);
  Work work;
  work.corruptible = bytes(receive);
  if (comm->rank() != root) {
    work.transfers.push_back({root, nullptr, 0, bytes(receive), size});
    return start(comm, std::move(work), stream);
  }
  for (int peer = 0; peer < comm->ranks(); ++peer) {
    const bool self = peer == root;
    work.transfers.push_back({peer, bytes(send), size, self ? bytes(receive) : nullptr, size});
  }
  return start(comm, std::move(work), stream);
}
EXPORTED Return ncclSend(const void* send, std::size_t count, DataType type, int peer, Comm handle,
                         Stream stream) {
  const auto comm = find(handle);
  if (const Return code = checked(comm, type); code != kSuccess) return code;
  Work work;
  work.transfers.push_back({peer, bytes(send), count * bytesOf(type), nullptr, 0});
  return start(comm, std::move(work), stream);
}
EXPORTED Return ncclRecv(void* receive, std::size_t count, DataType type, int peer, Comm handle,
                         Stream stream) {
  const auto comm = find(handle);
  if (const Return code = checked(comm, type); code != kSuccess) return code;
  Work work;
  work.transfers.push_back({peer, nullptr, 0, bytes(receive), count * bytesOf(type)});
  work.corruptible = bytes(receive);
  return start(comm, std::move(work), stream);
}

EXPORTED Return ncclGroupStart(void) {
  ++group.depth;
  return kSuccess;
}
EXPORTED Return ncclGroupEnd(void) {
  if (group.depth == 0) return kInvalidUsage;
  if (--group.depth > 0) return kSuccess;
  Group ended = std::move(group);
  group = Group{};
  if (ended.comm == nullptr) return kSuccess;
  // A rank's send to itself and its receive from itself are one move.
  const int self = ended.comm->rank();
  auto& all = ended.work.transfers;
  const auto out = std::find_if(all.begin(), all.end(), [&](const Transfer& each) {
    return each.peer == self && each.out != nullptr;
  });
  const auto in = std::find_if(all.begin(), all.end(), [&](const Transfer& each) {
    return each.peer == self && each.in != nullptr;
  });
  if (out != all.end() && in != all.end()) {
    out->in = in->in;
    out->inBytes = in->inBytes;
    in->in = nullptr;
  }
  return ended.comm->start(std::move(ended.work), ended.stream);
}
