#include "tests/support/fake_nccl/comm.h"

#include "tests/support/fake_cuda/control.h"
#include "tests/support/fake_nccl/arithmetic.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

namespace railhead::testing_support {
namespace {

constexpr int kLooksUntilReady = 2;

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value != nullptr ? value : "";
}

std::string hostName() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

// What NCCL tells two hosts apart by.
std::string hostIdentity() {
  const std::string id = environment("NCCL_HOSTID");
  return id.empty() ? hostName() : id;
}

void logChannels(int rank, int ranks, int device) {
  const std::string me = std::to_string(rank) + "[" + std::to_string(device) + "]";
  const auto neighbour = [&](int step) {
    return std::to_string((rank + step + ranks) % ranks) + "[0]";
  };
  const std::string via = "] via " + faults().transport();
  logInfo(device, "Channel 00/0 : " + neighbour(-1) + " -> " + me + " [receive" + via);
  logInfo(device, "Channel 00/0 : " + me + " -> " + neighbour(1) + " [send" + via);
  logInfo(device, "Connected all rings, use ring PXN 0 GDR 0");
}

}  // namespace

void logInfo(int device, const std::string& text) {
  static std::mutex mutex;
  static std::FILE* file = [] {
    const std::string path = environment("NCCL_DEBUG_FILE");
    if (environment("NCCL_DEBUG") != "INFO" || path.empty())
      return static_cast<std::FILE*>(nullptr);
    return std::fopen(path.c_str(), "we");
  }();
  const std::lock_guard lock(mutex);
  if (file == nullptr) return;
  std::fprintf(file, "%s:%d:%d [%d] NCCL INFO %s\n", hostName().c_str(), ::getpid(), ::gettid(),
               device, text.c_str());
  std::fflush(file);
}

FakeComm::FakeComm(int rank, int ranks, bool blocking)
    : rank_(rank), ranks_(ranks), blocking_(blocking) {}

FakeComm::~FakeComm() {
  if (joining_.joinable()) joining_.join();
}

abi::Return FakeComm::connect(const std::string& id, int device) {
  const Fault fault = faults().takeInit(rank_);
  if (fault.kind == FaultKind::kFailInit) return fault.code;
  if (fault.kind == FaultKind::kHangInit) {
    waitForAbort();
    return abi::kInternalError;
  }
  logInfo(device, "Using network Socket");
  const abi::Return code = mesh_->connect(id, rank_, ranks_, hostIdentity(), device, aborted_);
  if (code == abi::kSuccess) logChannels(rank_, ranks_, device);
  return code;
}

abi::Return FakeComm::join(const std::string& id, int device) {
  if (blocking_) return connect(id, device);
  async_ = abi::kInProgress;
  joining_ = std::thread([this, id, device] { async_ = connect(id, device); });
  return abi::kInProgress;
}

std::shared_ptr<FakeComm> FakeComm::split(bool blocking) {
  auto child = std::make_shared<FakeComm>(rank_, ranks_, blocking);
  child->mesh_ = mesh_;
  return child;
}

abi::Return FakeComm::state() {
  const abi::Return code = async_;
  if (code != abi::kSuccess) return code;
  if (looksInProgress_ == 0) return abi::kSuccess;
  --looksInProgress_;
  return abi::kInProgress;
}

abi::Return FakeComm::ready() const {
  if (async_ == abi::kInProgress || looksInProgress_ > 0) return abi::kInvalidArgument;
  return async_;
}

abi::Return FakeComm::accepted() {
  if (blocking_) return abi::kSuccess;
  looksInProgress_ = kLooksUntilReady;
  return abi::kInProgress;
}

void FakeComm::waitForAbort() const {
  while (!aborted_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void FakeComm::run(Work& work, Fault fault) {
  abi::Return code = abi::kSuccess;
  if (fault.kind == FaultKind::kHangCall) code = abi::kInProgress;
  if (fault.kind == FaultKind::kFailCall) code = fault.code;
  if (code == abi::kSuccess) code = mesh_->exchange(work.transfers, aborted_);
  if (code != abi::kSuccess) {
    // As a kernel that waits for a peer: busy until somebody aborts.
    if (code != abi::kInProgress) async_ = code;
    return waitForAbort();
  }
  if (work.result != nullptr) {
    const std::size_t bytes = work.count * bytesOf(work.type);
    std::vector<std::byte> sum = work.parts.front();
    for (std::size_t i = 1; i < work.parts.size(); ++i)
      add(work.type, sum.data(), work.parts[i].data(), work.count);
    std::memcpy(work.result, sum.data(), bytes);
  }
  if (fault.kind == FaultKind::kCorruptCall && work.corruptible != nullptr)
    *work.corruptible ^= std::byte{0x04};
}

abi::Return FakeComm::start(Work work, void* stream) {
  const Fault fault = faults().takeCall(rank_);
  if (fault.kind == FaultKind::kBlockCall) {
    waitForAbort();
    return abi::kInternalError;
  }
  struct Task {
    std::shared_ptr<FakeComm> comm;
    Work work;
    Fault fault;
  };
  auto task = std::make_unique<Task>(Task{shared_from_this(), std::move(work), fault});
  ++running_;
  const auto body = [](void* argument) {
    const std::unique_ptr<Task> mine(static_cast<Task*>(argument));
    mine->comm->run(mine->work, mine->fault);
    --mine->comm->running_;
  };
  if (fakeCudaEnqueue(stream, body, task.get()) != 0) {
    --running_;
    return abi::kUnhandledCudaError;
  }
  static_cast<void>(task.release());
  return accepted();
}

void FakeComm::abort() {
  aborted_ = true;
  if (joining_.joinable()) joining_.join();
  mesh_->close();
  while (running_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace railhead::testing_support
