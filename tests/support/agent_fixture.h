// The whole agent over a fake kernel with two PFs that the configuration pairs: real sockets in a
// temporary folder, no kubelet. For the tests of src/agent.
#pragma once

#include "src/agent/agent.h"
#include "tests/support/fake_kernel.h"
#include "tests/support/kept_log.h"
#include "tests/support/manual_clock.h"
#include "tests/support/told_events.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::agent {

class AgentFixture : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "rh-agent-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    paths_.state = directory_ + "/state";
    paths_.kubeletPlugins = directory_ + "/plugins";
    paths_.podResources = directory_ + "/pods";
    std::filesystem::create_directories(paths_.state);
    std::filesystem::create_directories(paths_.kubeletPlugins);
    kernel_ = std::make_unique<testing_support::FakeKernel>(paths_);
    kernel_->memory().putDirectory(paths_.state);
    kernel_->addPf(
        {.pci = "0000:01:00.0", .netdev = "enp1s0f0np0", .mac = "52:54:00:00:01:00", .rdma = true});
    kernel_->addPf({.pci = "0000:02:00.0",
                    .netdev = "enP2p1s0f0np0",
                    .mac = "52:54:00:00:02:00",
                    .rdma = true});
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Result<std::unique_ptr<Agent>> agent(const std::string& pfs,
                                       const std::string& twin = "enP2p1s0f0np0") {
    RAILHEAD_TRY_ASSIGN(
        auto config,
        parseConfig("version: 1\nprovision: {pfs: [" + pfs + "]}\ntwins: [[enp1s0f0np0, " + twin +
                        "]]\nresources: [{name: nvidia.com/cx7_qsfp}]\ngpus: {quietSeconds: 0}\n",
                    "test.yaml"));
    return Agent::create(
        std::move(config), paths_,
        {kernel_->files(), *kernel_, events_, *kernel_, clock_, log_, gpus_.get()});
  }

  static nlohmann::json statusOf(Agent& agent) {
    return nlohmann::json::parse(agent.statusJson(), nullptr, false);
  }
  // The first resource's devices, each with the reason why it is unhealthy.
  static std::map<std::string, std::string> devicesOf(Agent& agent) {
    std::map<std::string, std::string> devices;
    const auto status = statusOf(agent);
    for (const auto& device : status["resources"][0]["devices"])
      devices[device.value("id", "")] = device.value("reason", "");
    return devices;
  }
  static bool becomesTrue(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(8);
    while (!condition() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return condition();
  }

  std::string directory_;
  os::HostPaths paths_;
  std::unique_ptr<testing_support::FakeKernel> kernel_;
  testing_support::ManualClock clock_;
  testing_support::ToldEvents events_;
  testing_support::KeptLog log_;
  std::unique_ptr<gpu::GpuLibrary> gpus_;  // null: an agent without GPUs
};

}  // namespace railhead::agent
