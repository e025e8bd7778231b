// RDMA between two pods of the lab: our own bench with its data check, then perftest on the same
// path.
#pragma once

#include "lab/demo/node_shell.h"
#include "lab/topology/topology.h"
#include "src/base/result.h"
#include "src/report/model/report.h"

#include <vector>

namespace railhead::lab {

struct PodEnd {
  NodeShell shell;
  report::Pod pod;  // with its interfaces
};

struct MeasurePlan {
  std::vector<BitRate> lineRates;  // of each rail's link, in the order of the pod's interfaces
  double seconds = 4;
  std::uint64_t messageBytes = 64 * 1024;
};

// Every byte checked in both directions; bandwidth over each rail alone and all at once; latency.
// kCheckFailed when a byte is wrong: `rdma` then says how many.
Result<void> measureRdma(const PodEnd& from, const PodEnd& to, const MeasurePlan& plan,
                         report::Rdma& rdma);

// Several pairs' measurements as one: bytes added up, rails listed pair after pair. Every other
// figure, from and to included, is the slowest pair's: the one with a wrong byte, else the one with
// the lowest bandwidth over all rails. Pure; `pairs` is not empty.
report::Rdma joinPairs(const std::vector<report::Rdma>& pairs);

// ib_write_bw over the first rail of one pair. Adds perftest_gbps to `rdma` and to that rail of it.
Result<void> measurePerftest(const PodEnd& from, const PodEnd& to, const MeasurePlan& plan,
                             report::Rdma& rdma);

// The "BW average" column of ib_write_bw --report_gbits. kCorrupt when there is none. Pure.
Result<double> parsePerftest(std::string_view output);

// What `railhead bench verbs --json` prints on its connecting end. Pure.
Result<report::Rdma> parseBench(std::string_view json, const report::Pod& from,
                                const report::Pod& to);

}  // namespace railhead::lab
