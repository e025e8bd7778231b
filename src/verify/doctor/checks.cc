#include "src/verify/doctor/checks.h"

#include <array>

namespace railhead::verify::doctor {
namespace {

constexpr std::array<Check, 26> kChecks{{
    {"one-twin-down", "a PF without a link while its twin has one", needsTwins, oneTwinDown},
    {"vfs-on-one-twin", "twins with different numbers of VFs", needsTwins, vfsOnOneTwin},
    {"one-rail-in-use", "a node whose channels use one of several rails", needsChannelsAndRails,
     oneRailInUse},
    {"socket-fallback", "NET/Socket in the channel lines though a rail is up",
     needsChannelsAndRails, socketFallback},
    {"throttled-nic", "a rail below 20 Gb/s on fast links", needsRates, throttledNic},
    {"cable-replugged", "links that came up more than once since boot", needsRdma, cableReplugged},
    {"pcie-narrow", "fewer PCIe lanes than card and slot have", always, narrowPcie},
    {"rdma-mtu", "netdev MTUs that allow less than an RDMA MTU of 4096", needsRdma, smallRdmaMtu},
    {"memlock", "a small locked-memory limit without CAP_IPC_LOCK", needsLockLimit, lockedMemory},
    {"no-ipv4-gid", "rails in use without a RoCE v2 GID of an IPv4 address", needsRailsInUse,
     noIpv4Gid},
    {"vf-identity", "VFs with equal or zero MACs or a zero node GUID", needsVfs, vfIdentity},
    {"vf-unbound", "VFs without a driver", needsVfs, vfUnbound},
    {"no-uverbs", "RDMA devices without a uverbs device", needsRdma, noVerbsNode},
    {"bonding", "rails that are ports of a bond", needsRdma, bonded},
    {"cma-empty", "CmaTotal 0 on a kernel that needs it", always, contiguousMemory},
    {"gid-pinned", "NCCL_IB_GID_INDEX", needsRdma, pinnedGid},
    {"hca-unset", "foreign RDMA devices in sight without NCCL_IB_HCA", needsPod, unchosenDevices},
    {"gdr-level", "NCCL_NET_GDR_LEVEL on a GPU without GPUDirect RDMA", needsGpu, uselessGdrLevel},
    {"nccl-conf", "settings in /etc/nccl.conf", always, staleNcclConf},
    {"nccl-dev-build", "an NCCL that is no release", needsVersion, developmentBuild},
    {"merged-functions", "two functions of one slot made one device by NCCL", needsDevices,
     mergedFunctions},
    {"unified-memory", "planned buffers that a GPU takes from the node's own memory", needsPlan,
     memoryHeadroom},
    {"host-local", "networks of several nodes with host-local addresses", needsCniFiles,
     hostLocalAddresses},
    {"sriov-rdma-key", "\"rdma\" in a plugin of type sriov", needsCniFiles, unknownSriovKey},
    {"cilium-exclusive", "CNI configurations that Cilium renamed", always, ciliumExclusive},
    {"multus-memory", "Multus with less than 256 MiB", needsMultus, multusMemory},
}};

}  // namespace

std::string_view severityName(Severity severity) {
  switch (severity) {
    case Severity::kBroken:
      return "broken";
    case Severity::kDegraded:
      return "degraded";
    case Severity::kNotice:
      return "notice";
  }
  return "";
}

std::string always(const Patient& /*patient*/) { return ""; }

std::span<const Check> checks() { return kChecks; }

std::vector<CheckResult> runChecks(const Patient& patient) {
  std::vector<CheckResult> results;
  results.reserve(kChecks.size());
  for (const auto& check : kChecks) {
    CheckResult result{check.id, check.cannotRun(patient), {}};
    if (result.cannotRun.empty()) result.findings = check.run(patient);
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace railhead::verify::doctor
