// What the agent tells its watchers, over a recorded node.
#include "src/agent/observe/observer.h"

#include "src/discover/discover.h"
#include "tests/support/fake_kernel.h"
#include "tests/support/tree.h"

#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::agent {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;
using SteadyClock = std::chrono::steady_clock;

std::string readText(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// Every railhead_... word of a text that is no file's or program's name.
std::set<std::string> metricNames(const std::string& text) {
  std::set<std::string> names;
  const std::string prefix = "railhead_";
  for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at + 1)) {
    auto end = at;
    while (end < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_')) {
      ++end;
    }
    names.insert(text.substr(at, end - at));
  }
  return names;
}

class ObserverTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"spark_vfs", "spark_counters"}) {
      const auto tree = testing_support::readTree(name);
      ASSERT_TRUE(tree.has_value()) << tree.error().describe();
      testing_support::putTree(*tree, files_);
    }
    NodeSnapshot snapshot;
    snapshot.node = *discover::discoverNode(files_, paths_);
    snapshot.known = snapshot.node;
    snapshot.cages = discover::pairTwins(snapshot.node, {});
    snapshot.rails = discover::railSets(snapshot.node, snapshot.cages, 4);
    OfferStatus offer{"nvidia.com/cx7_qsfp", {}, {}};
    offer.state = {kube::PluginPhase::kRegistered, "", 1, 3, 7};
    std::set<PciAddress> taken;
    offer.inventory = advertise::takeInventory(snapshot.picture(), {"nvidia.com/cx7_qsfp"}, taken);
    ASSERT_FALSE(offer.inventory.sets.empty());
    for (auto& set : offer.inventory.sets) set.unhealthy.clear();
    offer.inventory.sets[0].unhealthy = "enp1s0f0np0 has \"no\" carrier";
    state_.offers.push_back(offer);
    attach::Attachment attachment;
    attachment.state = attach::AttachmentState::kAttached;
    attachment.pod = {"team", "trainer-0", "uid"};
    attach::RailRecord rail;
    rail.vf = *PciAddress::parse("0000:01:00.2");
    rail.railSet = offer.inventory.sets[0].id;
    rail.podName = "net1";
    attachment.rails.push_back(rail);
    state_.attachments.push_back(attachment);
    state_.node = std::make_shared<const NodeSnapshot>(std::move(snapshot));
    state_.cniServed = true;
  }

  std::string scrape() const { return observer_.answer("/metrics").body; }

  testing_support::MemoryFilesystem files_;
  os::HostPaths paths_;
  Counts counts_;
  ObservedState state_;
  testing_support::FakeKernel kernel_;  // for netlink alone
  WatchedThreads threads_;
  Observer observer_{files_, kernel_, paths_, counts_, threads_, [this] { return state_; }};
};

TEST_F(ObserverTest, TellsOfTheProfileAndIsReadyWhateverItsState) {
  EXPECT_THAT(scrape(), Not(HasSubstr("railhead_profile_info{")));
  state_.profile.state = ProfileState::kOtherFabric;
  state_.profile.hash = "0123";
  EXPECT_THAT(scrape(),
              HasSubstr("\nrailhead_profile_info{hash=\"0123\",state=\"other-fabric\"} 1\n"));
  EXPECT_EQ(observer_.answer("/readyz").status, 200);
}

TEST_F(ObserverTest, TellsOfGpusAndIsNotReadyWithoutThem) {
  GpuResourceStatus gpus{"nvidia.com/gpu", {kube::PluginPhase::kRegistered, "", 1, 1, 2}, 2, {}};
  gpus.devices = {{{"GPU-a", "GPU-a", "0", "", {}, {}}, ""},
                  {{"GPU-b", "GPU-b", "1", "", {}, {}}, "Xid 79"}};
  state_.gpus.push_back(gpus);
  const std::string text = scrape();
  EXPECT_THAT(text,
              HasSubstr("railhead_devices{resource=\"nvidia.com/gpu\",state=\"healthy\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("railhead_device_unhealthy{resource=\"nvidia.com/gpu\","
                              "device=\"GPU-b\",reason=\"Xid 79\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("railhead_kubelet_registered{resource=\"nvidia.com/gpu\"} 1\n"));
  EXPECT_EQ(observer_.answer("/readyz").status, 200);
  state_.gpus[0].state.phase = kube::PluginPhase::kWaiting;
  EXPECT_EQ(observer_.answer("/readyz").body, "nvidia.com/gpu: waiting\n");
}

TEST_F(ObserverTest, TellsOfDevicesKubeletAndHolders) {
  const std::string text = scrape();
  const std::string resource = "{resource=\"nvidia.com/cx7_qsfp\"";
  EXPECT_THAT(text, HasSubstr("railhead_devices" + resource + ",state=\"unhealthy\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("reason=\"enp1s0f0np0 has \\\"no\\\" carrier\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("railhead_allocations_total" + resource + "} 7\n"));
  EXPECT_THAT(text, HasSubstr("railhead_kubelet_registrations_total" + resource + "} 3\n"));
  EXPECT_THAT(text, HasSubstr("railhead_kubelet_watchers" + resource + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("railhead_attachments{state=\"attached\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("railhead_rail_held{namespace=\"team\",pod=\"trainer-0\","
                              "interface=\"net1\",pci=\"0000:01:00.2\""));
}

TEST_F(ObserverTest, TellsOfLinksAndWhatTheyCarried) {
  const std::string text = scrape();
  const std::string pf = "{pf=\"enp1s0f0np0\",pci=\"0000:01:00.0\"";
  EXPECT_THAT(text, HasSubstr("railhead_pf_speed_bits_per_second" + pf + "} 200000000000\n"));
  EXPECT_THAT(text, HasSubstr("railhead_pf_pcie_lanes" + pf + "} 4\n"));
  EXPECT_THAT(text, HasSubstr("railhead_rdma_receive_bytes_total" + pf +
                              ",vf=\"\",device=\"rocep1s0f0\"} 1000000000000\n"));
  EXPECT_THAT(text, HasSubstr("railhead_rdma_retransmits_total" + pf +
                              ",vf=\"\",device=\"rocep1s0f0\",cause=\"packet_seq_err\"} 12\n"));
  EXPECT_THAT(text, HasSubstr("railhead_rdma_cnp_sent_total" + pf));
  EXPECT_THAT(text, HasSubstr("railhead_net_transmit_bytes_total{pf=\"enp1s0f0np0\","
                              "pci=\"0000:01:00.2\",vf=\"0\"} 446\n"));
  EXPECT_THAT(text, HasSubstr("railhead_counters_cut 0\n"));
}

TEST_F(ObserverTest, TellsWhatVfsInPodsCarriedByTheirPf) {
  EXPECT_THAT(scrape(), Not(HasSubstr("railhead_vf_receive_bytes_total{")));
  kernel_.addPf({.pci = "0000:01:00.0", .netdev = "enp1s0f0np0", .mac = "52:54:00:00:01:00"});
  const std::string numVfs = "/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs";
  ASSERT_TRUE(kernel_.files().writeFile(numVfs, "2").has_value());
  kernel_.setVfTraffic("enp1s0f0np0", {.vf = 0, .receiveBytes = 4096});
  const std::string text = scrape();
  EXPECT_THAT(text, HasSubstr("railhead_vf_receive_bytes_total{pf=\"enp1s0f0np0\","
                              "pci=\"0000:01:00.2\",vf=\"0\"} 4096\n"));
  EXPECT_THAT(text, Not(HasSubstr("railhead_vf_receive_bytes_total{pf=\"enp1s0f0np0\","
                                  "pci=\"0000:01:00.3\"")));
}

TEST_F(ObserverTest, CountsRequestsRepairsAndProvisioning) {
  const auto handler = counts_.timed([](const cni::Call& call) {
    return cni::Reply{call.command == "DEL" ? 1 : 0, ""};
  });
  for (const char* command : {"ADD", "ADD", "DEL", "{\"x\n"}) {
    cni::Call call;
    call.command = command;
    handler(call);
  }
  counts_.swept({{"gave a VF back"}, {Error(ErrorCode::kIo, "x"), Error(ErrorCode::kIo, "y")}});
  provision::ApplyReport report;
  report.changes = {"a", "b", "c"};
  report.failures.push_back({{}, "enp1s0f0np0", Error(ErrorCode::kIo, "x")});
  counts_.provisioned(report);
  const std::string text = scrape();
  const std::string name = "railhead_attach_duration_seconds_count";
  EXPECT_THAT(text, HasSubstr(name + "{operation=\"ADD\",result=\"done\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(name + "{operation=\"ADD\",result=\"failed\"} 0\n"));
  EXPECT_THAT(text, HasSubstr(name + "{operation=\"DEL\",result=\"failed\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(name + "{operation=\"other\",result=\"done\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("railhead_repairs_total 1\n"));
  EXPECT_THAT(text, HasSubstr("railhead_repair_failures_total 2\n"));
  EXPECT_THAT(text, HasSubstr("railhead_provision_changes_total 3\n"));
  EXPECT_THAT(text, HasSubstr("railhead_provision_failing_pfs 1\n"));
  counts_.provisioned(provision::ApplyReport{});
  EXPECT_THAT(scrape(), HasSubstr("railhead_provision_failing_pfs 0\n"));
}

TEST_F(ObserverTest, IsReadyOnceKubeletAndTheRuntimeCanCome) {
  EXPECT_EQ(observer_.answer("/readyz").status, 200);
  state_.offers[0].state = {kube::PluginPhase::kRefused, "unsupported version", 0, 0, 0};
  const auto refused = observer_.answer("/readyz");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.body, "nvidia.com/cx7_qsfp: refused: unsupported version\n");
  state_.offersWanted = false;
  EXPECT_EQ(observer_.answer("/readyz").status, 200);
  state_.cniServed = false;
  EXPECT_THAT(observer_.answer("/readyz").body, HasSubstr("CNI socket"));
  state_.cniWanted = false;
  EXPECT_EQ(observer_.answer("/readyz").status, 200);
  EXPECT_EQ(observer_.answer("/other").status, 404);
}

TEST_F(ObserverTest, IsHealthyWhileItsLoopTurns) {
  const auto now = SteadyClock::now();
  EXPECT_EQ(counts_.stalled(now), "") << "nothing runs yet";
  counts_.turned(now);
  EXPECT_EQ(counts_.stalled(now + Counts::kStalledAfter), "");
  EXPECT_EQ(counts_.stalled(now + Counts::kStalledAfter + seconds(5)),
            "the agent has not looked at its node for 185 s");
  EXPECT_EQ(observer_.answer("/healthz").status, 200);
  const auto mark = threads_.named("a CNI request")();
  mark->begin(now - WatchedThreads::kStuckAfter - seconds(60));
  EXPECT_EQ(observer_.answer("/healthz").status, 503);
  EXPECT_THAT(observer_.answer("/healthz").body, HasSubstr("a CNI request has been under way"));
  mark->end();
  EXPECT_EQ(observer_.answer("/healthz").status, 200);
  counts_.turned(now - Counts::kStalledAfter - seconds(60));
  EXPECT_EQ(observer_.answer("/healthz").status, 503);
}

TEST_F(ObserverTest, TheReferenceNamesEveryMetricAndNoOther) {
  metrics::Exposition out;
  observer_.write(out);
  const auto names = out.names();
  const std::set<std::string> exposed(names.begin(), names.end());
  EXPECT_EQ(exposed.size(), names.size()) << "a name twice";
  EXPECT_EQ(metricNames(readText("docs/reference/metrics.md")), exposed);
}

TEST_F(ObserverTest, TheDashboardAsksForMetricsThatExist) {
  const auto dashboard =
      nlohmann::json::parse(readText("deploy/grafana/railhead.json"), nullptr, false);
  ASSERT_TRUE(dashboard.is_object());
  metrics::Exposition out;
  observer_.write(out);
  std::set<std::string> exposed;
  for (const auto& name : out.names()) exposed.insert(name);
  std::size_t queries = 0;
  const std::function<void(const nlohmann::json&)> visit = [&](const nlohmann::json& value) {
    if (value.is_object() && value.contains("expr")) {
      ++queries;
      for (std::string name : metricNames(value["expr"].get<std::string>())) {
        for (const std::string suffix : {"_bucket", "_sum", "_count"}) {
          if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
        }
        EXPECT_TRUE(exposed.contains(name)) << name << " in " << value["expr"];
      }
    }
    if (value.is_structured()) {
      for (const auto& below : value) visit(below);
    }
  };
  visit(dashboard);
  EXPECT_GE(queries, 10U);
}

}  // namespace
}  // namespace railhead::agent
