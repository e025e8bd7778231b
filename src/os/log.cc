#include "src/os/log.h"

// Header-only on purpose: Debian has no static spdlog, and the agent carries what it needs.
#define SPDLOG_HEADER_ONLY
#define FMT_HEADER_ONLY
#include <string>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace railhead::os {
namespace {

spdlog::level::level_enum spdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Newlines and quotes in a message must not make a second line or break the JSON.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += ' ';
    } else {
      out += c;
    }
  }
  return out;
}

class SpdLog final : public Log {
 public:
  SpdLog(LogFormat format, LogLevel least)
      : format_(format), logger_("railhead", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_level(spdlogLevel(least));
    logger_.flush_on(spdlog::level::debug);
    logger_.set_pattern(format == LogFormat::kJson
                            ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})"
                            : "%Y-%m-%d %H:%M:%S.%e %L %v");
  }

  void write(LogLevel level, std::string_view component, std::string_view message) override {
    if (format_ == LogFormat::kJson) {
      logger_.log(spdlogLevel(level), R"("component":"{}","message":"{}")", escaped(component),
                  escaped(message));
    } else {
      logger_.log(spdlogLevel(level), "{}: {}", component, message);
    }
  }

 private:
  LogFormat format_;
  spdlog::logger logger_;
};

}  // namespace

std::unique_ptr<Log> openLog(LogFormat format, LogLevel least) {
  return std::make_unique<SpdLog>(format, least);
}

}  // namespace railhead::os
