#include "tests/support/fake_cuda/state.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace railhead::gpu::cuda::abi {

StreamOpaque::~StreamOpaque() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void StreamOpaque::push(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  changed_.notify_all();
}

bool StreamOpaque::idle() {
  const std::lock_guard lock(mutex_);
  return work_.empty();
}

void StreamOpaque::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return work_.empty(); });
}

void StreamOpaque::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stop_ || !work_.empty(); });
    if (work_.empty()) return;
    const auto work = work_.front();
    lock.unlock();
    work();
    lock.lock();
    work_.pop_front();
    changed_.notify_all();
  }
}

}  // namespace railhead::gpu::cuda::abi

namespace railhead::testing_support {
namespace {

// What both kinds answer; the rest is what sets them apart.
std::map<abi::Attribute, int> commonAttributes() {
  return {{abi::kCanMapHostMemory, 1},
          {abi::kUnifiedAddressing, 1},
          {abi::kConcurrentManagedAccess, 1},
          {abi::kVirtualMemoryManagement, 1},
          {abi::kMpsEnabled, 0}};
}

std::unique_ptr<FakeDevice> makeDevice(const std::string& kind, int ordinal) {
  auto device = std::make_unique<FakeDevice>();
  device->attributes = commonAttributes();
  device->context.device = ordinal;
  device->uuid.bytes[0] = 0xfa;
  device->uuid.bytes[15] = static_cast<unsigned char>(ordinal);
  auto& attributes = device->attributes;
  if (kind == "h200") {
    device->name = "NVIDIA H200";
    device->pci = "0000:" + std::to_string(10 + ordinal) + ":00.0";
    device->memory = std::size_t{143771} << 20;
    attributes.insert({{abi::kMultiprocessors, 132},
                       {abi::kIntegrated, 0},
                       {abi::kComputeMajor, 9},
                       {abi::kComputeMinor, 0},
                       {abi::kHostNativeAtomics, 0},
                       {abi::kPageableMemoryAccess, 0},
                       {abi::kPageableUsesHostPageTables, 0},
                       {abi::kGdr, 1},
                       {abi::kGdrWithVmm, 1},
                       {abi::kGdrFlushOptions, abi::kFlushByHost},
                       {abi::kGdrWritesOrdering, 100},
                       {abi::kDmaBuf, 1}});
    return device;
  }
  if (kind != "gb10") return nullptr;
  device->name = "NVIDIA GB10";
  device->pci = "000F:01:00.0";  // as the driver writes it
  device->memory = std::size_t{119} << 30;
  attributes.insert({{abi::kMultiprocessors, 48},
                     {abi::kIntegrated, 1},
                     {abi::kComputeMajor, 12},
                     {abi::kComputeMinor, 1},
                     {abi::kHostNativeAtomics, 1},
                     {abi::kPageableMemoryAccess, 1},
                     {abi::kPageableUsesHostPageTables, 1},
                     {abi::kGdr, 0},
                     {abi::kGdrWithVmm, 0},
                     {abi::kDmaBuf, 0}});
  return device;
}

}  // namespace

FakeCudaState::FakeCudaState() {
  const char* kinds = std::getenv("RAILHEAD_FAKE_CUDA");  // NOLINT(concurrency-mt-unsafe)
  const std::string problem =
      command(std::string("devices ") + (kinds != nullptr ? kinds : "h200"));
  if (!problem.empty()) std::fprintf(stderr, "fake CUDA: %s\n", problem.c_str());
}

FakeCudaState& fakeCuda() {
  static FakeCudaState state;
  return state;
}

int FakeCudaState::objects() const {
  auto count = allocations.size() + streams.size() + events.size() + modules.size();
  for (const auto& device : devices) count += device->context.retained > 0 ? 1 : 0;
  return static_cast<int>(count);
}

abi::Return FakeCudaState::takeFailure(const std::string& call) {
  const auto found = failures.find(call);
  if (found == failures.end()) return abi::kSuccess;
  if (found->second.callsLeft-- > 0) return abi::kSuccess;
  const abi::Return code = found->second.code;
  failures.erase(found);
  return code;
}

std::size_t FakeCudaState::used(abi::Device device) const {
  std::size_t bytes = 0;
  for (const auto& [address, allocation] : allocations) {
    if (!allocation.pinned && allocation.device == device) bytes += allocation.bytes;
  }
  return bytes;
}

bool FakeCudaState::covers(std::uintptr_t address, std::size_t bytes) const {
  auto found = allocations.upper_bound(address);
  if (found == allocations.begin()) return false;
  --found;
  const std::uintptr_t offset = address - found->first;
  return offset <= found->second.bytes && bytes <= found->second.bytes - offset;
}

std::vector<std::shared_ptr<abi::StreamOpaque>> FakeCudaState::streamsOf(abi::Device device) const {
  std::vector<std::shared_ptr<abi::StreamOpaque>> out;
  for (const auto& [handle, stream] : streams) {
    if (stream->context->device == device) out.push_back(stream);
  }
  return out;
}

std::string FakeCudaState::command(const std::string& line) {
  std::istringstream in(line);
  std::string verb;
  in >> verb;
  if (verb == "devices") {
    if (objects() > 0) return "something is still open";
    std::vector<std::unique_ptr<FakeDevice>> made;
    for (std::string kind; in >> kind;) {
      made.push_back(makeDevice(kind, static_cast<int>(made.size())));
      if (made.back() == nullptr) return "no such kind of device: " + kind;
    }
    devices = std::move(made);
    failures.clear();
    failInit = abi::kSuccess;
    return {};
  }
  if (verb == "fail-init") return in >> failInit ? "" : "fail-init needs a code";
  if (verb == "fail") {
    std::string call;
    Failure failure;
    if (!(in >> call >> failure.code)) return "fail needs a call and a code";
    if (!(in >> failure.callsLeft)) failure.callsLeft = 0;
    failures[call] = failure;
    return {};
  }
  std::size_t ordinal = 0;
  if (!(in >> ordinal) || ordinal >= devices.size()) return "no such device in: " + line;
  FakeDevice& device = *devices[ordinal];
  if (verb == "memory") return in >> device.memory ? "" : "memory needs a number of bytes";
  if (verb != "attribute") return "unknown command: " + line;
  abi::Attribute attribute = 0;
  std::string value;
  if (!(in >> attribute >> value)) return "attribute needs a number and a value";
  device.attributes.erase(attribute);
  if (value != "none") device.attributes[attribute] = std::stoi(value);
  return {};
}

}  // namespace railhead::testing_support
