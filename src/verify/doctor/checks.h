// The single checks, by what they look at. The list that binds them is in checks.cc.
#pragma once

#include "src/verify/doctor/check.h"

#include <string>
#include <vector>

namespace railhead::verify::doctor {

// rails.cc: the NIC, its twins, its VFs.
std::string needsTwins(const Patient& patient);
std::string needsRdma(const Patient& patient);
std::string needsVfs(const Patient& patient);
std::vector<Finding> oneTwinDown(const Patient& patient);
std::vector<Finding> vfsOnOneTwin(const Patient& patient);
std::vector<Finding> narrowPcie(const Patient& patient);
std::vector<Finding> smallRdmaMtu(const Patient& patient);
std::vector<Finding> cableReplugged(const Patient& patient);
std::vector<Finding> vfIdentity(const Patient& patient);
std::vector<Finding> vfUnbound(const Patient& patient);
std::vector<Finding> bonded(const Patient& patient);

// reach.cc: what keeps RDMA from being opened or addressed.
std::string needsLockLimit(const Patient& patient);
std::string needsRailsInUse(const Patient& patient);
std::string needsPlan(const Patient& patient);
std::vector<Finding> lockedMemory(const Patient& patient);
std::vector<Finding> contiguousMemory(const Patient& patient);
std::vector<Finding> memoryHeadroom(const Patient& patient);
std::vector<Finding> noIpv4Gid(const Patient& patient);
std::vector<Finding> noVerbsNode(const Patient& patient);

// settings.cc: what NCCL is told and what it is.
std::string needsLog(const Patient& patient);
std::string needsDevices(const Patient& patient);
std::string needsChannelsAndRails(const Patient& patient);
std::string needsVersion(const Patient& patient);
std::string needsGpu(const Patient& patient);
std::string needsPod(const Patient& patient);
std::vector<Finding> pinnedGid(const Patient& patient);
std::vector<Finding> unchosenDevices(const Patient& patient);
std::vector<Finding> uselessGdrLevel(const Patient& patient);
std::vector<Finding> staleNcclConf(const Patient& patient);
std::vector<Finding> developmentBuild(const Patient& patient);

// runs.cc: what a run's log and measurements show.
std::string needsRates(const Patient& patient);
std::vector<Finding> socketFallback(const Patient& patient);
std::vector<Finding> oneRailInUse(const Patient& patient);
std::vector<Finding> mergedFunctions(const Patient& patient);
std::vector<Finding> throttledNic(const Patient& patient);

// kubernetes.cc: configuration of the pod network.
std::string needsCniFiles(const Patient& patient);
std::string needsMultus(const Patient& patient);
std::vector<Finding> hostLocalAddresses(const Patient& patient);
std::vector<Finding> unknownSriovKey(const Patient& patient);
std::vector<Finding> ciliumExclusive(const Patient& patient);
std::vector<Finding> multusMemory(const Patient& patient);

}  // namespace railhead::verify::doctor
