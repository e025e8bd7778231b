// A log that keeps what was written. Thread-safe.
#pragma once

#include "src/os/log.h"

#include <mutex>
#include <string>

namespace railhead::testing_support {

class KeptLog final : public os::Log {
 public:
  void write(os::LogLevel, std::string_view component, std::string_view message) override {
    const std::lock_guard lock(mutex_);
    text_ += std::string(component) + ": " + std::string(message) + "\n";
  }
  std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  std::mutex mutex_;
  std::string text_;
};

}  // namespace railhead::testing_support
