// The record of one demo run: what stood, what ran, what was measured. Plain values; no I/O.
// docs/reference/report.md gives every field's meaning and unit; fields.h names them in JSON.
//
// A figure that was not measured is absent (std::optional), never 0. A text that is not known is
// empty. Bandwidths are in Gb/s (10^9 bits per second), times in the unit of their name.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::report {

// Raised when a field is renamed, removed or changes its meaning; not when one is added.
inline constexpr std::string_view kSchema = "railhead.report/1";

struct Environment {
  std::string hostOs;        // "Debian GNU/Linux 12 (bookworm)"
  std::string hostKernel;    // "6.1.0-28-amd64"
  std::string architecture;  // "x86_64"
  int cpus = 0;
  std::string accel;  // how the nodes ran: "tcg", "kvm"; empty on real machines
  std::string qemu;   // version; empty on real machines
  std::string guestKernel;
  std::string revision;  // of Railhead's source

  bool operator==(const Environment&) const = default;
};

struct LinkEnd {
  std::string node;
  std::string pf;  // the PF's name on that node

  bool operator==(const LinkEnd&) const = default;
};

// One wire. Two ends for a cable, more for a switch.
struct Link {
  std::string name;
  int rail = 0;  // position in a rail set: 0 carries net1, 1 carries net2
  std::optional<double> rateGbps;
  std::vector<LinkEnd> ends;

  bool operator==(const Link&) const = default;
};

struct Topology {
  std::string name;
  std::vector<Link> links;

  bool operator==(const Topology&) const = default;
};

struct Vf {
  int index = 0;
  std::string pci;
  std::string netdev;   // empty when no driver is bound
  std::string mac;      // empty when unknown
  std::string railSet;  // id of the rail set it belongs to; empty when in none
  std::string pod;      // "namespace/name" that holds it; empty when free

  bool operator==(const Vf&) const = default;
};

struct Pf {
  std::string name;
  std::string pci;
  std::string driver;
  std::string mac;
  int mtu = 0;  // bytes
  bool carrier = false;
  std::string twin;  // name of the PF behind the same cage; empty when it has none
  std::vector<Vf> vfs;

  bool operator==(const Pf&) const = default;
};

struct RailSet {
  std::string id;
  std::vector<std::string> vfs;  // PCI addresses, by rail
  bool healthy = true;
  std::string pod;  // "namespace/name"; empty when free

  bool operator==(const RailSet&) const = default;
};

struct Node {
  std::string name;
  std::string kernel;
  std::vector<Pf> pfs;
  std::map<std::string, std::uint64_t> allocatable;  // resource name → devices
  std::vector<RailSet> railSets;

  bool operator==(const Node&) const = default;
};

struct Interface {
  std::string name;  // "net1"
  int rail = 0;
  std::string address;  // with prefix length: "10.42.0.1/24"
  std::string mac;
  int mtu = 0;
  std::string rdma;  // RDMA device in the pod; empty when it has none
  std::string vf;    // PCI address

  bool operator==(const Interface&) const = default;
};

struct Pod {
  std::string name;
  std::string namespaceName;
  std::string node;
  std::string railSet;
  std::vector<Interface> interfaces;

  std::string fullName() const { return namespaceName + "/" + name; }
  bool operator==(const Pod&) const = default;
};

// One rail measured alone.
struct RailMeasurement {
  int rail = 0;
  std::string from;  // "namespace/name" of the writing pod
  std::string to;    // of the pod written to
  std::string interface;
  std::optional<double> gbps;          // alone on the wire
  std::optional<double> togetherGbps;  // while every rail was busy
  std::optional<double> perftestGbps;
  std::optional<double> ceilingGbps;
  std::optional<double> latencyUs;     // median, half a round trip
  std::optional<double> latencyP99Us;  // 99th percentile
  std::uint64_t bytesChecked = 0;
  std::uint64_t bytesWrong = 0;

  bool operator==(const RailMeasurement&) const = default;
};

// Over all pairs of pods that were measured: verified and the bytes. Of the slowest pair: the rest.
struct Rdma {
  bool verified = false;  // every written byte was compared on the receiver and was right
  std::string from;       // "namespace/name" of the writing pod of the slowest pair
  std::string to;         // of the pod it wrote to
  std::uint64_t bytesChecked = 0;
  std::uint64_t bytesWrong = 0;
  std::string seed;  // of the pattern
  std::uint64_t messageBytes = 0;
  std::optional<double> oneRailGbps;
  std::optional<double> bothRailsGbps;
  std::optional<double> perftestGbps;  // ib_write_bw over the same path as oneRailGbps
  std::optional<double> ceilingGbps;   // of one rail
  std::optional<double> bothRailsCeilingGbps;
  std::string ceilingExplanation;  // how one rail's was computed, in one line
  std::optional<double> latencyUs;
  std::optional<double> latencyP99Us;
  std::vector<RailMeasurement> perRail;  // of each pair

  bool operator==(const Rdma&) const = default;
};

// Two runs of the reference trainer over all pods, one of them with a rank killed on the way.
struct Training {
  std::uint64_t steps = 0;  // of each run; 0: nothing was trained
  std::uint64_t ranks = 0;
  std::uint64_t parameters = 0;
  std::vector<double> losses;  // of the undisturbed run, by step
  std::optional<double> tokensPerSecond;
  std::string killedNode;             // whose rank was killed
  std::uint64_t killedAfterStep = 0;  // the last one that was told
  std::uint64_t resumedFromStep = 0;
  std::uint64_t restarts = 0;
  bool equal = false;             // both runs came out the same, bit by bit
  bool byRdma = false;            // nothing else can have carried the gradients
  std::uint64_t bytesNeeded = 0;  // that had to travel, over both runs and all ranks
  std::uint64_t rdmaPackets = 0;  // sent by the pods' devices
  std::uint64_t tcpSegments = 0;  // sent by the pods
  std::uint64_t wireBytes = 0;    // that the links passed on

  bool operator==(const Training&) const = default;
};

struct Step {
  std::string name;  // in the user's words
  double seconds = 0;
  bool ok = true;
  std::string detail;

  bool operator==(const Step&) const = default;
};

struct Outcome {
  bool ok = false;
  std::string failedStep;
  std::string error;
  std::string remedy;
  std::string logNode;            // whose log the lines are from
  std::vector<std::string> logs;  // its last lines

  bool operator==(const Outcome&) const = default;
};

struct Report {
  std::string toolVersion;
  std::string started;  // RFC 3339, UTC: "2025-11-24T06:45:00Z"
  double seconds = 0;   // the whole run
  Environment environment;
  Topology topology;
  std::vector<Node> nodes;
  std::vector<Pod> pods;
  Rdma rdma;
  Training training;
  std::vector<Step> steps;
  Outcome result;

  bool operator==(const Report&) const = default;
};

}  // namespace railhead::report
