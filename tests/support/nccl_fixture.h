// A test's NCCL: the fake library (tests/support/fake_nccl/control.h) over the fake CUDA driver,
// and its ranks as threads, each with a device of its own.
#pragma once

#include "src/nccl/library.h"
#include "tests/support/cuda_fixture.h"

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace railhead::testing_support {

class NcclFixture {
 public:
  explicit NcclFixture(int ranks, std::string library = RAILHEAD_FAKE_NCCL_LIBRARY)
      : cuda_(devices(ranks)), ranks_(ranks), path_(std::move(library)) {
    auto opened = os::DynamicLibrary::open({path_});
    if (!opened) {
      ADD_FAILURE() << opened.error().message;
      return;
    }
    library_ = std::make_unique<os::DynamicLibrary>(std::move(*opened));
    command("reset");
  }

  CudaFixture& cuda() { return cuda_; }
  int ranks() const { return ranks_; }
  const std::string& path() const { return path_; }
  void command(const std::string& text) {
    EXPECT_EQ(library_->find<int(const char*)>("fakeNcclControl")(text.c_str()), 0) << text;
  }
  int comms() { return library_->find<int()>("fakeNcclComms")(); }
  int aborts() { return library_->find<int()>("fakeNcclAborts")(); }
  std::shared_ptr<const nccl::Library> library() { return nccl::Library::open({path_}).value(); }

  // Every rank in a thread of its own.
  void eachRank(const std::function<void(int rank)>& body) const {
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks_; ++rank) threads.emplace_back(body, rank);
    for (std::thread& thread : threads) thread.join();
  }

 private:
  static std::string devices(int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += "h200 ";
    return out;
  }

  CudaFixture cuda_;
  int ranks_;
  std::string path_;
  std::unique_ptr<os::DynamicLibrary> library_;
};

}  // namespace railhead::testing_support
