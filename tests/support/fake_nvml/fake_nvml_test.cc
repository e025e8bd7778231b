// The fake keeps what control.h promises; through the client's own table of calls, as the client
// will meet it.
#include "src/gpu/nvml.h"
#include "tests/support/nvml_fixture.h"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

namespace railhead::testing_support {
namespace {

namespace abi = gpu::abi;

class FakeNvmlTest : public testing::Test {
 protected:
  FakeNvmlTest() : fixture("h100-eight") { reopen(); }
  void reopen() {
    auto opening = gpu::Nvml::open({fixture.library()});
    nvml = opening ? opening->session : nullptr;
    if (!nvml) ADD_FAILURE() << "the fake does not open";
  }
  abi::Device device(unsigned index) {
    return gpu::ask<abi::Device>(nvml->handleByIndex, index).value_or(nullptr);
  }
  abi::EventSet eventSet() {
    return gpu::ask<abi::EventSet>(nvml->eventSetCreate).value_or(nullptr);
  }
  abi::Return wait(abi::EventSet set) { return nvml->eventSetWait(set, &event, 1); }

  NvmlFixture fixture;
  std::shared_ptr<gpu::Nvml> nvml;
  abi::EventData event{};
};

TEST_F(FakeNvmlTest, SessionsAreCountedAndCallsWithoutOneRefused) {
  auto second = gpu::Nvml::open({fixture.library()});
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(fixture.sessions(), 2);
  second->session.reset();
  const auto first = device(0);
  const auto name = nvml->name;
  nvml.reset();
  char buffer[96];
  EXPECT_EQ(name(first, buffer, sizeof buffer), abi::kUninitialized);
}

TEST_F(FakeNvmlTest, RefusesAsNvmlDoes) {
  char small[4];
  EXPECT_EQ(nvml->name(device(0), small, sizeof small), abi::kInsufficientSize);
  EXPECT_EQ(nvml->name(nullptr, small, sizeof small), abi::kInvalidArgument);
  abi::Device none = nullptr;
  EXPECT_EQ(nvml->handleByIndex(8, &none), abi::kInvalidArgument);
  abi::MemoryV2 memory{};
  EXPECT_EQ(nvml->memoryV2(device(0), &memory), 25);  // the version was not set
  unsigned node = 0;
  EXPECT_EQ(nvml->numaNode(device(0), &node), abi::kNotSupported);
}

TEST_F(FakeNvmlTest, EventSetsDeliverRegisteredTypesOfRegisteredGpusInOrder) {
  const auto set = eventSet();
  ASSERT_EQ(nvml->registerEvents(device(2), abi::kEventXid, set), abi::kSuccess);
  EXPECT_EQ(wait(set), abi::kTimeout);
  fixture.command("xid 1 79");
  fixture.command("event 2 2");
  fixture.command("xid 2 48");
  fixture.command("xid 2 63 0");
  ASSERT_EQ(wait(set), abi::kSuccess);
  EXPECT_EQ(event.device, device(2));
  EXPECT_EQ(event.eventData, 48U);
  EXPECT_EQ(event.gpuInstanceId, abi::kNoInstance);
  ASSERT_EQ(wait(set), abi::kSuccess);
  EXPECT_EQ(event.gpuInstanceId, 0U);
  EXPECT_EQ(event.computeInstanceId, abi::kNoInstance);
  EXPECT_EQ(wait(set), abi::kTimeout);
  EXPECT_EQ(nvml->eventSetFree(set), abi::kSuccess);
  EXPECT_EQ(wait(set), abi::kInvalidArgument);
}

TEST_F(FakeNvmlTest, AnUnsupportedTypeRegistersNone) {
  fixture.command("set 0 nvmlDeviceGetSupportedEventTypes 8");
  const auto set = eventSet();
  EXPECT_EQ(nvml->registerEvents(device(0), abi::kEventXid | abi::kEventFatalPoison, set),
            abi::kNotSupported);
  EXPECT_EQ(fixture.registrations(), 0);
}

TEST_F(FakeNvmlTest, AWaitEndsWhenTheEventComes) {
  const auto set = eventSet();
  ASSERT_EQ(nvml->registerEvents(device(0), abi::kEventXid, set), abi::kSuccess);
  std::thread later([&] { fixture.command("xid 0 79"); });
  EXPECT_EQ(nvml->eventSetWait(set, &event, 60'000), abi::kSuccess);
  later.join();
}

TEST_F(FakeNvmlTest, ALostGpuIsLostEverywhereAndTheOthersAreNot) {
  const auto set = eventSet();
  const auto lost = device(1);
  ASSERT_EQ(nvml->registerEvents(lost, abi::kEventXid, set), abi::kSuccess);
  fixture.command("lose 1");
  EXPECT_EQ(wait(set), abi::kGpuIsLost);
  unsigned minor = 0;
  EXPECT_EQ(nvml->minorNumber(lost, &minor), abi::kGpuIsLost);
  EXPECT_EQ(nvml->minorNumber(device(2), &minor), abi::kSuccess);
  abi::Device none = nullptr;
  EXPECT_EQ(nvml->handleByIndex(1, &none), abi::kGpuIsLost);
}

TEST_F(FakeNvmlTest, AnUnpluggedGpuIsNoLongerCounted) {
  fixture.command("unplug 0");
  EXPECT_EQ(gpu::ask<unsigned>(nvml->count), 7U);
  EXPECT_EQ(gpu::ask<unsigned>(nvml->minorNumber, device(0)), 1U);
}

TEST_F(FakeNvmlTest, AResetNeedsEveryoneToLetGoAndBringsTheFixtureBack) {
  fixture.command("set 0 nvmlDeviceGetMinorNumber 9");
  fixture.command("lose 0");
  EXPECT_FALSE(fixture.tryCommand("reset 0"));
  nvml.reset();
  EXPECT_TRUE(fixture.tryCommand("reset 0"));
  reopen();
  EXPECT_EQ(gpu::ask<unsigned>(nvml->minorNumber, device(0)), 0U);
}

TEST_F(FakeNvmlTest, CommandsThatMakeNoSenseAreRefused) {
  for (const char* bad :
       {"", "dance 0", "xid 99 1", "xid 0", "set 0 nvmlDeviceGetName {", "load /no"})
    EXPECT_FALSE(fixture.tryCommand(bad)) << bad;
}

TEST_F(FakeNvmlTest, ObeysAFileThatAnotherProcessAppendsTo) {
  const auto set = eventSet();
  ASSERT_EQ(nvml->registerEvents(device(0), abi::kEventXid, set), abi::kSuccess);
  const std::string path = testing::TempDir() + "fake_nvml_control_" + std::to_string(getpid());
  std::ofstream(path) << "xid 0 79\nxid 0 4";  // the second line has not ended yet
  ASSERT_EQ(setenv("RAILHEAD_FAKE_NVML_CONTROL", path.c_str(), 1), 0);
  ASSERT_EQ(nvml->eventSetWait(set, &event, 10'000), abi::kSuccess);
  EXPECT_EQ(event.eventData, 79U);
  EXPECT_EQ(wait(set), abi::kTimeout);
  std::ofstream(path, std::ios::app) << "8\n";
  ASSERT_EQ(nvml->eventSetWait(set, &event, 10'000), abi::kSuccess);
  EXPECT_EQ(event.eventData, 48U);
  unsetenv("RAILHEAD_FAKE_NVML_CONTROL");
  std::remove(path.c_str());
}

TEST(FakeNvmlOldTest, LacksTheCallsThatAnOldDriverLacks) {
  NvmlFixture fixture("h100-one", RAILHEAD_FAKE_NVML_OLD_LIBRARY);
  auto opening = gpu::Nvml::open({fixture.library()});
  ASSERT_TRUE(opening.has_value() && opening->session);
  EXPECT_EQ(opening->session->fieldValues, nullptr);
  EXPECT_EQ(opening->session->numaNode, nullptr);
  EXPECT_NE(opening->session->name, nullptr);
}

}  // namespace
}  // namespace railhead::testing_support
