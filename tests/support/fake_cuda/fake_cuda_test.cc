// What the fake promises beyond what src/gpu/cuda's own tests see through it.
#include "src/gpu/cuda/cuda_abi.h"
#include "src/os/dynamic_library.h"

#include <chrono>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

namespace railhead::gpu::cuda::abi {
namespace {

class FakeCudaTest : public testing::Test {
 protected:
  void SetUp() override {
    control("devices h200");
    ASSERT_EQ(call<Return(unsigned)>("cuInit")(0), kSuccess);
    ASSERT_EQ(call<Return(Context*, Device)>("cuDevicePrimaryCtxRetain")(&context_, 0), kSuccess);
  }
  void TearDown() override {
    call<Return(Device)>("cuDevicePrimaryCtxRelease_v2")(0);
    EXPECT_EQ(call<int()>("fakeCudaObjects")(), 0);
  }
  template <typename Function>
  Function* call(const char* name) {
    return library_.find<Function>(name);
  }
  void control(const char* command) {
    ASSERT_EQ(call<int(const char*)>("fakeCudaControl")(command), 0);
  }
  void push() { ASSERT_EQ(call<Return(Context)>("cuCtxPushCurrent_v2")(context_), kSuccess); }
  void pop() { call<Return(Context*)>("cuCtxPopCurrent_v2")(nullptr); }
  Stream stream() {
    Stream out = nullptr;
    EXPECT_EQ(call<Return(Stream*, unsigned)>("cuStreamCreate")(&out, 0), kSuccess);
    return out;
  }
  Return settled(Stream stream) {
    Return code = kNotReady;
    while ((code = call<Return(Stream)>("cuStreamQuery")(stream)) == kNotReady)
      std::this_thread::yield();
    return code;
  }

  os::DynamicLibrary library_ =
      std::move(os::DynamicLibrary::open({RAILHEAD_FAKE_CUDA_LIBRARY}).value());
  Context context_ = nullptr;
};

TEST_F(FakeCudaTest, CallsNeedACurrentContext) {
  DevicePointer address = 0;
  const auto allocate = call<Return(DevicePointer*, std::size_t)>("cuMemAlloc_v2");
  EXPECT_EQ(allocate(&address, 16), kInvalidContext);
  EXPECT_EQ(call<int()>("fakeCudaCurrentDevice")(), -1);
  push();
  EXPECT_EQ(call<int()>("fakeCudaCurrentDevice")(), 0);
  EXPECT_EQ(allocate(&address, 16), kSuccess);
  pop();
  EXPECT_EQ(allocate(&address, 16), kInvalidContext);
}

TEST_F(FakeCudaTest, WorkGivenToAStreamRunsLaterAndInOrder) {
  push();
  const Stream work = stream();
  struct Order {
    std::atomic<bool> go{false};
    int first = 0;
    int seenBySecond = 0;
  } order;
  const auto enqueue = call<int(void*, void (*)(void*), void*)>("fakeCudaEnqueue");
  enqueue(
      work,
      [](void* argument) {
        auto& all = *static_cast<Order*>(argument);
        while (!all.go) std::this_thread::yield();
        all.first = 7;
      },
      &order);
  enqueue(
      work,
      [](void* argument) {
        auto& all = *static_cast<Order*>(argument);
        all.seenBySecond = all.first;
      },
      &order);
  EXPECT_EQ(call<Return(Stream)>("cuStreamQuery")(work), kNotReady);
  order.go = true;
  EXPECT_EQ(settled(work), kSuccess);
  EXPECT_EQ(order.seenBySecond, 7);
  pop();
}

TEST_F(FakeCudaTest, TouchingMemoryThatIsNotThereSpoilsTheContextUntilItsLastOwnerIsGone) {
  push();
  const Stream work = stream();
  DevicePointer address = 0;
  ASSERT_EQ(call<Return(DevicePointer*, std::size_t)>("cuMemAlloc_v2")(&address, 4096), kSuccess);
  const auto set =
      call<Return(DevicePointer, unsigned char, std::size_t, Stream)>("cuMemsetD8Async");
  EXPECT_EQ(set(address, 1, 4096, work), kSuccess);
  EXPECT_EQ(settled(work), kSuccess);
  EXPECT_EQ(set(address, 1, 4097, work), kSuccess);
  EXPECT_EQ(settled(work), kIllegalAddress);
  EXPECT_EQ(call<Return(DevicePointer)>("cuMemFree_v2")(address), kIllegalAddress);
  pop();
}

TEST_F(FakeCudaTest, APlantedFailureHitsTheChosenCallOnce) {
  push();
  control("fail cuMemAlloc_v2 2 1");
  DevicePointer address = 0;
  const auto allocate = call<Return(DevicePointer*, std::size_t)>("cuMemAlloc_v2");
  EXPECT_EQ(allocate(&address, 16), kSuccess);
  EXPECT_EQ(allocate(&address, 16), kOutOfMemory);
  EXPECT_EQ(allocate(&address, 16), kSuccess);
  pop();
}

TEST_F(FakeCudaTest, DevicesChangeOnlyWhileNothingIsOpen) {
  const auto control = call<int(const char*)>("fakeCudaControl");
  EXPECT_EQ(control("devices gb10"), -1);
  EXPECT_STREQ(call<const char*()>("fakeCudaMessage")(), "something is still open");
}

}  // namespace
}  // namespace railhead::gpu::cuda::abi
