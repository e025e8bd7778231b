// The one place that gives every field its JSON name. Writer, reader and schema listing visit the
// same functions, so they cannot disagree. Private to this folder.
//
// A visitor is called as visit("name", field) for each field, in the order of the document.
#pragma once

#include "src/report/model/report.h"

#include <concepts>
#include <type_traits>

namespace railhead::report {

template <typename T, typename Wanted>
concept ConstOr = std::same_as<std::remove_const_t<T>, Wanted>;

template <typename V, ConstOr<Environment> T>
void visitFields(V& visit, T& x) {
  visit("host_os", x.hostOs);
  visit("host_kernel", x.hostKernel);
  visit("architecture", x.architecture);
  visit("cpus", x.cpus);
  visit("accel", x.accel);
  visit("qemu", x.qemu);
  visit("guest_kernel", x.guestKernel);
  visit("revision", x.revision);
}

template <typename V, ConstOr<LinkEnd> T>
void visitFields(V& visit, T& x) {
  visit("node", x.node);
  visit("pf", x.pf);
}

template <typename V, ConstOr<Link> T>
void visitFields(V& visit, T& x) {
  visit("name", x.name);
  visit("rail", x.rail);
  visit("rate_gbps", x.rateGbps);
  visit("ends", x.ends);
}

template <typename V, ConstOr<Topology> T>
void visitFields(V& visit, T& x) {
  visit("name", x.name);
  visit("links", x.links);
}

template <typename V, ConstOr<Vf> T>
void visitFields(V& visit, T& x) {
  visit("index", x.index);
  visit("pci", x.pci);
  visit("netdev", x.netdev);
  visit("mac", x.mac);
  visit("rail_set", x.railSet);
  visit("pod", x.pod);
}

template <typename V, ConstOr<Pf> T>
void visitFields(V& visit, T& x) {
  visit("name", x.name);
  visit("pci", x.pci);
  visit("driver", x.driver);
  visit("mac", x.mac);
  visit("mtu", x.mtu);
  visit("carrier", x.carrier);
  visit("twin", x.twin);
  visit("vfs", x.vfs);
}

template <typename V, ConstOr<RailSet> T>
void visitFields(V& visit, T& x) {
  visit("id", x.id);
  visit("vfs", x.vfs);
  visit("healthy", x.healthy);
  visit("pod", x.pod);
}

template <typename V, ConstOr<Node> T>
void visitFields(V& visit, T& x) {
  visit("name", x.name);
  visit("kernel", x.kernel);
  visit("pfs", x.pfs);
  visit("allocatable", x.allocatable);
  visit("rail_sets", x.railSets);
}

template <typename V, ConstOr<Interface> T>
void visitFields(V& visit, T& x) {
  visit("name", x.name);
  visit("rail", x.rail);
  visit("address", x.address);
  visit("mac", x.mac);
  visit("mtu", x.mtu);
  visit("rdma", x.rdma);
  visit("vf", x.vf);
}

template <typename V, ConstOr<Pod> T>
void visitFields(V& visit, T& x) {
  visit("name", x.name);
  visit("namespace", x.namespaceName);
  visit("node", x.node);
  visit("rail_set", x.railSet);
  visit("interfaces", x.interfaces);
}

template <typename V, ConstOr<RailMeasurement> T>
void visitFields(V& visit, T& x) {
  visit("rail", x.rail);
  visit("from", x.from);
  visit("to", x.to);
  visit("interface", x.interface);
  visit("gbps", x.gbps);
  visit("together_gbps", x.togetherGbps);
  visit("perftest_gbps", x.perftestGbps);
  visit("ceiling_gbps", x.ceilingGbps);
  visit("latency_us", x.latencyUs);
  visit("latency_p99_us", x.latencyP99Us);
  visit("bytes_checked", x.bytesChecked);
  visit("bytes_wrong", x.bytesWrong);
}

template <typename V, ConstOr<Rdma> T>
void visitFields(V& visit, T& x) {
  visit("verified", x.verified);
  visit("from", x.from);
  visit("to", x.to);
  visit("bytes_checked", x.bytesChecked);
  visit("bytes_wrong", x.bytesWrong);
  visit("seed", x.seed);
  visit("message_bytes", x.messageBytes);
  visit("one_rail_gbps", x.oneRailGbps);
  visit("both_rails_gbps", x.bothRailsGbps);
  visit("perftest_gbps", x.perftestGbps);
  visit("ceiling_gbps", x.ceilingGbps);
  visit("both_rails_ceiling_gbps", x.bothRailsCeilingGbps);
  visit("ceiling_explanation", x.ceilingExplanation);
  visit("latency_us", x.latencyUs);
  visit("latency_p99_us", x.latencyP99Us);
  visit("per_rail", x.perRail);
}

template <typename V, ConstOr<Training> T>
void visitFields(V& visit, T& x) {
  visit("steps", x.steps);
  visit("ranks", x.ranks);
  visit("parameters", x.parameters);
  visit("losses", x.losses);
  visit("tokens_per_second", x.tokensPerSecond);
  visit("killed_node", x.killedNode);
  visit("killed_after_step", x.killedAfterStep);
  visit("resumed_from_step", x.resumedFromStep);
  visit("restarts", x.restarts);
  visit("equal", x.equal);
  visit("by_rdma", x.byRdma);
  visit("bytes_needed", x.bytesNeeded);
  visit("rdma_packets", x.rdmaPackets);
  visit("tcp_segments", x.tcpSegments);
  visit("wire_bytes", x.wireBytes);
}

template <typename V, ConstOr<Step> T>
void visitFields(V& visit, T& x) {
  visit("name", x.name);
  visit("seconds", x.seconds);
  visit("ok", x.ok);
  visit("detail", x.detail);
}

template <typename V, ConstOr<Outcome> T>
void visitFields(V& visit, T& x) {
  visit("ok", x.ok);
  visit("failed_step", x.failedStep);
  visit("error", x.error);
  visit("remedy", x.remedy);
  visit("log_node", x.logNode);
  visit("logs", x.logs);
}

template <typename V, ConstOr<Report> T>
void visitFields(V& visit, T& x) {
  visit("tool_version", x.toolVersion);
  visit("started", x.started);
  visit("seconds", x.seconds);
  visit("environment", x.environment);
  visit("topology", x.topology);
  visit("nodes", x.nodes);
  visit("pods", x.pods);
  visit("rdma", x.rdma);
  visit("training", x.training);
  visit("steps", x.steps);
  visit("result", x.result);
}

}  // namespace railhead::report
