// RDMA between two pods of the lab: our own bench with its data check, then perftest on the same
// path.
#pragma once

#include "lab/demo/node_shell.h"
#include "lab/topology/topology.h"
#include "src/base/result.h"
#include "src/report/model/report.h"

namespace railhead::lab {

struct PodEnd {
  NodeShell shell;
  report::Pod pod;  // with its interfaces
};

struct MeasurePlan {
  BitRate lineRate;  // of one rail
  double seconds = 4;
  std::uint64_t messageBytes = 64 * 1024;
};

// Every byte checked in both directions; bandwidth over each rail alone and all at once; latency.
// kCheckFailed when a byte is wrong.
Result<report::Rdma> measureRdma(const PodEnd& from, const PodEnd& to, const MeasurePlan& plan);

// ib_write_bw over the first rail. Adds perftest_gbps to `rdma`.
Result<void> measurePerftest(const PodEnd& from, const PodEnd& to, const MeasurePlan& plan,
                             report::Rdma& rdma);

// The "BW average" column of ib_write_bw --report_gbits. kCorrupt when there is none. Pure.
Result<double> parsePerftest(std::string_view output);

// What `railhead bench verbs --json` prints on its connecting end. Pure.
Result<report::Rdma> parseBench(std::string_view json, const report::Pod& from,
                                const report::Pod& to);

}  // namespace railhead::lab
