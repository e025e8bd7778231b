#include "src/collective/host/host_memory.h"
#include "src/collective/nccl/cuda_compute.h"
#include "src/collective/nccl/cuda_memory.h"
#include "src/gpu/cuda/cuda.h"
#include "src/os/filesystem.h"
#include "tests/support/gpu_check/checks.h"

#include <chrono>
#include <span>

namespace railhead::testing_support {
namespace {

using collective::CudaMemory;
using collective::ElementType;
using collective::Expectation;
using Clock = std::chrono::steady_clock;

template <typename Value>
Json optional(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Result<gpu::cuda::Cuda> openCuda(const std::string& library) {
  RAILHEAD_TRY_ASSIGN(auto opening, gpu::cuda::Cuda::open({library}));
  if (!opening.cuda) return Error(ErrorCode::kEnvironment, opening.absence);
  return *opening.cuda;
}

Json factsJson(const gpu::cuda::DeviceFacts& facts) {
  return {
      {"ordinal", facts.ordinal},
      {"name", facts.name},
      {"pci", facts.pci ? Json(facts.pci->toString()) : Json()},
      {"compute", std::to_string(facts.compute.major) + "." + std::to_string(facts.compute.minor)},
      {"multiprocessors", facts.multiprocessors},
      {"memoryBytes", facts.memoryBytes},
      {"integrated", facts.integrated},
      {"gpuDirectRdma", optional(facts.gpuDirectRdma)},
      {"dmaBuf", optional(facts.dmaBuf)},
      {"gpuDirectRdmaWithVmm", optional(facts.gpuDirectRdmaWithVmm)},
      {"hostAllocDmaBuf", optional(facts.hostAllocDmaBuf)},
      {"gpuDirectFlushByHost", optional(facts.gpuDirectFlushByHost)},
      {"gpuDirectWritesOrdering", optional(facts.gpuDirectWritesOrdering)},
      {"virtualMemory", optional(facts.virtualMemory)},
      {"pageableMemoryAccess", optional(facts.pageableMemoryAccess)},
      {"pageableUsesHostPageTables", optional(facts.pageableUsesHostPageTables)},
      {"hostNativeAtomics", optional(facts.hostNativeAtomics)},
      {"concurrentManagedAccess", optional(facts.concurrentManagedAccess)},
      {"canMapHostMemory", optional(facts.canMapHostMemory)},
      {"unifiedAddressing", optional(facts.unifiedAddressing)},
      {"mps", optional(facts.mps)}};
}

double secondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// One part for each type and kind, for one rank of three and one of two hundred, and words at an
// odd address.
std::vector<Expectation> everyKind(std::size_t elements) {
  std::vector<Expectation> out;
  std::size_t offset = 0;
  for (const ElementType type : collective::allElementTypes()) {
    for (const auto kind : {Expectation::Kind::kNumbers, Expectation::Kind::kSums}) {
      for (const int ranks : {3, 200}) {
        out.push_back({kind, type, offset, elements * collective::elementBytes(type), 1,
                       0xffffff00U, 21, ranks});
        offset += (out.back().bytes + 255) / 256 * 256;
      }
    }
  }
  out.push_back({Expectation::Kind::kWords, ElementType::kInt8, offset + 1, 4 * elements + 3, 5,
                 0xffffff00U, 4, 8});
  return out;
}

std::string partName(const Expectation& part) {
  if (part.kind == Expectation::Kind::kWords) return "words";
  return std::string(collective::elementTypeName(part.type)) +
         (part.kind == Expectation::Kind::kSums ? " sums" : " numbers") + " of " +
         std::to_string(part.ranks);
}

// The device's bytes, on the host.
Result<void> fetch(const gpu::cuda::Stream& stream, collective::Buffer& to,
                   const collective::Buffer& from) {
  RAILHEAD_TRY(stream.copyToHost({static_cast<std::byte*>(to.data()), to.size()},
                                 reinterpret_cast<std::uintptr_t>(from.data())));
  return stream.wait(Clock::now() + std::chrono::seconds(30));
}

// Half of a part's last byte flipped must be one wrong element, found at its place.
Result<void> checkPlanted(const gpu::cuda::Stream& stream, CudaMemory& memory,
                          collective::Buffer& buffer, const Expectation& part) {
  const auto address = reinterpret_cast<std::uintptr_t>(buffer.data());
  std::byte last{};
  const std::size_t at = part.offset + part.bytes - 1;
  RAILHEAD_TRY(stream.copyToHost({&last, 1}, address + at));
  RAILHEAD_TRY(stream.wait(Clock::now() + std::chrono::seconds(30)));
  last ^= std::byte{0x0f};
  RAILHEAD_TRY(stream.copyToDevice(address + at, {&last, 1}));
  RAILHEAD_TRY(stream.wait(Clock::now() + std::chrono::seconds(30)));
  RAILHEAD_TRY_ASSIGN(const auto found, memory.check(buffer, {part}));
  const std::size_t width =
      part.kind == Expectation::Kind::kWords ? 3 : collective::elementBytes(part.type);
  if (found.elementsWrong == 1 && found.firstWrong == part.offset + part.bytes - width) return {};
  return Error(ErrorCode::kCheckFailed, partName(part) + ": one planted fault was counted as " +
                                            std::to_string(found.elementsWrong) + ", at byte " +
                                            std::to_string(found.firstWrong));
}

Result<Json> speeds(CudaMemory& memory, std::size_t bytes) {
  Json out = Json::array();
  RAILHEAD_TRY_ASSIGN(const auto buffer, memory.allocate(bytes));
  for (const auto& [kind, type] : {std::pair(Expectation::Kind::kWords, ElementType::kInt8),
                                   std::pair(Expectation::Kind::kSums, ElementType::kInt8),
                                   std::pair(Expectation::Kind::kSums, ElementType::kBfloat16),
                                   std::pair(Expectation::Kind::kSums, ElementType::kFloat32)}) {
    const Expectation part{kind, type, 0, bytes, 0, 0, 3, 2};
    RAILHEAD_TRY(memory.fill(*buffer, {part}));  // the first one may wait for the driver
    auto begin = Clock::now();
    RAILHEAD_TRY(memory.fill(*buffer, {part}));
    const double fill = secondsSince(begin);
    begin = Clock::now();
    RAILHEAD_TRY_ASSIGN(const auto found, memory.check(*buffer, {part}));
    const double check = secondsSince(begin);
    if (found.elementsWrong != 0) return Error(ErrorCode::kCheckFailed, "large " + partName(part));
    out.push_back({{"pattern", partName(part)},
                   {"bytes", bytes},
                   {"fillGBps", static_cast<double>(bytes) / fill / 1e9},
                   {"checkGBps", static_cast<double>(bytes) / check / 1e9}});
  }
  return out;
}

// What stands beside collectives: every block counted itself, and ten times the work takes about
// ten times as long (over the fakes it takes no time, and only the counting is held).
Result<Json> computeSpeed(const std::shared_ptr<const gpu::cuda::Context>& context) {
  RAILHEAD_TRY_ASSIGN(const auto compute, collective::CudaCompute::open(context));
  Json out = Json::array();
  std::uint64_t begun = 0;
  for (const std::uint64_t units : {8U, 200U, 2000U}) {
    const auto begin = Clock::now();
    RAILHEAD_TRY(compute->start(units));
    RAILHEAD_TRY(compute->wait(Clock::now() + std::chrono::seconds(30)));
    out.push_back(
        {{"units", units}, {"usEach", secondsSince(begin) * 1e6 / static_cast<double>(units)}});
    begun += units;
    RAILHEAD_TRY_ASSIGN(const auto done, compute->done());
    if (done == begun) continue;
    return Error(ErrorCode::kCheckFailed, "of " + std::to_string(begun) + " units of compute " +
                                              std::to_string(done) + " counted themselves");
  }
  return Json{{"on", compute->describe()}, {"runs", out}};
}

}  // namespace

Result<Json> checkFacts(const std::string& cudaLibrary) {
  RAILHEAD_TRY_ASSIGN(const auto cuda, openCuda(cudaLibrary));
  RAILHEAD_TRY_ASSIGN(const auto devices, cuda.devices());
  Json list = Json::array();
  for (const auto& facts : devices) {
    Json one = factsJson(facts);
    RAILHEAD_TRY_ASSIGN(const auto context, cuda.retain(facts.ordinal));
    RAILHEAD_TRY_ASSIGN(const auto memory, context->allocate(2 << 20));
    const auto exported = context->exportDmabuf(memory.address(), memory.size());
    one["dmaBufExport"] = exported ? Json("a descriptor") : Json(exported.error().describe());
    const auto flushed = context->flushRemoteWrites();
    one["flushRemoteWrites"] = flushed ? Json("done") : Json(flushed.error().describe());
    list.push_back(std::move(one));
  }
  return Json{{"library", cuda.libraryPath()}, {"cuda", cuda.versionText()}, {"devices", list}};
}

Result<Json> checkKernels(const std::string& cudaLibrary, std::size_t bytes) {
  RAILHEAD_TRY_ASSIGN(const auto cuda, openCuda(cudaLibrary));
  RAILHEAD_TRY_ASSIGN(const auto context, cuda.retain(0));
  auto begin = Clock::now();
  RAILHEAD_TRY_ASSIGN(const auto memory, CudaMemory::open(context, {}));
  Json out{{"compileSeconds", secondsSince(begin)}};
  RAILHEAD_TRY_ASSIGN(const auto stream, context->createStream());
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
  collective::HostMemory host(*files, "/proc/meminfo");
  const auto parts = everyKind(100'003);
  const std::size_t size = parts.back().offset + parts.back().bytes;
  RAILHEAD_TRY_ASSIGN(const auto there, memory->allocate(size));
  RAILHEAD_TRY_ASSIGN(const auto here, host.allocate(size));
  RAILHEAD_TRY(memory->spoil(*there));
  RAILHEAD_TRY(memory->fill(*there, parts));
  RAILHEAD_TRY(fetch(stream, *here, *there));
  Json names = Json::array();
  for (const Expectation& part : parts) {
    RAILHEAD_TRY_ASSIGN(const auto onHost, host.check(*here, {part}));
    RAILHEAD_TRY_ASSIGN(const auto onDevice, memory->check(*there, {part}));
    if (onHost.elementsWrong != 0 || onDevice.elementsWrong != 0) {
      return Error(ErrorCode::kCheckFailed,
                   partName(part) + ": the host finds " + std::to_string(onHost.elementsWrong) +
                       " wrong, the device " + std::to_string(onDevice.elementsWrong));
    }
    RAILHEAD_TRY(checkPlanted(stream, *memory, *there, part));
    names.push_back(partName(part));
  }
  out["checked"] = std::move(names);
  out["elementsEach"] = 100'003;
  RAILHEAD_TRY_ASSIGN(out["speed"], speeds(*memory, bytes));
  RAILHEAD_TRY_ASSIGN(out["compute"], computeSpeed(context));
  return out;
}

}  // namespace railhead::testing_support
