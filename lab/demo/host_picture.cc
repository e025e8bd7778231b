#include "lab/demo/host_picture.h"

#include "src/base/text.h"
#include "src/os/filesystem.h"
#include "src/os/process.h"

#include <ctime>
#include <thread>

#include <sys/utsname.h>

namespace railhead::lab {
namespace {

// PRETTY_NAME of os-release.
std::string osName() {
  auto files = os::RootedFilesystem::open("/");
  if (!files.has_value()) return {};
  const auto release = static_cast<os::Filesystem&>(**files).readFile("/etc/os-release");
  if (!release.has_value()) return {};
  for (const auto line : split(*release, '\n')) {
    constexpr std::string_view kKey = "PRETTY_NAME=";
    if (!line.starts_with(kKey)) continue;
    std::string_view value = line.substr(kKey.size());
    if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
    return std::string(value);
  }
  return {};
}

// "10.0.2" out of "QEMU emulator version 10.0.2 (...)".
std::string qemuVersion(const std::string& program) {
  os::SystemProcessRunner runner;
  const auto ran =
      runner.run({.argv = {program, "--version"}, .deadline = std::chrono::seconds(10)});
  if (!ran.has_value()) return {};
  constexpr std::string_view kBefore = "version ";
  const auto at = ran->output.find(kBefore);
  if (at == std::string::npos) return {};
  const std::string rest = ran->output.substr(at + kBefore.size());
  return rest.substr(0, rest.find_first_of(" \n("));
}

}  // namespace

report::Environment hostPicture(const LabOptions& options) {
  report::Environment environment;
  environment.hostOs = osName();
  utsname names{};
  if (::uname(&names) == 0) {
    environment.hostKernel = names.release;
    environment.architecture = names.machine;
  }
  environment.cpus = static_cast<int>(std::thread::hardware_concurrency());
  environment.accel = options.accelerator;
  environment.qemu = qemuVersion(options.qemu);
  environment.revision = RAILHEAD_REVISION;
  return environment;
}

std::string timestamp(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace railhead::lab
