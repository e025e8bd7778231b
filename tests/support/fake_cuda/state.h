// The fake's state and its rules; entry_points.cc is the thin layer above.
#pragma once

#include "src/gpu/cuda/cuda_abi.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace railhead::gpu::cuda::abi {

struct ContextOpaque {
  Device device = 0;
  int retained = 0;
  std::atomic<Return> spoiled{kSuccess};  // what every call answers from then on
};

// A thread that works off what it is given, in order.
struct StreamOpaque {
  explicit StreamOpaque(Context owner) : context(owner) {}
  ~StreamOpaque();
  StreamOpaque(const StreamOpaque&) = delete;
  StreamOpaque& operator=(const StreamOpaque&) = delete;
  void push(std::function<void()> work);
  bool idle();
  void drain();

  Context context;

 private:
  void run();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;  // its first is the one that runs
  bool stop_ = false;
  std::thread thread_{[this] { run(); }};
};

struct EventOpaque {
  Context context = nullptr;
  bool timing = false;
  std::atomic<int> pending{0};  // records not yet passed
  std::atomic<int> recorded{0}, passed{0};
  std::atomic<std::int64_t> passedNs{-1};
};

struct FunctionOpaque {
  std::string name;
  struct Parameter {
    std::string name;
    std::size_t bytes = 0;
  };
  std::vector<Parameter> parameters;
};

struct ModuleOpaque {
  Context context = nullptr;
  std::vector<std::unique_ptr<FunctionOpaque>> functions;
};

}  // namespace railhead::gpu::cuda::abi

namespace railhead::testing_support {

namespace abi = gpu::cuda::abi;

struct FakeDevice {
  std::string name;
  abi::Uuid uuid{};
  std::string pci;
  std::size_t memory = 0;
  std::map<abi::Attribute, int> attributes;  // one that is missing: the driver does not know it
  abi::ContextOpaque context;
};

struct FakeAllocation {
  std::size_t bytes = 0;
  abi::Device device = 0;
  bool pinned = false;  // host memory
  int fd = -1;          // the memory, as a file
};

struct FakeCudaState {
  FakeCudaState();

  std::mutex mutex;  // held for every member, unless its comment says otherwise
  bool initialised = false;
  abi::Return failInit = abi::kSuccess;
  std::vector<std::unique_ptr<FakeDevice>> devices;
  std::map<std::uintptr_t, FakeAllocation> allocations;
  std::map<abi::Stream, std::shared_ptr<abi::StreamOpaque>> streams;
  std::map<abi::Context, std::shared_ptr<abi::StreamOpaque>> defaultStreams;  // made when used
  std::map<abi::Event, std::shared_ptr<abi::EventOpaque>> events;
  std::map<abi::Module, std::unique_ptr<abi::ModuleOpaque>> modules;
  struct Failure {
    int callsLeft = 0;
    abi::Return code = abi::kSuccess;
  };
  std::map<std::string, Failure> failures;

  std::string command(const std::string& line);  // empty: done; else why not
  int objects() const;
  // What a planted failure answers to this call, else success.
  abi::Return takeFailure(const std::string& call);
  std::size_t used(abi::Device device) const;
  bool covers(std::uintptr_t address, std::size_t bytes) const;
  std::vector<std::shared_ptr<abi::StreamOpaque>> streamsOf(abi::Device device) const;
};

FakeCudaState& fakeCuda();

// The entry points of a PTX text with their parameters; empty when there is none.
std::vector<std::unique_ptr<abi::FunctionOpaque>> ptxEntries(const std::string& ptx);

// What one of our kernels does with these arguments (by the names in its PTX; the blocks of its
// grid as "%nctaid"); null for a name that is not ours. `spans`: the device memory it will touch.
struct FakeKernelRun {
  std::function<void()> work;
  std::vector<std::pair<std::uintptr_t, std::size_t>> spans;
};
std::optional<FakeKernelRun> kernelRun(const std::string& name,
                                       const std::map<std::string, std::uint64_t>& arguments);

}  // namespace railhead::testing_support
