#include "src/gpu/condition.h"

#include <string>

namespace railhead::gpu {
namespace {

// Empty: none is needed, or an action that this list does not know.
std::string recoveryText(unsigned int action) {
  switch (action) {
    case abi::kRecoveryReset:
      return "the driver asks for a reset of the GPU";
    case abi::kRecoveryReboot:
      return "the driver asks for a reboot of the node";
    case abi::kRecoveryDrainP2p:
      return "the driver asks to drain peer-to-peer traffic";
    case abi::kRecoveryDrainAndReset:
      return "the driver asks to drain and reset the GPU";
    case abi::kRecoveryImexDomain:
      return "the driver asks to recover the IMEX domain";
    default:
      return {};
  }
}

bool isBroken(abi::Return code) { return code == abi::kGpuIsLost || code == abi::kResetRequired; }

}  // namespace

GpuCondition readCondition(const Nvml& nvml, abi::Device device) {
  GpuCondition condition;
  // Queries that reach the device; the answers themselves do not matter.
  abi::Return code = abi::kSuccess;
  (void)ask<abi::Memory>(code, nvml.memory, device);
  if (!isBroken(code)) (void)ask<unsigned>(code, nvml.pcieWidth, device);
  if (isBroken(code)) {
    condition.fault = nvmlCodeText(code);
    condition.lost = code == abi::kGpuIsLost;
    return condition;
  }
  if (const auto action = askField(nvml, device, abi::kFieldRecoveryAction)) {
    condition.fault = recoveryText(*action);
    condition.verdict = *action == abi::kRecoveryNone;
  }
  unsigned corrected = 0;
  unsigned uncorrected = 0;
  unsigned pending = 0;
  unsigned failed = 0;
  if (nvml.remappedRows != nullptr &&
      nvml.remappedRows(device, &corrected, &uncorrected, &pending, &failed) == abi::kSuccess) {
    if (pending != 0) condition.pending = "a row remapping waits for a reset of the GPU";
    condition.remapFailed = failed != 0;
  }
  if (const auto retired = ask<unsigned>(nvml.retiredPagesPending, device); retired == 1U)
    condition.pending = "a page retirement waits for a reset of the GPU";
  return condition;
}

}  // namespace railhead::gpu
