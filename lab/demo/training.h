// The last part of the demo's journey: the reference trainer on every node, its gradients over the
// pods' rails; once undisturbed, once with a rank killed on the way; and both compared. Each run is
// a command that a user could give: railhead train run --on lab.
#pragma once

#include "lab/client/lab_client.h"
#include "lab/topology/topology.h"
#include "src/base/result.h"
#include "src/report/model/report.h"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace railhead::lab {

struct TrainingPlan {
  std::string program;  // railhead
  std::string lab;      // the running lab's name
  std::string folder;   // absolute; the nodes share it, and runs are left in it
};

// Puts the run file and the text into the folder. kEnvironment: this machine has no text.
Result<void> prepareTraining(const TrainingPlan& plan, const Topology& topology);

// What moved on the pods' rails: all pods together, since each began.
struct RailCounters {
  std::uint64_t rdmaPackets = 0;  // sent
  std::uint64_t tcpSegments = 0;  // sent
  std::uint64_t wireBytes = 0;    // passed on by the links

  bool operator==(const RailCounters&) const = default;
};
// From one pod's counters: `rdma -j statistic` of each device, a line each, then /proc/net/snmp.
// kCorrupt names what is missing. Pure.
Result<RailCounters> parsePodCounters(const std::string& text);

// Fills `training` as far as it comes. kCheckFailed: the runs differ, or something else than RDMA
// may have carried the gradients.
Result<void> trainTwice(const TrainingPlan& plan, const LabClient& lab,
                        const std::vector<report::Pod>& pods, report::Training& training);

// Whether RDMA carried the gradients: its packets can hold what had to move, TCP's cannot, and the
// wires passed on that much. Empty, or what does not fit. Pure.
std::string doubtOf(const report::Training& training, std::uint64_t mtu);

}  // namespace railhead::lab
