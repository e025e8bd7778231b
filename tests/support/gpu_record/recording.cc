#include "tests/support/gpu_record/recording.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace railhead::testing_support {
namespace {

namespace abi = gpu::abi;
using Json = nlohmann::ordered_json;
using gpu::Nvml;

Json refusal(abi::Return code) { return {{"return", code}}; }

std::string textOf(const char* buffer, std::size_t size) {
  return std::string(buffer, std::find(buffer, buffer + size, '\0'));
}

Json pciJson(const abi::PciInfo& pci) {
  return {{"domain", pci.domain},
          {"bus", pci.bus},
          {"device", pci.device},
          {"pciDeviceId", pci.pciDeviceId},
          {"pciSubSystemId", pci.pciSubSystemId},
          {"busId", textOf(pci.busId, sizeof pci.busId)},
          {"busIdLegacy", textOf(pci.busIdLegacy, sizeof pci.busIdLegacy)}};
}

Json fieldJson(const abi::FieldValue& field) {
  if (field.nvmlReturn != abi::kSuccess) return refusal(field.nvmlReturn);
  switch (field.valueType) {
    case 0:
      return field.value.real;
    case 1:
      return field.value.unsignedInt;
    case 2:
      return field.value.unsignedLong;
    case 3:
      return field.value.unsignedLongLong;
    case 4:
      return field.value.signedLongLong;
    case 5:
      return field.value.signedInt;
    case 6:
      return field.value.unsignedShort;
    default:
      return {{"valueType", field.valueType}};
  }
}

class Recorder {
 public:
  Recorder(const std::shared_ptr<Nvml>& nvml, Recording& recording)
      : nvml_(nvml), recording_(recording) {}

  void system();
  void gpus();

 private:
  // Calls and times it; the value is made from what the call filled in.
  template <typename Call, typename Make, typename... Arguments>
  Json answer(const char* name, Make make, Call call, Arguments... arguments) {
    if (call == nullptr) return refusal(abi::kFunctionNotFound);
    const auto start = std::chrono::steady_clock::now();
    const abi::Return code = call(arguments...);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    double& slowest = recording_.slowestMicroseconds[name];
    slowest = std::max(slowest, took.count());
    return code == abi::kSuccess ? Json(make()) : refusal(code);
  }
  template <typename Value, typename Call, typename... Arguments>
  Json scalar(const char* name, Call call, Arguments... arguments) {
    Value value{};
    return answer(
        name, [&] { return Json(value); }, call, arguments..., &value);
  }
  template <typename Call, typename... Arguments>
  Json text(const char* name, Call call, Arguments... arguments) {
    char buffer[96] = {};
    return answer(
        name, [&] { return Json(textOf(buffer, sizeof buffer)); }, call, arguments..., buffer,
        static_cast<unsigned int>(sizeof buffer));
  }
  template <typename Call>
  Json two(const char* name, const char* first, const char* second, Call call, abi::Device gpu) {
    unsigned a = 0;
    unsigned b = 0;
    return answer(
        name,
        [&] {
          return Json{{first, a}, {second, b}};
        },
        call, gpu, &a, &b);
  }

  Json oneGpu(abi::Device device, const std::vector<abi::Device>& all);
  void identity(Json& out, abi::Device device);
  void memory(Json& out, abi::Device device);
  void errors(Json& out, abi::Device device);
  void events(Json& out, abi::Device device);
  void links(Json& out, abi::Device device);
  Json migs(abi::Device device);

  std::shared_ptr<Nvml> nvml_;
  Recording& recording_;
};

void Recorder::system() {
  recording_.system = {
      {"nvmlSystemGetDriverVersion", text("nvmlSystemGetDriverVersion", nvml_->driverVersion)},
      {"nvmlSystemGetNVMLVersion", text("nvmlSystemGetNVMLVersion", nvml_->nvmlVersion)},
      {"nvmlSystemGetCudaDriverVersion_v2",
       scalar<int>("nvmlSystemGetCudaDriverVersion_v2", nvml_->cudaVersion)}};
}

void Recorder::identity(Json& out, abi::Device device) {
  out["nvmlDeviceGetName"] = text("nvmlDeviceGetName", nvml_->name, device);
  out["nvmlDeviceGetUUID"] = text("nvmlDeviceGetUUID", nvml_->uuid, device);
  out["nvmlDeviceGetMinorNumber"] =
      scalar<unsigned>("nvmlDeviceGetMinorNumber", nvml_->minorNumber, device);
  abi::PciInfo pci{};
  out["nvmlDeviceGetPciInfo_v3"] = answer(
      "nvmlDeviceGetPciInfo_v3", [&] { return pciJson(pci); }, nvml_->pciInfo, device, &pci);
  int major = 0;
  int minor = 0;
  out["nvmlDeviceGetCudaComputeCapability"] = answer(
      "nvmlDeviceGetCudaComputeCapability",
      [&] {
        return Json{{"major", major}, {"minor", minor}};
      },
      nvml_->computeCapability, device, &major, &minor);
  out["nvmlDeviceGetNumaNodeId"] =
      scalar<unsigned>("nvmlDeviceGetNumaNodeId", nvml_->numaNode, device);
  out["nvmlDeviceGetMigMode"] =
      two("nvmlDeviceGetMigMode", "current", "pending", nvml_->migMode, device);
  out["nvmlDeviceGetMaxMigDeviceCount"] =
      scalar<unsigned>("nvmlDeviceGetMaxMigDeviceCount", nvml_->maxMigDevices, device);
}

void Recorder::memory(Json& out, abi::Device device) {
  abi::Memory one{};
  out["nvmlDeviceGetMemoryInfo"] = answer(
      "nvmlDeviceGetMemoryInfo",
      [&] {
        return Json{{"total", one.total}, {"free", one.free}, {"used", one.used}};
      },
      nvml_->memory, device, &one);
  abi::MemoryV2 two{};
  two.version = abi::kMemoryV2Version;
  out["nvmlDeviceGetMemoryInfo_v2"] = answer(
      "nvmlDeviceGetMemoryInfo_v2",
      [&] {
        return Json{{"total", two.total},
                    {"reserved", two.reserved},
                    {"free", two.free},
                    {"used", two.used}};
      },
      nvml_->memoryV2, device, &two);
  const std::pair<const char*, abi::Return (*)(abi::Device, unsigned int*)> pcie[] = {
      {"nvmlDeviceGetCurrPcieLinkGeneration", nvml_->pcieGeneration},
      {"nvmlDeviceGetMaxPcieLinkGeneration", nvml_->pcieMaxGeneration},
      {"nvmlDeviceGetCurrPcieLinkWidth", nvml_->pcieWidth},
      {"nvmlDeviceGetMaxPcieLinkWidth", nvml_->pcieMaxWidth}};
  for (const auto& [name, call] : pcie) out[name] = scalar<unsigned>(name, call, device);
}

void Recorder::errors(Json& out, abi::Device device) {
  out["nvmlDeviceGetEccMode"] =
      two("nvmlDeviceGetEccMode", "current", "pending", nvml_->eccMode, device);
  const char* keys[2][2] = {{"volatileCorrected", "aggregateCorrected"},
                            {"volatileUncorrected", "aggregateUncorrected"}};
  Json counts = Json::object();
  for (const unsigned type : {abi::kErrorCorrected, abi::kErrorUncorrected}) {
    for (const unsigned counter : {abi::kEccVolatile, abi::kEccAggregate}) {
      counts[keys[type][counter]] = scalar<unsigned long long>(
          "nvmlDeviceGetTotalEccErrors", nvml_->eccErrors, device, type, counter);
    }
  }
  const Json first = counts["volatileCorrected"];
  out["nvmlDeviceGetTotalEccErrors"] = first.is_object() ? first : counts;
  unsigned rows[4] = {};
  out["nvmlDeviceGetRemappedRows"] = answer(
      "nvmlDeviceGetRemappedRows",
      [&] {
        return Json{{"corrected", rows[0]},
                    {"uncorrected", rows[1]},
                    {"pending", rows[2]},
                    {"failure", rows[3]}};
      },
      nvml_->remappedRows, device, &rows[0], &rows[1], &rows[2], &rows[3]);
  out["nvmlDeviceGetRetiredPagesPendingStatus"] = scalar<unsigned>(
      "nvmlDeviceGetRetiredPagesPendingStatus", nvml_->retiredPagesPending, device);
  // Recovery action; pages waiting for retirement; rows waiting for remapping; a failed remapping.
  Json fields = Json::object();
  for (const unsigned id : {abi::kFieldRecoveryAction, 31U, 144U, 145U}) {
    abi::FieldValue field{};
    field.fieldId = id;
    const Json got = answer(
        "nvmlDeviceGetFieldValues", [&] { return fieldJson(field); }, nvml_->fieldValues, device, 1,
        &field);
    fields[std::to_string(id)] = got;
  }
  out["nvmlDeviceGetFieldValues"] = fields;
}

// Each type alone, on an event set of its own: a refusal must not spoil the next answer.
void Recorder::events(Json& out, abi::Device device) {
  out["nvmlDeviceGetSupportedEventTypes"] = scalar<unsigned long long>(
      "nvmlDeviceGetSupportedEventTypes", nvml_->supportedEvents, device);
  Json registered = Json::object();
  for (const auto type :
       {abi::kEventSingleBitEcc, abi::kEventDoubleBitEcc, abi::kEventPState, abi::kEventXid,
        abi::kEventClock, abi::kEventPowerSource, abi::kEventMigConfig,
        abi::kEventSingleBitEccStorm, abi::kEventDramRetirement, abi::kEventDramRetirementFailure,
        abi::kEventNonFatalPoison, abi::kEventFatalPoison, abi::kEventGpuUnavailable,
        abi::kEventRecoveryAction}) {
    abi::EventSet set = nullptr;
    const Json made = answer(
        "nvmlEventSetCreate", [] { return Json(0); }, nvml_->eventSetCreate, &set);
    if (made != Json(0)) {
      out["nvmlDeviceRegisterEvents"] = made;
      return;
    }
    const Json code = answer(
        "nvmlDeviceRegisterEvents", [] { return Json(0); }, nvml_->registerEvents, device, type,
        set);
    registered[std::to_string(type)] = code.is_object() ? code["return"] : code;
    (void)answer(
        "nvmlEventSetFree", [] { return Json(0); }, nvml_->eventSetFree, set);
  }
  out["nvmlDeviceRegisterEvents"] = registered;
}

void Recorder::links(Json& out, abi::Device device) {
  Json states = Json::array();
  Json types = Json::array();
  Json peers = Json::array();
  bool any = false;
  for (unsigned link = 0; link < abi::kMaxNvLinks; ++link) {
    const Json state =
        scalar<unsigned>("nvmlDeviceGetNvLinkState", nvml_->nvLinkState, device, link);
    if (state == refusal(abi::kInvalidArgument) || state == refusal(abi::kFunctionNotFound)) break;
    any = any || !state.is_object();
    states.push_back(state);
    types.push_back(scalar<unsigned>("nvmlDeviceGetNvLinkRemoteDeviceType", nvml_->nvLinkRemoteType,
                                     device, link));
    abi::PciInfo pci{};
    peers.push_back(answer(
        "nvmlDeviceGetNvLinkRemotePciInfo_v2", [&] { return pciJson(pci); }, nvml_->nvLinkRemotePci,
        device, link, &pci));
  }
  if (!any) {
    out["nvmlDeviceGetNvLinkState"] = states.empty() ? refusal(abi::kNotSupported) : states[0];
    return;
  }
  out["nvmlDeviceGetNvLinkState"] = states;
  out["nvmlDeviceGetNvLinkRemoteDeviceType"] = types;
  out["nvmlDeviceGetNvLinkRemotePciInfo_v2"] = peers;
}

Json Recorder::migs(abi::Device device) {
  Json list = Json::array();
  const unsigned slots = gpu::ask<unsigned>(nvml_->maxMigDevices, device).value_or(0);
  for (unsigned slot = 0; slot < std::min(slots, 64U); ++slot) {
    const auto mig = gpu::ask<abi::Device>(nvml_->migDevice, device, slot);
    if (!mig) continue;
    Json out{{"slot", slot}};
    out["nvmlDeviceGetName"] = text("nvmlDeviceGetName", nvml_->name, *mig);
    out["nvmlDeviceGetUUID"] = text("nvmlDeviceGetUUID", nvml_->uuid, *mig);
    out["nvmlDeviceGetGpuInstanceId"] =
        scalar<unsigned>("nvmlDeviceGetGpuInstanceId", nvml_->gpuInstance, *mig);
    out["nvmlDeviceGetComputeInstanceId"] =
        scalar<unsigned>("nvmlDeviceGetComputeInstanceId", nvml_->computeInstance, *mig);
    abi::Attributes found{};
    out["nvmlDeviceGetAttributes_v2"] = answer(
        "nvmlDeviceGetAttributes_v2",
        [&] {
          return Json{{"multiprocessorCount", found.multiprocessorCount},
                      {"sharedCopyEngineCount", found.sharedCopyEngineCount},
                      {"sharedDecoderCount", found.sharedDecoderCount},
                      {"sharedEncoderCount", found.sharedEncoderCount},
                      {"sharedJpegCount", found.sharedJpegCount},
                      {"sharedOfaCount", found.sharedOfaCount},
                      {"gpuInstanceSliceCount", found.gpuInstanceSliceCount},
                      {"computeInstanceSliceCount", found.computeInstanceSliceCount},
                      {"memorySizeMB", found.memorySizeMB}};
        },
        nvml_->attributes, *mig, &found);
    list.push_back(out);
  }
  return list;
}

Json Recorder::oneGpu(abi::Device device, const std::vector<abi::Device>& all) {
  Json out = Json::object();
  identity(out, device);
  memory(out, device);
  errors(out, device);
  events(out, device);
  links(out, device);
  Json levels = Json::array();
  for (const auto other : all) {
    levels.push_back(other == device ? Json()
                                     : scalar<unsigned>("nvmlDeviceGetTopologyCommonAncestor",
                                                        nvml_->commonAncestor, device, other));
  }
  out["nvmlDeviceGetTopologyCommonAncestor"] = levels;
  Json slices = migs(device);
  if (!slices.empty()) out["migDevices"] = std::move(slices);
  return out;
}

void Recorder::gpus() {
  std::vector<abi::Device> devices;
  const unsigned count = gpu::ask<unsigned>(nvml_->count).value_or(0);
  for (unsigned index = 0; index < std::min(count, 256U); ++index) {
    if (const auto device = gpu::ask<abi::Device>(nvml_->handleByIndex, index))
      devices.push_back(*device);
  }
  recording_.gpus = Json::array();
  for (const auto device : devices) recording_.gpus.push_back(oneGpu(device, devices));
}

}  // namespace

Recording recordNvml(const std::shared_ptr<Nvml>& nvml) {
  Recording recording;
  Recorder recorder(nvml, recording);
  recorder.system();
  recorder.gpus();
  return recording;
}

}  // namespace railhead::testing_support
