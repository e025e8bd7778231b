// A test's GPUs: loads the fake driver library with one fixture and takes commands for it
// (tests/support/fake_nvml/control.h). One at a time in a process, as the driver is one.
#pragma once

#include "src/os/dynamic_library.h"

#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace railhead::testing_support {

class NvmlFixture {
 public:
  // `name`: of tests/fixtures/nvml, without ".json".
  explicit NvmlFixture(const std::string& name, std::string library = RAILHEAD_FAKE_NVML_LIBRARY)
      : path_(std::move(library)) {
    auto opened = os::DynamicLibrary::open({path_});
    if (!opened) {
      ADD_FAILURE() << opened.error().message;
      return;
    }
    library_ = std::make_unique<os::DynamicLibrary>(std::move(*opened));
    command("fail-init 0");
    command("load tests/fixtures/nvml/" + name + ".json");
  }

  const std::string& library() const { return path_; }
  bool tryCommand(const std::string& text) {
    return library_->find<int(const char*)>("fakeNvmlControl")(text.c_str()) == 0;
  }
  void command(const std::string& text) {
    EXPECT_TRUE(tryCommand(text)) << text << ": "
                                  << library_->find<const char*()>("fakeNvmlMessage")();
  }
  int sessions() { return library_->find<int()>("fakeNvmlSessions")(); }
  int eventSets() { return library_->find<int()>("fakeNvmlEventSets")(); }
  int eventSetsMade() { return library_->find<int()>("fakeNvmlEventSetsMade")(); }
  int registrations() { return library_->find<int()>("fakeNvmlRegistrations")(); }

 private:
  std::string path_;
  std::unique_ptr<os::DynamicLibrary> library_;
};

}  // namespace railhead::testing_support
