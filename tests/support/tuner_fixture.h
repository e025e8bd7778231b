// For the plugin's own tests: an environment without a trace of a job, tables, a kept log line.
#pragma once

#include "plugins/nccl-tuner/live_table.h"
#include "tests/support/temporary_folder.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace railhead::nccl_tuner {

inline const std::string kHashA(64, 'a');
inline const std::string kHashB(64, 'b');

inline std::string& lastLog() {
  static std::string line;
  return line;
}

inline void keepLog(int level, unsigned long subsystems, const char*, int, const char* format,
                    ...) {
  EXPECT_EQ(level, 3) << "INFO";
  EXPECT_NE(subsystems & 0x40, 0U) << "TUNING";
  char text[1024];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  lastLog() = text;
}

inline LiveTable* mapForWriting(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  void* at = ::mmap(nullptr, sizeof(LiveTable), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  return at == MAP_FAILED ? nullptr : static_cast<LiveTable*>(at);
}

class TunerEnvironment : public testing::Test {
 protected:
  TunerEnvironment() { clear(); }
  ~TunerEnvironment() override { clear(); }

  std::string at(const std::string& name) const { return folder_.path() + "/" + name; }
  std::string writeTable(const std::string& name, const std::string& hash,
                         const std::string& lines) const {
    std::ofstream(at(name), std::ios::binary) << "railhead-tuner 1\nhash " << hash << "\n" << lines;
    return at(name);
  }

  static void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

 private:
  static void clear() {
    for (const char* name : {"RAILHEAD_TUNER_TABLE", "RAILHEAD_TUNER_AGREED", "RAILHEAD_TUNER_PORT",
                             "RAILHEAD_TUNER_PROOF_SECONDS", "RAILHEAD_TUNER_LIVE", "RANK",
                             "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})
      ::unsetenv(name);
  }

  testing_support::TemporaryFolder folder_;
};

}  // namespace railhead::nccl_tuner
