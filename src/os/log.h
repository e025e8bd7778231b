// What a daemon tells its keeper. One line per event, to standard error; thread-safe.
#pragma once

#include "src/base/result.h"

#include <memory>
#include <string_view>

namespace railhead::os {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };  // JSON: {"time","level","component","message"}

class Log {
 public:
  virtual ~Log() = default;
  // `component` is the folder that speaks: "provision", "attach".
  virtual void write(LogLevel level, std::string_view component, std::string_view message) = 0;

  void debug(std::string_view component, std::string_view message) {
    write(LogLevel::kDebug, component, message);
  }
  void info(std::string_view component, std::string_view message) {
    write(LogLevel::kInfo, component, message);
  }
  void warning(std::string_view component, std::string_view message) {
    write(LogLevel::kWarning, component, message);
  }
  void error(std::string_view component, std::string_view message) {
    write(LogLevel::kError, component, message);
  }
  void error(std::string_view component, const Error& failure) {
    write(LogLevel::kError, component, failure.describe());
  }
};

std::unique_ptr<Log> openLog(LogFormat format, LogLevel least);

// Says nothing.
class SilentLog final : public Log {
 public:
  void write(LogLevel, std::string_view, std::string_view) override {}
};

}  // namespace railhead::os
