// A device-plugin server against the kubelet stand-in, over real unix sockets. For the tests of
// src/kube.
#pragma once

#include "lab/kubelet/plugin_link.h"
#include "lab/kubelet/rig.h"
#include "src/kube/device_plugin_server.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace railhead::kube {

inline constexpr const char* kResource = "nvidia.com/cx7_qsfp";

// The thread sanitizer does the same work many times slower.
#ifdef __SANITIZE_THREAD__
inline constexpr int kSlowdown = 10;
#else
inline constexpr int kSlowdown = 1;
#endif

inline os::Deadline in(std::chrono::milliseconds wait) {
  return std::chrono::steady_clock::now() + wait * kSlowdown;
}

// Hands out what it is asked for and prefers the last devices.
class TestHandler final : public ResourceHandler {
 public:
  Result<AllocateAnswer> allocate(const std::vector<std::string>& ids) override {
    ++allocations;
    if (refuse) return Error(ErrorCode::kBusy, "rail " + ids[0] + " is being repaired");
    AllocateAnswer answer;
    for (const auto& id : ids) answer.env["RAILS"] += id + ";";
    answer.mounts = {{"/etc/nccl.conf", "/run/railhead/nccl.conf", true}};
    answer.deviceNodes = {{"/dev/infiniband/uverbs0", "/dev/infiniband/uverbs0", "rw"}};
    answer.annotations = {{"railhead.dev/rails", ids[0]}};
    answer.cdiDevices = {"railhead.dev/rail=" + ids[0]};
    return answer;
  }
  Result<std::vector<std::string>> preferred(const std::vector<std::string>& available,
                                             const std::vector<std::string>&,
                                             std::size_t size) override {
    ++preferences;
    if (noPreference) return Error(ErrorCode::kUnavailable, "no order is known");
    if (wrongPreference) return std::vector<std::string>(size, "nonsense");
    std::vector<std::string> best(available.rbegin(), available.rend());
    best.resize(size);
    return best;
  }

  std::atomic<int> allocations = 0;
  std::atomic<int> preferences = 0;
  std::atomic<bool> refuse = false;
  std::atomic<bool> wrongPreference = false;
  std::atomic<bool> noPreference = false;
};

inline std::vector<Device> makeDevices(int count, const std::string& prefix = "set-") {
  std::vector<Device> devices;
  for (int i = 0; i < count; ++i) devices.push_back({prefix + std::to_string(i), true, {i % 2}});
  return devices;
}

class PluginFixture : public testing::Test {
 protected:
  void SetUp() override {
    auto made = lab::KubeletRig::make();
    ASSERT_TRUE(made.has_value()) << made.error().describe();
    rig_ = std::move(*made);
  }

  DevicePluginOptions options(const std::string& socket = "railhead.sock",
                              const std::string& resource = kResource) {
    DevicePluginOptions all;
    all.folder = rig_->pluginsFolder();
    all.socket = socket;
    all.resource = resource;
    all.onNote = [this](const std::string& note) {
      const std::lock_guard lock(notesMutex_);
      notes_.push_back(note);
    };
    return all;
  }

  std::unique_ptr<DevicePluginServer> makeServer(DevicePluginOptions all) {
    auto server = DevicePluginServer::create(std::move(all), handler_);
    EXPECT_TRUE(server.has_value()) << server.error().describe();
    return server.has_value() ? std::move(*server) : nullptr;
  }
  std::unique_ptr<DevicePluginServer> startServer(int devices) {
    auto server = makeServer(options());
    EXPECT_TRUE(server->setDevices(makeDevices(devices)).has_value());
    EXPECT_TRUE(server->start().has_value());
    return server;
  }

  testing::AssertionResult comesTo(const DevicePluginServer& server, PluginPhase phase,
                                   std::chrono::milliseconds wait = std::chrono::seconds(5)) {
    if (server.waitFor([&](const PluginState& state) { return state.phase == phase; }, in(wait))) {
      return testing::AssertionSuccess();
    }
    const auto state = server.state();
    return testing::AssertionFailure()
           << "still " << pluginPhaseName(state.phase) << ": " << state.detail;
  }
  testing::AssertionResult kubeletSees(std::size_t allocatable,
                                       std::chrono::milliseconds wait = std::chrono::seconds(5),
                                       const std::string& resource = kResource) {
    const auto count = [&](const lab::KubeletStatus& status) {
      const auto found = status.resources.find(resource);
      return found == status.resources.end() ? 0 : found->second.allocatable;
    };
    if (rig_->kubelet().waitFor(
            [&](const lab::KubeletStatus& status) { return count(status) == allocatable; },
            in(wait))) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure()
           << count(rig_->kubelet().status()) << " are allocatable, not " << allocatable;
  }
  std::unique_ptr<lab::PluginLink> dial() {
    auto link = lab::PluginLink::dial(rig_->pluginsFolder() + "/railhead.sock",
                                      in(std::chrono::seconds(2)));
    EXPECT_TRUE(link.has_value()) << link.error().describe();
    return link.has_value() ? std::move(*link) : nullptr;
  }
  void startKubelet() {
    const auto started = rig_->kubelet().start();
    ASSERT_TRUE(started.has_value()) << started.error().describe();
  }

  std::unique_ptr<lab::KubeletRig> rig_;
  TestHandler handler_;
  std::mutex notesMutex_;
  std::vector<std::string> notes_;  // what servers did not tell kubelet
};

}  // namespace railhead::kube
