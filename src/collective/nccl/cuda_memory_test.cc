// The pattern on the device and on the host are one: whatever one fills the other finds right.
#include "src/collective/nccl/cuda_memory.h"

#include "src/collective/host/host_memory.h"
#include "tests/support/cuda_fixture.h"
#include "tests/support/memory_filesystem.h"

#include <cstring>
#include <span>

#include <gtest/gtest.h>

namespace railhead::collective {
namespace {

using namespace std::chrono_literals;

std::vector<Expectation> everyKind() {
  std::vector<Expectation> out;
  std::size_t offset = 0;
  for (const ElementType type : allElementTypes()) {
    for (const auto kind : {Expectation::Kind::kNumbers, Expectation::Kind::kSums}) {
      for (const int ranks : {1, 2, 3, 64, 65, 200}) {
        Expectation part{kind, type, offset, 33 * elementBytes(type), ranks - 1, 70000, 21, ranks};
        offset += (part.bytes + 7) / 8 * 8;
        out.push_back(part);
      }
    }
  }
  Expectation words{
      Expectation::Kind::kWords, ElementType::kInt8, offset + 1, 403, 5, 0xfffffff0U, 4, 8};
  out.push_back(words);
  return out;
}

TEST(CudaMemoryTest, ThePatternIsTheHosts) {
  testing_support::CudaFixture fixture;
  testing_support::MemoryFilesystem files;
  HostMemory host(files, "/proc/meminfo");
  const auto context = fixture.context();
  const auto device = CudaMemory::open(context, {}).value();
  const auto parts = everyKind();
  const std::size_t bytes = parts.back().offset + parts.back().bytes;
  const auto there = device->allocate(bytes).value();
  const auto here = host.allocate(bytes).value();
  ASSERT_TRUE(device->spoil(*there).has_value());
  ASSERT_TRUE(device->fill(*there, parts).has_value());
  const auto stream = context->createStream().value();
  ASSERT_TRUE(stream.copyToHost({static_cast<std::byte*>(here->data()), bytes},
                                reinterpret_cast<std::uintptr_t>(there->data())));
  ASSERT_TRUE(stream.wait(std::chrono::steady_clock::now() + 10s).has_value());
  EXPECT_EQ(host.check(*here, parts).value().elementsWrong, 0U);
  EXPECT_EQ(device->check(*there, parts).value().elementsWrong, 0U);
  EXPECT_EQ(static_cast<const unsigned char*>(here->data())[parts.back().offset - 1], 0x5a);
}

TEST(CudaMemoryTest, WhatDoesNotFitSaysSo) {
  testing_support::CudaFixture fixture;
  fixture.command("memory 0 65536");
  const auto device = CudaMemory::open(fixture.context(), {}).value();
  EXPECT_EQ(device->room().value().totalBytes, 65536U);
  EXPECT_EQ(device->allocate(1 << 20).error().code, ErrorCode::kExhausted);
}

}  // namespace
}  // namespace railhead::collective
