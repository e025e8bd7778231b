#include "src/gpu/cuda/cuda.h"

#include "src/base/text.h"
#include "src/gpu/cuda/context.h"
#include "src/gpu/cuda/driver.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace railhead::gpu::cuda {
namespace {

// Bytes in the usual grouping.
std::string uuidText(const abi::Uuid& uuid) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "GPU-";
  for (std::size_t i = 0; i < sizeof uuid.bytes; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += kDigits[uuid.bytes[i] >> 4];
    out += kDigits[uuid.bytes[i] & 0xf];
  }
  return out;
}

std::string_view withoutKind(std::string_view uuid) {
  for (const std::string_view kind : {"GPU-", "MIG-"}) {
    if (uuid.starts_with(kind)) return uuid.substr(kind.size());
  }
  return uuid;
}

std::string printable(const char* buffer, std::size_t size) {
  std::string text(buffer, std::find(buffer, buffer + size, '\0'));
  std::erase_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  return text;
}

// A driver that is older than the question answers "invalid value".
std::optional<int> ask(const Driver& driver, abi::Device device, abi::Attribute attribute) {
  int value = 0;
  if (driver.deviceAttribute(&value, attribute, device) != abi::kSuccess) return std::nullopt;
  return value;
}

std::optional<bool> askWhether(const Driver& driver, abi::Device device, abi::Attribute attribute) {
  const auto value = ask(driver, device, attribute);
  if (!value) return std::nullopt;
  return *value != 0;
}

void askPaths(const Driver& driver, abi::Device device, DeviceFacts& facts) {
  facts.gpuDirectRdma = askWhether(driver, device, abi::kGdr);
  facts.dmaBuf = askWhether(driver, device, abi::kDmaBuf);
  facts.gpuDirectRdmaWithVmm = askWhether(driver, device, abi::kGdrWithVmm);
  facts.hostAllocDmaBuf = askWhether(driver, device, abi::kHostAllocDmaBuf);
  if (const auto options = ask(driver, device, abi::kGdrFlushOptions))
    facts.gpuDirectFlushByHost = (*options & abi::kFlushByHost) != 0;
  facts.gpuDirectWritesOrdering = ask(driver, device, abi::kGdrWritesOrdering);
  facts.virtualMemory = askWhether(driver, device, abi::kVirtualMemoryManagement);
  facts.pageableMemoryAccess = askWhether(driver, device, abi::kPageableMemoryAccess);
  facts.pageableUsesHostPageTables = askWhether(driver, device, abi::kPageableUsesHostPageTables);
  facts.hostNativeAtomics = askWhether(driver, device, abi::kHostNativeAtomics);
  facts.concurrentManagedAccess = askWhether(driver, device, abi::kConcurrentManagedAccess);
  facts.canMapHostMemory = askWhether(driver, device, abi::kCanMapHostMemory);
  facts.unifiedAddressing = askWhether(driver, device, abi::kUnifiedAddressing);
  facts.mps = askWhether(driver, device, abi::kMpsEnabled);
}

}  // namespace

bool sameUuid(std::string_view wanted, std::string_view uuid) {
  return toLower(withoutKind(wanted)) == toLower(withoutKind(uuid));
}

Result<CudaOpening> Cuda::open(const std::vector<std::string>& libraries) {
  RAILHEAD_TRY_ASSIGN(auto opening, Driver::open(libraries));
  if (opening.driver == nullptr) return CudaOpening{std::nullopt, std::move(opening.absence)};
  return CudaOpening{Cuda(std::move(opening.driver)), {}};
}

std::string Cuda::libraryPath() const { return driver_->path(); }

int Cuda::version() const {
  int version = 0;
  return driver_->driverVersion(&version) == abi::kSuccess ? version : 0;
}

std::string Cuda::versionText() const {
  const int code = version();
  return std::to_string(code / 1000) + "." + std::to_string(code % 1000 / 10);
}

Result<DeviceFacts> Cuda::factsOf(int ordinal) const {
  const Driver& driver = *driver_;
  const std::string what = "ask CUDA device " + std::to_string(ordinal);
  DeviceFacts facts;
  facts.ordinal = ordinal;
  abi::Device device = 0;
  RAILHEAD_TRY(driver.check(driver.deviceByOrdinal(&device, ordinal), what));
  char name[abi::kNameBytes] = {};
  RAILHEAD_TRY(driver.check(driver.deviceName(name, abi::kNameBytes, device), what));
  facts.name = printable(name, sizeof name);
  abi::Uuid uuid{};
  const auto uuidCall =
      driver.deviceUuidOfInstance != nullptr ? driver.deviceUuidOfInstance : driver.deviceUuid;
  RAILHEAD_TRY(driver.check(uuidCall(&uuid, device), what));
  facts.uuid = uuidText(uuid);
  char pci[abi::kPciAddressBytes] = {};
  if (driver.devicePciAddress(pci, abi::kPciAddressBytes, device) == abi::kSuccess) {
    const auto parsed = PciAddress::parse(toLower(printable(pci, sizeof pci)));
    if (parsed) facts.pci = *parsed;
  }
  std::size_t bytes = 0;
  RAILHEAD_TRY(driver.check(driver.deviceMemory(&bytes, device), what));
  facts.memoryBytes = bytes;
  facts.compute = {ask(driver, device, abi::kComputeMajor).value_or(0),
                   ask(driver, device, abi::kComputeMinor).value_or(0)};
  facts.multiprocessors = ask(driver, device, abi::kMultiprocessors).value_or(0);
  facts.integrated = askWhether(driver, device, abi::kIntegrated).value_or(false);
  askPaths(driver, device, facts);
  return facts;
}

Result<std::vector<DeviceFacts>> Cuda::devices() const {
  int count = 0;
  RAILHEAD_TRY(driver_->check(driver_->deviceCount(&count), "count CUDA devices"));
  std::vector<DeviceFacts> out;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    RAILHEAD_TRY_ASSIGN(auto facts, factsOf(ordinal));
    out.push_back(std::move(facts));
  }
  return out;
}

Result<DeviceFacts> Cuda::device(std::string_view name) const {
  RAILHEAD_TRY_ASSIGN(const auto all, devices());
  std::vector<std::string> present;
  for (const DeviceFacts& facts : all) {
    const std::string ordinal = std::to_string(facts.ordinal);
    if (name == ordinal || sameUuid(name, facts.uuid)) return facts;
    present.push_back(ordinal + " (" + facts.uuid + ")");
  }
  return Error(ErrorCode::kNotFound,
               "no CUDA device " + inQuotes(name) +
                   "; there are: " + (present.empty() ? "none" : join(present, ", ")),
               "CUDA_VISIBLE_DEVICES and the container's devices decide what is seen");
}

Result<std::shared_ptr<const Context>> Cuda::retain(int ordinal) const {
  RAILHEAD_TRY_ASSIGN(auto facts, factsOf(ordinal));
  return Context::retain(driver_, std::move(facts));
}

}  // namespace railhead::gpu::cuda
