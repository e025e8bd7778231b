// What keeps RDMA from being opened, registered or addressed.
#include "src/base/text.h"
#include "src/base/units.h"
#include "src/verify/doctor/checks.h"

#include <algorithm>

namespace railhead::verify::doctor {
namespace {

constexpr std::uint64_t kEnoughLocked = 1ULL << 30;  // NCCL's buffers of a few channels fit
constexpr const char* kSilentSockets =
    "ibv_reg_mr fails with ENOMEM, then NCCL takes sockets "
    "without a word: 2-3 instead of 23 GB/s on two Sparks";

}  // namespace

std::string needsLockLimit(const Patient& patient) {
  const auto& memory = patient.memory;
  if (memory.lockLimit || memory.lockUnlimited || memory.ipcLock) return "";
  return "this process's limits and capabilities cannot be read";
}

std::string needsRailsInUse(const Patient& patient) {
  if (patient.ports.empty()) return "no RDMA device can be seen here";
  return railsInUse(patient).empty() ? "no rail is in use here: none is up and active" : "";
}

std::string needsPlan(const Patient& patient) {
  if (!patient.plannedBytes) return "no buffer size is planned: give the size of the test";
  return patient.memory.available ? "" : "MemAvailable cannot be read";
}

std::vector<Finding> lockedMemory(const Patient& patient) {
  const auto& memory = patient.memory;
  if (memory.ipcLock.value_or(false) || memory.lockUnlimited) return {};
  if (!memory.lockLimit || *memory.lockLimit >= kEnoughLocked) return {};
  return {{Severity::kBroken, "locked memory",
           "the limit is " + formatBytes(*memory.lockLimit) +
               " (/proc/self/limits) and CAP_IPC_LOCK "
               "is not held",
           kSilentSockets,
           "add the capability IPC_LOCK to the container, or raise the limit of the runtime's "
           "service (LimitMEMLOCK=infinity)"}};
}

std::vector<Finding> contiguousMemory(const Patient& patient) {
  const bool affected = patient.node.kernel == "7.0.0-1019-nvidia";
  if (!affected || !patient.memory.cmaTotal || *patient.memory.cmaTotal > 0) return {};
  return {{Severity::kBroken, "contiguous memory",
           "CmaTotal is 0 on kernel " + patient.node.kernel + " (/proc/meminfo)", kSilentSockets,
           "boot another kernel, or give this one cma=256M on its command line"}};
}

std::vector<Finding> memoryHeadroom(const Patient& patient) {
  const std::uint64_t available = *patient.memory.available;
  // An integrated GPU takes its buffers from the memory that the node runs in.
  const bool unified = patient.gpu && patient.gpu->integrated.value_or(false);
  const std::uint64_t planned = *patient.plannedBytes;
  if (!unified || planned <= available / 2) return {};
  return {{Severity::kBroken, "unified memory",
           formatBytes(planned) + " of buffers are planned and " + formatBytes(available) +
               " are available (MemAvailable), from which this GPU takes its memory",
           "a 16 GB test takes about 32 GB of a Spark's memory and froze the node",
           "test with smaller buffers: 8 GiB tell as much"}};
}

std::vector<Finding> noIpv4Gid(const Patient& patient) {
  std::vector<Finding> findings;
  for (const auto* port : railsInUse(patient)) {
    const auto* function = functionOf(patient, port->device);
    const auto* pf = function == nullptr ? nullptr : discover::findPf(patient.node, function->pci);
    if (pf != nullptr && pf->linkType == discover::LinkType::kInfiniband) continue;
    const bool has = std::any_of(port->gids.begin(), port->gids.end(), [](const auto& gid) {
      return gid.ipv4() && gid.type == "RoCE v2";
    });
    if (has) continue;
    findings.push_back({Severity::kBroken, label(*port),
                        "none of its " + std::to_string(port->gids.size()) +
                            " GIDs is a RoCE v2 GID of an IPv4 address",
                        "NCCL finds no GID to use and takes sockets without a word: 2-3 GB/s",
                        "give " + port->netdev + " an IPv4 address (the network's IPAM in a pod)"});
  }
  return findings;
}

std::vector<Finding> noVerbsNode(const Patient& patient) {
  std::vector<Finding> findings;
  const auto look = [&](const discover::PciFunction& function) {
    for (const auto& rdma : function.rdma) {
      if (!rdma.uverbs.empty()) continue;
      findings.push_back({Severity::kBroken, rdma.name, "it has no uverbs device",
                          "no program can open it: NCCL says \"No device found\" and takes sockets",
                          "load ib_uverbs (on Talos: machine.kernel.modules)"});
    }
  };
  for (const auto& pf : patient.node.pfs) {
    look(pf);
    for (const auto& vf : pf.vfs) look(vf);
  }
  for (const auto& nic : patient.node.otherNics) look(nic);
  return findings;
}

}  // namespace railhead::verify::doctor
