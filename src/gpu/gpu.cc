#include "src/gpu/gpu.h"

#include "src/base/text.h"
#include "src/base/units.h"
#include "src/gpu/device_list.h"
#include "src/gpu/nvml.h"

#include <cmath>
#include <utility>

namespace railhead::gpu {
namespace {

// Nothing for numbers that no PCI address has: the library's answers are outside input.
std::optional<PciAddress> pciAddress(const abi::PciInfo& info) {
  if (info.bus > 0xff || info.device > 0x1f) return std::nullopt;
  return PciAddress{info.domain, static_cast<std::uint8_t>(info.bus),
                    static_cast<std::uint8_t>(info.device), 0};
}

// "... MIG 3g.40gb" is the name of a MIG device; the last word is its profile. Older drivers give
// the GPU's name: then it is made from the slices, the memory as that share of the GPU's, in
// eighths.
std::string migProfile(const std::string& name, const MigDevice& mig,
                       std::optional<std::uint64_t> gpuBytes) {
  const auto at = name.rfind(" MIG ");
  if (at != std::string::npos) return name.substr(at + 5);
  if (mig.gpuSlices == 0 || !mig.memoryBytes || !gpuBytes || *gpuBytes == 0) return {};
  const double eighths =
      std::round(static_cast<double>(*mig.memoryBytes) * 8 / static_cast<double>(*gpuBytes));
  const double gpuGb = std::ceil(static_cast<double>(*gpuBytes) / static_cast<double>(1024 * kMiB));
  const auto gb = static_cast<int>(std::lround(eighths / 8 * gpuGb));
  std::string profile = std::to_string(mig.gpuSlices) + "g." + std::to_string(gb) + "gb";
  if (mig.computeSlices != 0 && mig.computeSlices != mig.gpuSlices)
    profile = std::to_string(mig.computeSlices) + "c." + profile;
  return profile;
}

MigDevice readMig(const Nvml& nvml, const MigHandle& handle,
                  std::optional<std::uint64_t> gpuBytes) {
  MigDevice mig;
  mig.uuid = handle.uuid;
  mig.gpuInstance = handle.gpuInstance;
  mig.computeInstance = handle.computeInstance;
  if (const auto found = ask<abi::Attributes>(nvml.attributes, handle.device)) {
    mig.memoryBytes = found->memorySizeMB * kMiB;
    mig.multiprocessors = found->multiprocessorCount;
    mig.gpuSlices = found->gpuInstanceSliceCount;
    mig.computeSlices = found->computeInstanceSliceCount;
    mig.copyEngines = found->sharedCopyEngineCount;
    mig.decoders = found->sharedDecoderCount;
    mig.encoders = found->sharedEncoderCount;
    mig.jpegEngines = found->sharedJpegCount;
    mig.ofaEngines = found->sharedOfaCount;
  }
  mig.profile = migProfile(askText<abi::kNameBytes>(nvml.name, handle.device), mig, gpuBytes);
  return mig;
}

std::vector<NvLink> readNvLinks(const Nvml& nvml, abi::Device device) {
  std::vector<NvLink> links;
  for (unsigned link = 0; link < abi::kMaxNvLinks; ++link) {
    abi::Return code = abi::kSuccess;
    const auto active = ask<unsigned>(code, nvml.nvLinkState, device, link);
    if (code == abi::kFunctionNotFound || code == abi::kInvalidArgument) break;  // past the last
    if (!active) {
      if (link == 0) break;  // no NVLink at all
      continue;
    }
    if (*active != 1) continue;
    NvLink found{link, NvLinkPeer::kOther, std::nullopt};
    if (const auto type = ask<unsigned>(nvml.nvLinkRemoteType, device, link)) {
      if (*type == abi::kNvLinkToGpu) found.peer = NvLinkPeer::kGpu;
      if (*type == abi::kNvLinkToSwitch) found.peer = NvLinkPeer::kSwitch;
    }
    if (const auto pci = ask<abi::PciInfo>(nvml.nvLinkRemotePci, device, link))
      found.remote = pciAddress(*pci);
    links.push_back(found);
  }
  return links;
}

Distance distanceOf(unsigned level) {
  if (level < 10) return Distance::kSameBoard;
  if (level < 20) return Distance::kOneSwitch;
  if (level < 30) return Distance::kSwitches;
  if (level < 40) return Distance::kHostBridge;
  if (level < 50) return Distance::kNumaNode;
  return Distance::kSystem;
}

std::optional<EccCounts> readEcc(const Nvml& nvml, abi::Device device) {
  const auto corrected =
      ask<unsigned long long>(nvml.eccErrors, device, abi::kErrorCorrected, abi::kEccVolatile);
  const auto uncorrected =
      ask<unsigned long long>(nvml.eccErrors, device, abi::kErrorUncorrected, abi::kEccVolatile);
  if (!corrected || !uncorrected) return std::nullopt;
  return EccCounts{*corrected, *uncorrected};
}

Result<Gpu> readGpu(const Nvml& nvml, const GpuHandle& handle) {
  abi::Return code = abi::kSuccess;
  const auto device = handle.device;
  const auto pci = ask<abi::PciInfo>(code, nvml.pciInfo, device);
  const auto address = pci ? pciAddress(*pci) : std::nullopt;
  if (!address)
    return Error(ErrorCode::kUnavailable,
                 "it does not tell its PCI address: " + nvmlCodeText(code));
  Gpu gpu;
  gpu.uuid = handle.uuid;
  gpu.index = handle.index;
  gpu.pci = *address;
  gpu.name = askText<abi::kNameBytes>(nvml.name, device);
  gpu.minor = ask<unsigned>(nvml.minorNumber, device);
  if (const auto memory = ask<abi::Memory>(nvml.memory, device); memory && memory->total > 0)
    gpu.memoryBytes = memory->total;
  ComputeCapability compute;
  if (nvml.computeCapability != nullptr &&
      nvml.computeCapability(device, &compute.major, &compute.minor) == abi::kSuccess)
    gpu.compute = compute;
  gpu.memoryNumaNode = ask<unsigned>(nvml.numaNode, device);
  gpu.migCapable = handle.migCapable;
  gpu.migEnabled = handle.migEnabled;
  for (const auto& mig : handle.migs) gpu.migDevices.push_back(readMig(nvml, mig, gpu.memoryBytes));
  gpu.nvLinks = readNvLinks(nvml, device);
  gpu.ecc = readEcc(nvml, device);
  gpu.pcie.generation = ask<unsigned>(nvml.pcieGeneration, device);
  gpu.pcie.width = ask<unsigned>(nvml.pcieWidth, device);
  gpu.pcie.maxGeneration = ask<unsigned>(nvml.pcieMaxGeneration, device);
  gpu.pcie.maxWidth = ask<unsigned>(nvml.pcieMaxWidth, device);
  return gpu;
}

DriverInfo readDriver(const Nvml& nvml) {
  DriverInfo driver;
  driver.version = askText<abi::kVersionBytes>(nvml.driverVersion);
  driver.library = nvml.libraryPath();
  if (const auto cuda = ask<int>(nvml.cudaVersion)) {  // 12040 is 12.4
    driver.cudaMajor = *cuda / 1000;
    driver.cudaMinor = *cuda % 1000 / 10;
  }
  return driver;
}

}  // namespace

GpuLibrary::GpuLibrary(GpuLibraryOptions options, os::Filesystem* filesystem)
    : options_(std::move(options)), filesystem_(filesystem) {}

Result<GpuLibrary::Session> GpuLibrary::session() {
  const std::lock_guard lock(mutex_);
  if (nvml_) return Session{nvml_, {}};
  RAILHEAD_TRY_ASSIGN(auto opening, Nvml::open(options_.libraries));
  nvml_ = opening.session;
  return Session{nvml_, std::move(opening.absence)};
}

void GpuLibrary::release() {
  const std::lock_guard lock(mutex_);
  nvml_.reset();
}

void GpuLibrary::addSysfs(Gpu& gpu) const {
  if (filesystem_ == nullptr || options_.sys.empty()) return;
  const std::string folder = options_.sys + "/bus/pci/devices/" + gpu.pci.toString();
  // -1: the firmware does not say. A signed number, hence not readUnsigned.
  if (const auto text = filesystem_->readTrimmed(folder + "/numa_node")) {
    if (const auto node = parseUnsigned(*text); node && *node < 4096)
      gpu.numaNode = static_cast<int>(*node);
  }
  if (const auto text = filesystem_->readTrimmed(folder + "/class")) {
    if (const auto value = parseHex(*text); value && *value <= 0xffffff)
      gpu.pciClass = static_cast<std::uint32_t>(*value);
  }
}

Result<GpuInventory> GpuLibrary::inventory() {
  RAILHEAD_TRY_ASSIGN(const auto opened, session());
  GpuInventory inventory;
  inventory.absence = opened.absence;
  if (!opened.nvml) return inventory;
  const Nvml& nvml = *opened.nvml;
  inventory.driver = readDriver(nvml);
  RAILHEAD_TRY_ASSIGN(auto list, listDevices(nvml));
  inventory.problems = std::move(list.problems);
  std::vector<const GpuHandle*> read;
  for (const auto& handle : list.gpus) {
    auto gpu = readGpu(nvml, handle);
    if (!gpu) {
      inventory.problems.push_back("GPU " + std::to_string(handle.index) + " (" + handle.uuid +
                                   "): " + gpu.error().message);
      continue;
    }
    addSysfs(*gpu);
    inventory.gpus.push_back(std::move(*gpu));
    read.push_back(&handle);
  }
  for (std::size_t i = 0; i < read.size(); ++i) {
    for (std::size_t j = 0; j < read.size(); ++j) {
      if (i == j) continue;
      if (const auto level = ask<unsigned>(nvml.commonAncestor, read[i]->device, read[j]->device)) {
        inventory.gpus[i].distances.push_back({read[j]->index, distanceOf(*level)});
      }
    }
  }
  return inventory;
}

}  // namespace railhead::gpu
