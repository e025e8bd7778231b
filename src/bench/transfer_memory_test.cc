// Both ends over every kind of memory, with a fake of CUDA's driver below: its device memory is a
// file that the fake fabric maps, so that bytes really arrive there.
#include "src/bench/transfer_memory.h"

#include "tests/support/cuda_fixture.h"
#include "tests/support/verbs_fixture.h"

#include <algorithm>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::bench {
namespace {

using testing::HasSubstr;
using testing_support::CudaFixture;

constexpr const char* kNoDmabuf = "attribute 0 124 0";  // CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED

struct MemoryCase {
  VerbsOperation operation;
  TransferMemory connector;
  TransferMemory listener;
};

class TransferMemories : public testing_support::VerbsFixture {
 protected:
  void SetUp() override {
    VerbsFixture::SetUp();
    quick();
    oneRail();
  }
  MemoryChoice choose(TransferMemory memory) {
    return chooseMemory(memory, "0", {cuda_.library()}).value();
  }
  void use(TransferMemory connector, TransferMemory listener) {
    connectorsMemory_ = choose(connector);
    listenersMemory_ = choose(listener);
  }

  CudaFixture cuda_{"h200"};
};

class TransferMemoryPairs : public TransferMemories,
                            public testing::WithParamInterface<MemoryCase> {
 protected:
  void SetUp() override {
    TransferMemories::SetUp();
    targets_.plan.operation = GetParam().operation;
    use(GetParam().connector, GetParam().listener);
  }
};

TEST_P(TransferMemoryPairs, EveryByteArrivesAndBothEndsSayWhere) {
  targets_.plan.sizes = {64, 8192};
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  ASSERT_TRUE(outcome.listener.has_value()) << outcome.listener.error().describe();
  const VerbsReport& report = *outcome.connector;
  EXPECT_TRUE(report.verified);
  EXPECT_EQ(report.rails[0].own.memory, GetParam().connector);
  EXPECT_EQ(report.rails[0].peer.memory, GetParam().listener);
  EXPECT_EQ(report.gpu.empty(), GetParam().connector == TransferMemory::kHost);
  EXPECT_GE(report.rails[0].latency.count, 20U);
  const bool seen = !isDeviceMemory(GetParam().connector) && !isDeviceMemory(GetParam().listener);
  EXPECT_EQ(report.latencyByMemory, seen && GetParam().operation == VerbsOperation::kWrite);
  EXPECT_EQ(fabric_.liveObjects(), 0U);
  connectorsMemory_ = listenersMemory_ = {};
  EXPECT_EQ(cuda_.objects(), 0);
}

TEST_P(TransferMemoryPairs, AWrongByteIsFoundInThatMemory) {
  fabric_.corruptByte("a0", 2, 100);
  const Outcome outcome = run();
  ASSERT_TRUE(outcome.connector.has_value()) << outcome.connector.error().describe();
  ASSERT_TRUE(outcome.connector->failure.has_value());
  EXPECT_THAT(outcome.connector->failure->message, HasSubstr("byte 8292 is"));
  EXPECT_EQ(outcome.connector->bytesWrong, 1U);
}

std::vector<MemoryCase> everyPair() {
  std::vector<MemoryCase> out;
  for (const auto operation :
       {VerbsOperation::kWrite, VerbsOperation::kRead, VerbsOperation::kSend}) {
    for (const auto memory :
         {TransferMemory::kCudaHost, TransferMemory::kCudaDmabuf, TransferMemory::kCudaPeermem}) {
      out.push_back({operation, memory, memory});
      out.push_back({operation, memory, TransferMemory::kHost});
      out.push_back({operation, TransferMemory::kHost, memory});
    }
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(Each, TransferMemoryPairs, testing::ValuesIn(everyPair()),
                         [](const auto& each) {
                           std::string name(verbsOperationName(each.param.operation));
                           for (const auto memory : {each.param.connector, each.param.listener}) {
                             name += "_";
                             name += transferMemoryName(memory);
                           }
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_F(TransferMemories, AMachineWithoutCudaLacksItsEnvironment) {
  const auto nowhere = chooseMemory(TransferMemory::kCudaDmabuf, "0", {"libnosuchcuda.so.1"});
  ASSERT_FALSE(nowhere.has_value());
  EXPECT_EQ(exitCodeFor(nowhere.error().code), ExitCode::kEnvironment);
  EXPECT_THAT(nowhere.error().message, HasSubstr("--memory cuda-dmabuf: no CUDA here"));
  EXPECT_THAT(nowhere.error().message, HasSubstr("libnosuchcuda.so.1"));
  EXPECT_THAT(nowhere.error().remedy, HasSubstr("libcuda.so.1"));
  const auto absent = chooseMemory(TransferMemory::kCudaHost, "7", {cuda_.library()});
  ASSERT_FALSE(absent.has_value());
  EXPECT_EQ(exitCodeFor(absent.error().code), ExitCode::kEnvironment);
  EXPECT_THAT(absent.error().message, HasSubstr("no CUDA device '7'"));
}

TEST_F(TransferMemories, AnUnknownKindIsNamed) {
  const auto unknown = parseTransferMemory("disk");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(unknown.error().message, HasSubstr("'disk'"));
}

TEST_F(TransferMemories, WhatTheConnectorCannotRegisterIsSaidBeforeThePeerIsTroubled) {
  fabric_.setDeviceMemory(false, false);
  for (const auto& [memory, why] :
       {std::pair(TransferMemory::kCudaDmabuf, "ibv_reg_dmabuf_mr is missing"),
        std::pair(TransferMemory::kCudaPeermem, "nvidia-peermem is not loaded")}) {
    const auto refused = runVerbs(session(a_, choose(memory)), endpoint_, targets_);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(exitCodeFor(refused.error().code), ExitCode::kEnvironment);
    EXPECT_THAT(refused.error().message, HasSubstr(why));
    EXPECT_THAT(refused.error().message,
                HasSubstr("--memory " + std::string(transferMemoryName(memory))));
    EXPECT_FALSE(refused.error().remedy.empty());
  }
}

TEST_F(TransferMemories, WhatTheListenerCannotRegisterEndsItBeforeItWaits) {
  fabric_.setDeviceMemory(false, true);
  const auto refused =
      serveVerbs(session(b_, choose(TransferMemory::kCudaDmabuf)), listener_.get());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(exitCodeFor(refused.error().code), ExitCode::kEnvironment);
  EXPECT_THAT(refused.error().message, HasSubstr("ibv_reg_dmabuf_mr is missing"));
}

// The plan's buffers are larger than what the listener tried before it waited.
TEST_F(TransferMemories, AListenerThatRunsOutOfMemoryTellsItsPeer) {
  use(TransferMemory::kHost, TransferMemory::kCudaDmabuf);
  cuda_.command("memory 0 5000000");
  targets_.plan.messageBytes = 4 << 20;
  const Outcome outcome = run();
  for (const auto* end : {&outcome.connector, &outcome.listener}) {
    ASSERT_FALSE(end->has_value());
    EXPECT_EQ(end->error().code, ErrorCode::kExhausted);
    EXPECT_THAT(end->error().message, HasSubstr("--memory cuda-dmabuf: allocate"));
  }
  EXPECT_THAT(outcome.connector.error().message, HasSubstr("the peer refused"));
}

TEST_F(TransferMemories, AGpuThatCannotSaysSo) {
  cuda_.command(kNoDmabuf);
  const auto refused =
      runVerbs(session(a_, choose(TransferMemory::kCudaDmabuf)), endpoint_, targets_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(exitCodeFor(refused.error().code), ExitCode::kEnvironment);
  EXPECT_THAT(refused.error().message, HasSubstr("DMA_BUF_SUPPORTED is 0"));
}

}  // namespace
}  // namespace railhead::bench
