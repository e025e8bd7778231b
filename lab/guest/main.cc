// PID 1 of a lab node: brings up an immutable root as Talos would have it, then does what the host
// says over the control port.
#include "lab/guest/guest_config.h"
#include "lab/guest/interfaces.h"
#include "lab/guest/layout.h"
#include "lab/guest/modules.h"
#include "lab/guest/stream_server.h"
#include "src/base/text.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <sys/klog.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

constexpr const char* kPortName = "railhead.control";
constexpr const char* kRootDevice = "/dev/vda";
constexpr int kDeviceWaitMilliseconds = 10'000;
constexpr int kConsoleInfo = 7;  // kernel messages of level info and worse go to the console
constexpr int kSetConsoleLevel = 8;

double secondsSinceBoot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// One line on the serial console, with the kernel's own kind of time stamp.
void log(const std::string& line) {
  std::fprintf(stderr, "[%12.6f] railhead-lab-guest: %s\n", secondsSinceBoot(), line.c_str());
}

std::string readWhole(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void useConsole() {
  const int console = ::open("/dev/console", O_RDWR | O_NOCTTY);
  if (console < 0) return;  // nowhere to say so
  for (int target = 0; target < 3; ++target) ::dup2(console, target);
  if (console > 2) ::close(console);
}

Result<void> nameNode(const std::string& node) {
  if (::sethostname(node.data(), node.size()) != 0) {
    return Error::fromErrno(errno, "set the host name");
  }
  // The image's /etc holds links to these.
  std::ofstream("/run/hostname") << node << '\n';
  std::ofstream("/run/hosts") << "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 " << node << '\n';
  std::ofstream("/run/resolv.conf");
  std::string id = readWhole("/proc/sys/kernel/random/boot_id");
  std::erase(id, '-');
  std::ofstream("/run/machine-id") << id;
  return {};
}

void setLimits() {
  const rlimit files{65536, 65536};
  ::setrlimit(RLIMIT_NOFILE, &files);
  for (const auto& [name, value] : {std::pair{"PATH", "/usr/bin:/usr/sbin"},
                                    std::pair{"HOME", "/root"}, std::pair{"TERM", "linux"}}) {
    ::setenv(name, value, 1);
  }
}

// The device node of the virtio-serial port with our name.
Result<os::UniqueFd> openPort() {
  const std::string folder = "/sys/class/virtio-ports";
  for (int waited = 0; waited <= kDeviceWaitMilliseconds; waited += 10) {
    std::error_code failure;
    for (const auto& entry : std::filesystem::directory_iterator(folder, failure)) {
      if (trim(readWhole(entry.path().string() + "/name")) != kPortName) continue;
      const std::string device = "/dev/" + entry.path().filename().string();
      os::UniqueFd port(::open(device.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
      if (port) return port;
      if (errno != ENOENT) return Error::fromErrno(errno, "open " + device);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return Error(ErrorCode::kNotFound,
               std::string("control port: no virtio-serial port '") + kPortName + "'",
               std::string("start QEMU with -device virtserialport,name=") + kPortName);
}

Result<os::UniqueFd> takeSignals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (int number : {SIGCHLD, SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGPWR}) {
    sigaddset(&mask, number);
  }
  ::signal(SIGPIPE, SIG_IGN);
  if (::sigprocmask(SIG_BLOCK, &mask, nullptr) != 0)
    return Error::fromErrno(errno, "block signals");
  os::UniqueFd signals(::signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!signals) return Error::fromErrno(errno, "open a signal descriptor");
  return signals;
}

Result<NodeEnd> runNode() {
  RAILHEAD_TRY(mountAll(earlyMounts(), ""));
  useConsole();
  RAILHEAD_TRY_ASSIGN(const GuestConfig config, GuestConfig::parse(readWhole("/proc/cmdline")));
  log("user space reached");
  RAILHEAD_TRY(loadModules("/modules", "early.list"));
  RAILHEAD_TRY(enterRootImage(kRootDevice, kDeviceWaitMilliseconds));
  RAILHEAD_TRY(layOutNode());
  RAILHEAD_TRY(nameNode(config.node));
  setLimits();
  log("root image entered");
  utsname system{};
  ::uname(&system);
  RAILHEAD_TRY(loadModules(std::string("/usr/lib/modules/") + system.release, "boot.list"));
  if (!config.share.empty()) RAILHEAD_TRY(mountShare(config.share));
  RAILHEAD_TRY(bringUp("lo"));
  RAILHEAD_TRY(nameInterfaces("/sys", config.interfaces, kDeviceWaitMilliseconds));
  ::klogctl(kSetConsoleLevel, nullptr, kConsoleInfo);
  RAILHEAD_TRY_ASSIGN(os::UniqueFd signals, takeSignals());
  RAILHEAD_TRY_ASSIGN(os::UniqueFd port, openPort());
  StreamServerOptions options;
  options.ready = ReadyMessage{config.node, system.release, secondsSinceBoot()};
  options.log = log;
  log("node " + config.node + " ready");
  StreamServer server(std::move(port), std::move(signals), std::move(options));
  RAILHEAD_TRY_ASSIGN(const std::optional<NodeEnd> end, server.serve());
  return end.value_or(NodeEnd::kPowerOff);
}

[[noreturn]] void endNode(NodeEnd end) {
  // Nothing on the node outlives it, so nobody is asked to finish first.
  ::kill(-1, SIGKILL);
  ::sync();
  ::reboot(end == NodeEnd::kReboot ? RB_AUTOBOOT : RB_POWER_OFF);
  while (true) ::pause();
}

}  // namespace
}  // namespace railhead::lab

int main() {
  using namespace railhead::lab;
  if (::getpid() != 1) {
    std::fputs("railhead-lab-guest is PID 1 of a lab node; see 'railhead lab up'\n", stderr);
    return 2;
  }
  ::umask(0022);
  auto end = runNode();
  if (!end.has_value()) {
    log("the node cannot start: " + end.error().describe());
    endNode(NodeEnd::kPowerOff);
  }
  log(*end == NodeEnd::kPowerOff ? "power off" : "reboot");
  endNode(*end);
}
