#include "bench/environment_json.h"

#include "src/os/process.h"

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/utsname.h>

namespace railhead::bench_programs {
namespace {

std::string firstLine(const std::vector<std::string>& argv) {
  const auto ran = os::SystemProcessRunner().run({.argv = argv});
  if (!ran.has_value() || ran->exitCode != 0) return {};
  return ran->output.substr(0, ran->output.find('\n'));
}

}  // namespace

nlohmann::ordered_json environmentJson() {
  utsname system{};
  ::uname(&system);
  std::string processor;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; processor.empty() && std::getline(info, line);) {
    if (line.starts_with("model name")) processor = line.substr(line.find(':') + 2);
  }
  double load = 0;  // of the last minute: others at work make figures worse
  ::getloadavg(&load, 1);
  std::string today(32, '\0');
  const std::time_t now = std::time(nullptr);
  today.resize(std::strftime(today.data(), today.size(), "%Y-%m-%d", std::gmtime(&now)));
  return {{"kernel", system.release},
          {"architecture", system.machine},
          {"processor", processor},
          {"processors", std::thread::hardware_concurrency()},
          {"load_average", load},
          {"niceness", ::getpriority(PRIO_PROCESS, 0)},
          {"compiler", RAILHEAD_COMPILER},
          {"build", RAILHEAD_BUILD_TYPE},
          {"revision", firstLine({"git", "-C", RAILHEAD_SOURCE, "rev-parse", "--short", "HEAD"})},
          {"date", today}};
}

}  // namespace railhead::bench_programs
