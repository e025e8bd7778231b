// A test's CUDA devices: loads the fake driver library and takes commands for it
// (tests/support/fake_cuda/control.h). One at a time in a process, as the driver is one.
#pragma once

#include "src/gpu/cuda/context.h"
#include "src/gpu/cuda/cuda.h"
#include "src/os/dynamic_library.h"

#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace railhead::testing_support {

class CudaFixture {
 public:
  // `devices`: kinds, "h200 h200".
  explicit CudaFixture(const std::string& devices = "h200",
                       std::string library = RAILHEAD_FAKE_CUDA_LIBRARY)
      : path_(std::move(library)) {
    auto opened = os::DynamicLibrary::open({path_});
    if (!opened) {
      ADD_FAILURE() << opened.error().message;
      return;
    }
    library_ = std::make_unique<os::DynamicLibrary>(std::move(*opened));
    command("devices " + devices);
  }

  const std::string& library() const { return path_; }
  bool tryCommand(const std::string& text) {
    return library_->find<int(const char*)>("fakeCudaControl")(text.c_str()) == 0;
  }
  void command(const std::string& text) {
    EXPECT_TRUE(tryCommand(text)) << text << ": "
                                  << library_->find<const char*()>("fakeCudaMessage")();
  }
  int objects() { return library_->find<int()>("fakeCudaObjects")(); }

  gpu::cuda::Cuda cuda() {
    auto opening = gpu::cuda::Cuda::open({path_});
    EXPECT_TRUE(opening.has_value() && opening->cuda.has_value());
    return *opening->cuda;
  }
  std::shared_ptr<const gpu::cuda::Context> context(int ordinal = 0) {
    return cuda().retain(ordinal).value();
  }

 private:
  std::string path_;
  std::unique_ptr<os::DynamicLibrary> library_;
};

}  // namespace railhead::testing_support
