// A faked node with twin PFs and four rail sets, and an Attacher on it. For the tests of this
// folder.
#pragma once

#include "src/attach/attacher.h"
#include "src/attach/network_catalog.h"
#include "tests/support/fake_kernel.h"
#include "tests/support/fake_plugins.h"
#include "tests/support/manual_clock.h"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {

class FixedRails final : public RailCatalog {
 public:
  std::vector<discover::RailSet> sets;
  std::vector<discover::RailSet> railSets() override { return sets; }
  std::vector<discover::RailSet> singleRails() override {
    std::vector<discover::RailSet> singles;
    for (const auto& set : sets) {
      for (const auto& rail : set.rails) singles.push_back({rail.vf.toString(), set.index, {rail}});
    }
    return singles;
  }
};

class FixedDevices final : public PodDevices {
 public:
  std::map<std::string, std::vector<std::string>> ids;  // by "namespace/pod"
  std::atomic<int> asked = 0;
  Result<Held> heldBy(const std::string& podNamespace, const std::string& pod) override {
    ++asked;
    const auto found = ids.find(podNamespace + "/" + pod);
    return Held{
        {"nvidia.com/cx7_qsfp", found == ids.end() ? std::vector<std::string>() : found->second}};
  }
};

class FixedNads final : public NadSource {
 public:
  std::vector<Nad> nads;
  bool complete = true;
  bool isComplete() override { return complete; }
  std::optional<Nad> find(const std::string& podNamespace, const std::string& name) override {
    for (const Nad& nad : nads) {
      if (nad.podNamespace == podNamespace && nad.name == name) return nad;
    }
    return std::nullopt;
  }
  std::vector<std::string> names() override {
    std::vector<std::string> all;
    for (const Nad& nad : nads) all.push_back(nad.podNamespace + "/" + nad.name);
    return all;
  }
};

class KeptStatus final : public StatusSink {
 public:
  std::vector<std::string> told;  // "namespace/pod uid status"; not while pods are attached
  void attached(const std::string& podNamespace, const std::string& pod, const std::string& uid,
                const std::string& status) override {
    const std::lock_guard lock(mutex_);
    told.push_back(podNamespace + "/" + pod + " " + uid + " " + status);
  }

 private:
  std::mutex mutex_;  // pods are attached from several threads
};

class AttachFixture : public testing::Test {
 protected:
  static constexpr const char* kPfs[2] = {"0000:01:00.0", "0002:01:00.0"};
  static constexpr const char* kPfNames[2] = {"enp1s0f0np0", "enP2p1s0f0np0"};

  void SetUp() override {
    for (int twin = 0; twin < 2; ++twin) {
      testing_support::FakePfSpec pf{.pci = kPfs[twin],
                                     .netdev = kPfNames[twin],
                                     .mac = "52:54:00:00:01:0" + std::to_string(twin)};
      pf.rdma = hardwareRdma_;
      kernel_.addPf(pf);
      write(std::string("/sys/bus/pci/devices/") + kPfs[twin] + "/sriov_numvfs", "4");
    }
    for (int i = 0; i < 4; ++i) {
      discover::RailSet set{vfAddress(0, i) + "+" + vfAddress(1, i), i, {}};
      for (int twin = 0; twin < 2; ++twin) {
        set.rails.push_back(
            {*PciAddress::parse(kPfs[twin]), *PciAddress::parse(vfAddress(twin, i)), i, twin});
      }
      rails_.sets.push_back(set);
    }
    network_.name = "dgx-qsfp";
    network_.resourceName = "nvidia.com/cx7_qsfp";
    network_.railSubnets = {{*IpPrefix::parse("10.100.0.0/24")},
                            {*IpPrefix::parse("10.100.1.0/24")}};
    network_.mtu = 9000;
    network_.rdma = hardwareRdma_ ? RdmaUse::kDevice : RdmaUse::kSoft;
    config_.addresses = {.nodeOrdinal = 1, .railSetsPerNode = 4, .nodes = 2};
    addPod("trainer-0", 0);
    kernel_.revive();
  }

  void write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(kernel_.files().writeFile(path, text).has_value()) << path;
  }

  // As the fake lays VFs out.
  static std::string vfAddress(int twin, int index) {
    return std::string(twin == 0 ? "0000" : "0002") + ":01:10." + std::to_string(index * 2);
  }
  static std::string vfName(int twin, int index) {
    return std::string(kPfNames[twin]) + "v" + std::to_string(index);
  }

  // A pod with its namespace, holding rail set `set`.
  void addPod(const std::string& pod, int set) {
    kernel_.addNetns(pod);
    devices_.ids["default/" + pod] = {rails_.sets[static_cast<std::size_t>(set)].id};
  }

  void start() {
    config_.networks = {network_};
    networks_ = std::make_unique<ConfiguredNetworks>(config_.networks);
    catalog_ =
        std::make_unique<LayeredCatalog>(*networks_, &nads_, kernel_.files(),
                                         kernel_.paths().cniConfig, kernel_.paths().multusConfig);
    auto opened = Attacher::open(config_, {kernel_.files(), kernel_, kernel_, clock_, *catalog_,
                                           devices_, rails_, plugins_, &status_, ordinal_});
    ASSERT_TRUE(opened.has_value()) << opened.error().describe();
    attacher_ = std::move(*opened);
  }

  CniRequest request(CniCommand command, const std::string& pod = "trainer-0",
                     const std::string& annotation = "dgx-qsfp") {
    CniRequest request;
    request.command = command;
    request.cniVersion = "1.1.0";
    request.networkName = "cluster";
    request.id = {"sandbox-" + pod, "eth0"};
    request.netnsPath = kernel_.netnsPath(pod);
    request.pod = {"default", pod, "uid-" + pod};
    request.prevResult = R"({"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"/x"}],)"
                         R"("ips":[{"interface":0,"address":"10.1.0.7/16"}]})";
    if (command == CniCommand::kAdd) request.networksAnnotation = annotation;
    return request;
  }

  std::string journalDirectory() const { return kernel_.paths().state + "/attachments"; }
  std::vector<std::string> journalFiles() {
    auto names = kernel_.files().listDirectory(journalDirectory());
    return names.has_value() ? *names : std::vector<std::string>();
  }

  bool hardwareRdma_ = false;
  testing_support::FakeKernel kernel_;
  testing_support::ManualClock clock_;
  FixedRails rails_;
  FixedDevices devices_;
  NetworkDefinition network_;
  AttachConfig config_;
  FixedNads nads_;
  KeptStatus status_;
  NodeOrdinal* ordinal_ = nullptr;
  testing_support::FakePlugins plugins_{kernel_};
  std::unique_ptr<ConfiguredNetworks> networks_;
  std::unique_ptr<LayeredCatalog> catalog_;
  std::unique_ptr<Attacher> attacher_;
};

}  // namespace railhead::attach
