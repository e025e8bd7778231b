#include "src/verify/doctor/check.h"
#include "tests/support/tree.h"

#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::verify::doctor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string contentOf(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_FALSE(text.str().empty()) << path;
  return text.str();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// A patient with everything that the checks can look at, so that none stands aside unless its
// place is the wrong one.
class Bed {
 public:
  explicit Bed(Place place, const std::string& overlay = "") {
    const bool pod = place == Place::kPod;
    put(pod ? "doctor/healthy_pod" : "doctor/healthy_node");
    if (!overlay.empty()) put("doctor/" + overlay);
    auto read = examine(files_, paths_, place);
    EXPECT_TRUE(read.has_value()) << read.error().describe();
    patient_ = std::move(*read);
    useLog(contentOf("tests/fixtures/nccl/2.28.9-spark-ibext.log"));
    patient_.gpu = GpuAttributes{false, false, true};
    patient_.plannedBytes = 8ULL << 30;
    patient_.multusMemoryLimit = 512ULL << 20;
    patient_.railRates = {{device(0), {97e9}}, {device(1), {96e9}}};
  }

  Patient& patient() { return patient_; }
  // The log with this place's device names in it.
  void useLog(std::string text) {
    if (patient_.place == Place::kPod) {
      text = replaced(std::move(text), "rocep1s0f0", "rocep1s0f0v1");
      text = replaced(std::move(text), "roceP2p1s0f0", "roceP2p1s0f0v1");
    }
    log_ = NcclLog();
    NcclLogStream stream(log_);
    stream.feed(text);
    stream.end();
    patient_.log = &log_;
  }
  std::string device(int rail) const {
    const std::string suffix = patient_.place == Place::kPod ? "v1" : "";
    return (rail == 0 ? "rocep1s0f0" : "roceP2p1s0f0") + suffix;
  }

  // Ids of the checks that found something.
  std::set<std::string> fired() const {
    std::set<std::string> ids;
    for (const auto& result : runChecks(patient_)) {
      for (const auto& finding : result.findings) {
        EXPECT_FALSE(finding.subject.empty()) << result.id;
        EXPECT_FALSE(finding.evidence.empty()) << result.id;
        EXPECT_FALSE(finding.consequence.empty()) << result.id;
        EXPECT_FALSE(finding.remedy.empty()) << result.id;
        ids.insert(std::string(result.id));
      }
    }
    return ids;
  }
  std::vector<Finding> findings(std::string_view id) const {
    for (const auto& result : runChecks(patient_)) {
      if (result.id == id) return result.findings;
    }
    return {};
  }

  std::string cannotRun(std::string_view id) const {
    for (const auto& result : runChecks(patient_)) {
      if (result.id == id) return std::string(result.cannotRun);
    }
    return "there is no such check";
  }

 private:
  void put(const std::string& name) {
    const auto tree = testing_support::readTree(name);
    ASSERT_TRUE(tree.has_value()) << tree.error().describe();
    testing_support::putTree(*tree, files_);
  }

  testing_support::MemoryFilesystem files_;
  os::HostPaths paths_;
  Patient patient_;
  NcclLog log_;
};

TEST(Doctor, FindsNothingOnAHealthySpark) {
  EXPECT_THAT(Bed(Place::kNode).fired(), IsEmpty());
  EXPECT_THAT(Bed(Place::kPod).fired(), IsEmpty());
}

struct State {
  const char* id;
  Place place;
  const char* overlay;  // empty: it shows in a log or a measurement
  std::function<void(Bed&)> prepare = {};
};

const std::vector<State>& states() {
  static const std::vector<State> kStates{
      {"one-twin-down", Place::kNode, "one_twin_down"},
      {"vfs-on-one-twin", Place::kNode, "vfs_on_one_twin"},
      {"one-rail-in-use", Place::kPod, "",
       [](Bed& bed) { bed.useLog(contentOf("tests/fixtures/nccl/2.29.7-spark-one-twin.log")); }},
      {"socket-fallback", Place::kPod, "",
       [](Bed& bed) { bed.useLog(contentOf("tests/fixtures/nccl/2.23.4-sockets.log")); }},
      {"throttled-nic", Place::kPod, "",
       [](Bed& bed) {
         bed.patient().railRates = {{bed.device(0), {13.1e9}}};
       }},
      {"cable-replugged", Place::kNode, "cable_replugged"},
      {"pcie-narrow", Place::kNode, "pcie_narrow"},
      {"rdma-mtu", Place::kNode, "rdma_mtu"},
      {"memlock", Place::kPod, "memlock"},
      {"no-ipv4-gid", Place::kPod, "no_ipv4_gid"},
      {"vf-identity", Place::kNode, "vf_identity"},
      {"vf-unbound", Place::kNode, "vf_unbound"},
      {"no-uverbs", Place::kPod, "no_uverbs"},
      {"bonding", Place::kNode, "bonding"},
      {"cma-empty", Place::kNode, "cma_empty"},
      {"gid-pinned", Place::kPod, "gid_pinned"},
      {"hca-unset", Place::kPod, "hca_unset"},
      {"gdr-level", Place::kPod, "gdr_level"},
      {"nccl-conf", Place::kPod, "nccl_conf"},
      {"nccl-dev-build", Place::kNode, "",
       [](Bed& bed) {
         bed.useLog(replaced(contentOf("tests/fixtures/nccl/2.28.9-spark-ibext.log"), "2.28.9+",
                             "2.28.8+"));
       }},
      {"merged-functions", Place::kNode, "",
       [](Bed& bed) {
         bed.useLog(contentOf("tests/fixtures/nccl/2.28.9-spark-ibext.log") +
                    "spark-a:4100:4111 [0] NCCL INFO NET/IB : Made virtual device [4] "
                    "name=rocep1s0f0+rocep1s0f1 speed=400000 ndevs=2\n");
       }},
      {"unified-memory", Place::kNode, "",
       [](Bed& bed) { bed.patient().plannedBytes = 64ULL << 30; }},
      {"host-local", Place::kNode, "host_local"},
      {"sriov-rdma-key", Place::kNode, "sriov_rdma_key"},
      {"cilium-exclusive", Place::kNode, "cilium_exclusive"},
      {"multus-memory", Place::kNode, "",
       [](Bed& bed) { bed.patient().multusMemoryLimit = 150ULL << 20; }},
  };
  return kStates;
}

TEST(Doctor, EachCheckFiresOnItsOwnStateAndNoOther) {
  std::set<std::string_view> covered;
  for (const auto& state : states()) {
    Bed bed(state.place, state.overlay);
    if (state.prepare) state.prepare(bed);
    EXPECT_THAT(bed.fired(), ElementsAre(state.id));
    covered.insert(state.id);
  }
  for (const auto& check : checks()) EXPECT_TRUE(covered.contains(check.id)) << check.id;
}

TEST(Doctor, SaysTheConsequenceInFigures) {
  const auto down = Bed(Place::kNode, "one_twin_down").findings("one-twin-down");
  ASSERT_EQ(down.size(), 1U);
  EXPECT_EQ(down[0].subject, "enP2p1s0f0np0 (0002:01:00.0)");
  EXPECT_THAT(down[0].consequence, HasSubstr("11-12 of 24.5 GB/s"));
  const auto narrow = Bed(Place::kNode, "pcie_narrow").findings("pcie-narrow");
  ASSERT_EQ(narrow.size(), 2U);
  EXPECT_THAT(narrow[0].consequence, HasSubstr("63 Gb/s instead of 126 Gb/s"));
  EXPECT_THAT(narrow[0].remedy, HasSubstr("11/20/2025"));
  const auto mtu = Bed(Place::kNode, "rdma_mtu").findings("rdma-mtu");
  ASSERT_EQ(mtu.size(), 3U);
  EXPECT_THAT(mtu[0].evidence, HasSubstr("does not inherit"));
  EXPECT_THAT(mtu[0].consequence, HasSubstr("23.1 GB/s instead of 24.5 GB/s"));
  const auto memlock = Bed(Place::kPod, "memlock").findings("memlock");
  ASSERT_EQ(memlock.size(), 1U);
  EXPECT_THAT(memlock[0].evidence, HasSubstr("8 MiB"));
  const auto gid = Bed(Place::kPod, "gid_pinned").findings("gid-pinned");
  ASSERT_EQ(gid.size(), 1U);
  EXPECT_EQ(gid[0].severity, Severity::kBroken);
  EXPECT_THAT(gid[0].evidence, HasSubstr("IB/RoCE v1"));
}

TEST(Doctor, ACheckThatCannotLookSaysWhy) {
  Bed bed(Place::kPod);
  bed.patient().log = nullptr;
  bed.patient().gpu.reset();
  bed.patient().plannedBytes.reset();
  bed.patient().multusMemoryLimit.reset();
  bed.patient().railRates.clear();
  bed.patient().memory = {};
  std::map<std::string_view, std::string> why;
  for (const auto& result : runChecks(bed.patient())) {
    if (!result.cannotRun.empty()) why[result.id] = result.cannotRun;
    EXPECT_THAT(result.findings, IsEmpty()) << result.id;
  }
  EXPECT_THAT(why["one-twin-down"], HasSubstr("inside a pod"));
  EXPECT_THAT(why["socket-fallback"], HasSubstr("NCCL_DEBUG=INFO"));
  EXPECT_THAT(why["throttled-nic"], HasSubstr("bench verbs"));
  EXPECT_THAT(why["memlock"], HasSubstr("cannot be read"));
  EXPECT_THAT(why["gdr-level"], HasSubstr("CUDA"));
  EXPECT_THAT(why["unified-memory"], HasSubstr("planned"));
  EXPECT_THAT(why["host-local"], HasSubstr("pod"));
  EXPECT_FALSE(why.contains("no-ipv4-gid"));
}

TEST(Doctor, CountsTheRailsOfANodeAndNotOfAProcess) {
  const std::string devices = "NET/IB : Using [0]rocep1s0f0:1/RoCE [1]roceP2p1s0f0:1/RoCE [RO]\n";
  const std::string first = "spark-a:1:2 [0] NCCL INFO ", second = "spark-a:3:4 [1] NCCL INFO ";
  const std::string one = first + devices + first +
                          "Channel 00/0 : 0[0] -> 2[0] [send] via NET/IB/0\n" + second + devices;
  Bed bed(Place::kNode);
  for (auto& pf : bed.patient().node.pfs) pf.numVfs = 0;  // then the PFs are the rails
  bed.useLog(one + second + "Channel 00/0 : 3[1] -> 1[1] [receive] via NET/IB/1\n");
  EXPECT_THAT(bed.findings("one-rail-in-use"), IsEmpty());
  bed.useLog(one + second + "Channel 00/0 : 3[1] -> 1[1] [receive] via NET/IB/0\n");
  ASSERT_EQ(bed.findings("one-rail-in-use").size(), 1U);
  EXPECT_EQ(bed.findings("one-rail-in-use")[0].subject, "spark-a");
  bed.patient().node.gpus.resize(8);  // the log has two ranks
  EXPECT_THAT(bed.findings("one-rail-in-use"), IsEmpty());
}

TEST(Doctor, ALogSaysNothingOfRailsThatAreNotHere) {
  Bed bed(Place::kPod);
  bed.patient().ports.clear();
  EXPECT_THAT(bed.cannotRun("one-rail-in-use"), HasSubstr("RDMA device"));
}

TEST(Doctor, SocketsShowAtEitherEnd) {
  Bed bed(Place::kPod);
  bed.useLog("spark-a:1:2 [0] NCCL INFO Channel 00/0 : 1[0] -> 0[0] [receive] via NET/Socket/0\n");
  EXPECT_EQ(bed.findings("socket-fallback").size(), 1U);
}

TEST(Doctor, ALogWithoutReadableChannelsSaysWhatItHas) {
  const std::string begin = "spark-a:1:2 [0] NCCL INFO ";
  for (const auto& [line, reason] : std::map<std::string, std::string>{
           {"Using network IB", "no channel lines"},
           {"Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0/NewFlag", "NewFlag"},
           {"Ring 00 : 0 -> 1 [send] via NET/IB/0", "before 2.7"}}) {
    Bed bed(Place::kPod);
    bed.useLog(begin + line + "\n");
    EXPECT_THAT(bed.cannotRun("socket-fallback"), HasSubstr(reason));
    EXPECT_THAT(bed.findings("socket-fallback"), IsEmpty());
  }
}

TEST(Doctor, AnOrdinaryNodeIsHealthy) {
  for (const char* name : {"plain", "igb"}) {
    const auto tree = testing_support::readTree(name);
    ASSERT_TRUE(tree.has_value());
    testing_support::MemoryFilesystem files;
    testing_support::putTree(*tree, files);
    const auto patient = examine(files, {}, Place::kNode);
    ASSERT_TRUE(patient.has_value());
    for (const auto& result : runChecks(*patient)) {
      EXPECT_THAT(result.findings, IsEmpty()) << name << ": " << result.id;
    }
  }
}

TEST(Doctor, HostileFilesAreNoFindingsOfTheirOwn) {
  const auto tree = testing_support::readTree("hostile");
  ASSERT_TRUE(tree.has_value());
  testing_support::MemoryFilesystem files;
  testing_support::putTree(*tree, files);
  files.put("/proc/self/limits", std::string("Max locked memory \0\xff", 20));
  files.put("/proc/meminfo", "CmaTotal: 99999999999999999999999 kB\nMemAvailable:");
  files.put("/etc/cni/net.d/10-bad.conflist", "{\"plugins\":[1,{\"type\":[]},{\"type\":\"sriov\"");
  files.put("/etc/nccl.conf", "=\n====\n#x=y\n");
  const auto patient = examine(files, {}, Place::kNode);
  ASSERT_TRUE(patient.has_value());
  for (const auto& result : runChecks(*patient)) {
    if (result.id == "memlock" || result.id == "nccl-conf" || result.id == "host-local") {
      EXPECT_THAT(result.findings, IsEmpty()) << result.id;
    }
  }
}

// docs/reference/doctor.md has a row `| id | looks for |` for each check, in the same order.
TEST(Doctor, TheDocumentListsTheChecks) {
  std::vector<std::string> told, expected;
  std::istringstream page(contentOf("docs/reference/doctor.md"));
  for (std::string line; std::getline(page, line) && line != "## The checks";) {
  }
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("| `"))
      told.push_back(line.substr(0, line.find(" |", line.find(" | ") + 3)));
  }
  for (const auto& check : checks()) {
    expected.push_back("| `" + std::string(check.id) + "` | " + std::string(check.looksFor));
  }
  EXPECT_EQ(told, expected);
}

}  // namespace
}  // namespace railhead::verify::doctor
