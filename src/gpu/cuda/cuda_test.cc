#include "src/gpu/cuda/cuda.h"

#include "src/gpu/cuda/context.h"
#include "tests/support/cuda_fixture.h"

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

namespace railhead::gpu::cuda {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing_support::CudaFixture;

Deadline soon() { return std::chrono::steady_clock::now() + 10s; }

TEST(CudaTest, AMachineWithoutTheLibraryIsNoError) {
  const auto opening = Cuda::open({"libno-such-cuda.so.1"});
  ASSERT_TRUE(opening.has_value());
  EXPECT_FALSE(opening->cuda.has_value());
  EXPECT_THAT(opening->absence, HasSubstr("libno-such-cuda.so.1"));
}

TEST(CudaTest, ALibraryWithoutADeviceIsNoErrorEither) {
  CudaFixture fixture("");
  const auto opening = Cuda::open({fixture.library()});
  ASSERT_TRUE(opening.has_value());
  EXPECT_FALSE(opening->cuda.has_value());
  EXPECT_THAT(opening->absence, HasSubstr("CUDA_ERROR_NO_DEVICE"));
}

TEST(CudaTest, AMismatchOfLibraryAndDriverNamesTheRemedy) {
  CudaFixture fixture;
  fixture.command("fail-init 803");
  const auto opening = Cuda::open({fixture.library()});
  ASSERT_FALSE(opening.has_value());
  EXPECT_EQ(opening.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(opening.error().message, HasSubstr("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"));
  EXPECT_THAT(opening.error().remedy, HasSubstr("kernel modules"));
}

TEST(CudaTest, ReadsTheFactsOfAnH200) {
  CudaFixture fixture("h200 h200");
  const auto devices = fixture.cuda().devices();
  ASSERT_TRUE(devices.has_value()) << devices.error().describe();
  ASSERT_EQ(devices->size(), 2U);
  const DeviceFacts& facts = devices->at(1);
  EXPECT_EQ(facts.ordinal, 1);
  EXPECT_EQ(facts.uuid, "GPU-fa000000-0000-0000-0000-000000000001");
  EXPECT_EQ(facts.name, "NVIDIA H200");
  EXPECT_EQ(facts.compute, (ComputeCapability{9, 0}));
  EXPECT_EQ(facts.multiprocessors, 132);
  EXPECT_FALSE(facts.integrated);
  EXPECT_EQ(facts.gpuDirectRdma, true);
  EXPECT_EQ(facts.dmaBuf, true);
  EXPECT_EQ(facts.gpuDirectFlushByHost, true);
  EXPECT_EQ(facts.gpuDirectWritesOrdering, 100);
  EXPECT_EQ(fixture.cuda().versionText(), "13.0");
}

TEST(CudaTest, AGb10SaysThatNoNicReachesItsMemory) {
  CudaFixture fixture("gb10");
  const auto facts = fixture.cuda().device("0").value();
  EXPECT_TRUE(facts.integrated);
  EXPECT_EQ(facts.compute, (ComputeCapability{12, 1}));
  EXPECT_EQ(facts.gpuDirectRdma, false);
  EXPECT_EQ(facts.dmaBuf, false);
  ASSERT_TRUE(facts.pci.has_value());
  EXPECT_EQ(facts.pci->toString(), "000f:01:00.0");
}

TEST(CudaTest, WhatADriverDoesNotKnowYetIsAbsent) {
  CudaFixture fixture("h200", RAILHEAD_FAKE_CUDA_OLD_LIBRARY);
  fixture.command("attribute 0 124 none");
  EXPECT_EQ(fixture.cuda().device("0").value().dmaBuf, std::nullopt);
  const auto context = fixture.context();
  const auto exported = context->exportDmabuf(4096, 4096);
  ASSERT_FALSE(exported.has_value());
  EXPECT_EQ(exported.error().code, ErrorCode::kUnsupported);
  EXPECT_FALSE(context->flushRemoteWrites().has_value());
}

TEST(CudaTest, ADeviceIsFoundByUuidWithOrWithoutItsKind) {
  CudaFixture fixture("h200 gb10");
  const Cuda cuda = fixture.cuda();
  EXPECT_EQ(cuda.device("GPU-FA000000-0000-0000-0000-000000000001").value().name, "NVIDIA GB10");
  EXPECT_EQ(cuda.device("MIG-fa000000-0000-0000-0000-000000000000").value().name, "NVIDIA H200");
  const auto none = cuda.device("7");
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(none.error().message, HasSubstr("1 (GPU-fa000000-0000-0000-0000-000000000001)"));
}

TEST(ContextTest, BytesGoToTheDeviceAndBack) {
  CudaFixture fixture;
  {
    const auto context = fixture.context();
    const auto stream = context->createStream().value();
    const auto one = context->allocate(1000).value();
    const auto other = context->allocate(1000).value();
    const std::vector<std::byte> sent(1000, std::byte{0x33});
    std::vector<std::byte> got(1000);
    ASSERT_TRUE(stream.copyToDevice(one.address(), sent).has_value());
    ASSERT_TRUE(stream.setBytes(one.address() + 10, 0x77, 5).has_value());
    ASSERT_TRUE(stream.copyOnDevice(other.address(), one.address(), 1000).has_value());
    ASSERT_TRUE(stream.copyToHost(got, other.address()).has_value());
    ASSERT_TRUE(stream.wait(soon()).has_value());
    EXPECT_EQ(got[9], std::byte{0x33});
    EXPECT_EQ(got[14], std::byte{0x77});
    EXPECT_EQ(got[15], std::byte{0x33});
  }
  EXPECT_EQ(fixture.objects(), 0);
}

TEST(ContextTest, ObjectsKeepTheirContextAlive) {
  CudaFixture fixture;
  {
    auto memory = fixture.context()->allocate(4096).value();
    auto pinned = fixture.context()->allocatePinned(4096).value();
    EXPECT_EQ(fixture.objects(), 3);
    auto moved = std::move(memory);
    EXPECT_NE(moved.address(), 0U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pinned.data()), pinned.address());
  }
  EXPECT_EQ(fixture.objects(), 0);
}

TEST(ContextTest, WhatDoesNotFitSaysHowMuchWasFree) {
  CudaFixture fixture;
  fixture.command("memory 0 1048576");
  const auto context = fixture.context();
  const auto half = context->allocate(512 << 10).value();
  const auto refused = context->allocate(1 << 20);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
  EXPECT_THAT(refused.error().message, HasSubstr("512 KiB of 1 MiB are free"));
  EXPECT_EQ(context->room().value().freeBytes, 512U << 10);
}

TEST(ContextTest, EventsMarkTheStreamAndTellTime) {
  CudaFixture fixture;
  const auto context = fixture.context();
  const auto stream = context->createStream().value();
  const auto before = context->createEvent(true).value();
  const auto after = context->createEvent(true).value();
  EXPECT_TRUE(before.passed().value());
  ASSERT_TRUE(stream.record(before).has_value());
  ASSERT_TRUE(stream.record(after).has_value());
  ASSERT_TRUE(stream.wait(soon()).has_value());
  EXPECT_TRUE(after.passed().value());
  EXPECT_GE(Event::secondsBetween(before, after).value(), 0);
  const auto untimed = context->createEvent(false).value();
  EXPECT_FALSE(Event::secondsBetween(before, untimed).has_value());
}

// Work on a stream that begins when the flag says so.
class HeldWork {
 public:
  HeldWork(const CudaFixture& fixture, void* stream)
      : library_(os::DynamicLibrary::open({fixture.library()}).value()) {
    const auto enqueue = library_.find<int(void*, void (*)(void*), void*)>("fakeCudaEnqueue");
    const auto work = [](void* go) {
      while (!*static_cast<std::atomic<bool>*>(go)) std::this_thread::yield();
    };
    EXPECT_EQ(enqueue(stream, work, &go_), 0);
  }
  ~HeldWork() { release(); }
  void release() { go_ = true; }

 private:
  os::DynamicLibrary library_;
  std::atomic<bool> go_{false};
};

TEST(ContextTest, AStreamFollowsAnEventOfAnother) {
  CudaFixture fixture;
  const auto context = fixture.context();
  const auto first = context->createStream().value();
  const auto second = context->createStream().value();
  const auto event = context->createEvent(false).value();
  HeldWork work(fixture, first.handle());
  ASSERT_TRUE(first.record(event).has_value());
  ASSERT_TRUE(second.follow(event).has_value());
  EXPECT_FALSE(second.idle().value());
  work.release();
  EXPECT_TRUE(second.wait(soon()).has_value());
  EXPECT_TRUE(event.passed().value());
}

// What others give to the device by its default stream.
TEST(ContextTest, TheDefaultStreamIsOrderedWithAnother) {
  CudaFixture fixture;
  const auto context = fixture.context();
  const auto stream = context->createStream().value();
  const auto ready = context->createEvent(false).value();
  const auto done = context->createEvent(false).value();
  const auto after = context->createEvent(false).value();
  HeldWork work(fixture, stream.handle());
  ASSERT_TRUE(context->recordOn(nullptr, ready).has_value());
  ASSERT_TRUE(stream.follow(ready).has_value());
  ASSERT_TRUE(stream.record(done).has_value());
  ASSERT_TRUE(context->letFollow(nullptr, done).has_value());
  ASSERT_TRUE(context->recordOn(nullptr, after).has_value());
  EXPECT_FALSE(after.passed().value());
  work.release();
  EXPECT_TRUE(stream.wait(soon()).has_value());
  while (!after.passed().value()) std::this_thread::yield();
}

TEST(ContextTest, ADeviceErrorShowsAtTheNextWait) {
  CudaFixture fixture;
  const auto context = fixture.context();
  const auto stream = context->createStream().value();
  const auto memory = context->allocate(64).value();
  ASSERT_TRUE(stream.setBytes(memory.address(), 0, 65).has_value());
  const auto waited = stream.wait(soon());
  ASSERT_FALSE(waited.has_value());
  EXPECT_THAT(waited.error().message, HasSubstr("CUDA_ERROR_ILLEGAL_ADDRESS"));
}

TEST(ContextTest, PtxThatDoesNotCompileIsNamed) {
  CudaFixture fixture;
  const auto module = fixture.context()->load("no ptx");
  ASSERT_FALSE(module.has_value());
  EXPECT_THAT(module.error().message, HasSubstr("compile kernels for NVIDIA H200"));
}

TEST(ContextTest, TheDmabufOfDeviceMemoryIsThatMemory) {
  CudaFixture fixture;
  const auto context = fixture.context();
  const auto stream = context->createStream().value();
  const auto memory = context->allocate(8192).value();
  const auto fd = context->exportDmabuf(memory.address(), memory.size());
  ASSERT_TRUE(fd.has_value()) << fd.error().describe();
  void* seen = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd->get(), 0);
  ASSERT_NE(seen, MAP_FAILED);
  static_cast<unsigned char*>(seen)[4097] = 0x42;
  std::array<std::byte, 1> got{};
  ASSERT_TRUE(stream.copyToHost(got, memory.address() + 4097).has_value());
  ASSERT_TRUE(stream.wait(soon()).has_value());
  EXPECT_EQ(got[0], std::byte{0x42});
  ::munmap(seen, 8192);
  EXPECT_TRUE(context->orderWithRemoteAccess(memory.address()).has_value());
  EXPECT_TRUE(context->flushRemoteWrites().has_value());
}

TEST(ContextTest, AGb10ExportsNoDmabufAndAnOddRangeIsRefused) {
  {
    CudaFixture fixture("gb10");
    const auto refused = fixture.context()->exportDmabuf(4096, 4096);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
    EXPECT_THAT(refused.error().message, HasSubstr("DMA_BUF_SUPPORTED is 0"));
  }
  CudaFixture fixture;
  const auto odd = fixture.context()->exportDmabuf(4096, 100);
  ASSERT_FALSE(odd.has_value());
  EXPECT_EQ(odd.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace railhead::gpu::cuda
