#include "src/verify/run/device_probe.h"

#include "src/collective/nccl/cuda_memory.h"
#include "tests/support/cuda_fixture.h"
#include "tests/support/fake_verbs.h"
#include "tests/support/free_port.h"

#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::verify {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing_support::CudaFixture;
using testing_support::FakeFabric;
using testing_support::FakeRdmaDevice;
using testing_support::FakeVerbs;

// Two ranks as threads, each with a GPU and a NIC of the fakes.
class DeviceProbeTest : public testing::Test {
 protected:
  enum class Has { kBoth, kNoNic, kNoGpu };

  std::vector<ProbeOutcome> probe(Has first = Has::kBoth, Has second = Has::kBoth) {
    std::vector<std::future<Result<ProbeOutcome>>> running;
    for (int rank = 0; rank < 2; ++rank) {
      running.push_back(std::async(std::launch::async,
                                   [&, rank] { return asRank(rank, rank == 0 ? first : second); }));
    }
    std::vector<ProbeOutcome> out;
    for (auto& one : running) {
      auto outcome = one.get();
      EXPECT_TRUE(outcome.has_value()) << outcome.error().describe();
      out.push_back(outcome.value_or(ProbeOutcome{}));
    }
    EXPECT_EQ(fabric_.liveObjects(), 0U);
    return out;
  }

  FakeFabric fabric_;
  CudaFixture cuda_{"h200 h200"};

 private:
  Result<ProbeOutcome> asRank(int rank, Has has) {
    const collective::World world{rank, 2, 0, "127.0.0.1", port_, "secret", "node"};
    const auto group =
        collective::Group::join(world, {"probe", std::chrono::steady_clock::now() + 20s, 20s, {}})
            .value();
    std::vector<FakeRdmaDevice> devices;
    if (has != Has::kNoNic) {
      FakeRdmaDevice device;
      device.name = "mlx5_" + std::to_string(rank);
      device.netdev = "net1";
      device.address = "10.100.0." + std::to_string(rank + 1);
      devices.push_back(device);
    }
    FakeVerbs verbs(fabric_, devices);
    if (has == Has::kNoGpu) return probeDevice(*group, verbs, nullptr);
    const auto context = cuda_.context(rank);
    const auto memory = collective::CudaMemory::open(context, {}).value();
    ProbedGpu gpu{*memory,
                  [&](std::uint64_t address, std::size_t bytes) {
                    return context->exportDmabuf(address, bytes);
                  },
                  [&](std::uint64_t address) { return context->orderWithRemoteAccess(address); },
                  [&] { return context->flushRemoteWrites(); }};
    return probeDevice(*group, verbs, &gpu);
  }

  std::uint16_t port_ = testing_support::freePort();
};

TEST_F(DeviceProbeTest, EveryByteArrivesByDmabuf) {
  for (const auto& outcome : probe()) {
    ASSERT_TRUE(outcome.result.has_value()) << outcome.why;
    EXPECT_TRUE(outcome.result->passed) << outcome.result->detail;
    EXPECT_THAT(outcome.result->detail, HasSubstr("dma-buf with mlx5_"));
    EXPECT_THAT(outcome.result->detail, HasSubstr("1048576 bytes compared"));
  }
}

TEST_F(DeviceProbeTest, PeermemStandsInForDmabuf) {
  fabric_.setDeviceMemory(false, true);
  for (const auto& outcome : probe()) {
    ASSERT_TRUE(outcome.result.has_value()) << outcome.why;
    EXPECT_TRUE(outcome.result->passed) << outcome.result->detail;
    EXPECT_THAT(outcome.result->detail, HasSubstr("nvidia-peermem with"));
  }
}

TEST_F(DeviceProbeTest, WhatCannotBeRegisteredFailsWithBothReasons) {
  fabric_.setDeviceMemory(false, false);
  for (const auto& outcome : probe()) {
    ASSERT_TRUE(outcome.result.has_value()) << outcome.why;
    EXPECT_FALSE(outcome.result->passed);
    EXPECT_THAT(outcome.result->detail, HasSubstr("ibv_reg_dmabuf_mr is missing"));
    EXPECT_THAT(outcome.result->detail, HasSubstr("nvidia-peermem is not loaded"));
  }
}

TEST_F(DeviceProbeTest, AWrongByteIsFoundWhereItLies) {
  fabric_.corruptByte("mlx5_0", 2, 5);
  const auto outcomes = probe();
  EXPECT_TRUE(outcomes[0].result->passed) << outcomes[0].result->detail;
  ASSERT_TRUE(outcomes[1].result.has_value());
  EXPECT_FALSE(outcomes[1].result->passed);
  EXPECT_THAT(outcomes[1].result->detail, HasSubstr("the first at byte 131076"));
}

TEST_F(DeviceProbeTest, ALostWriteIsFound) {
  fabric_.dropWrite("mlx5_1", 0);
  const auto outcomes = probe();
  EXPECT_FALSE(outcomes[0].result->passed);
  EXPECT_TRUE(outcomes[1].result->passed) << outcomes[1].result->detail;
}

TEST_F(DeviceProbeTest, AFailedWriteIsTheWritersWord) {
  fabric_.failWrite("mlx5_0", 1, verbs::CompletionStatus::kRemoteAccess);
  const auto outcomes = probe();
  ASSERT_TRUE(outcomes[1].result.has_value());
  EXPECT_FALSE(outcomes[1].result->passed);
  EXPECT_THAT(outcomes[1].result->detail, HasSubstr("rank 0 wrote: "));
}

TEST_F(DeviceProbeTest, WithoutANicItSaysWhatIsMissing) {
  const auto outcomes = probe(Has::kNoNic, Has::kBoth);
  EXPECT_FALSE(outcomes[0].result.has_value());
  EXPECT_THAT(outcomes[0].why, HasSubstr("RDMA device"));
  EXPECT_FALSE(outcomes[1].result.has_value());
  EXPECT_THAT(outcomes[1].why, HasSubstr("rank 0: "));
}

TEST_F(DeviceProbeTest, WithoutAGpuItSaysSo) {
  const auto outcomes = probe(Has::kBoth, Has::kNoGpu);
  EXPECT_EQ(outcomes[1].why, "no GPU takes part");
  EXPECT_EQ(outcomes[0].why, "rank 1: no GPU takes part");
}

}  // namespace
}  // namespace railhead::verify
