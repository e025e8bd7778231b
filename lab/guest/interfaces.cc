#include "lab/guest/interfaces.h"

#include "src/os/unique_fd.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>
#include <vector>

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace railhead::lab {

namespace {

Result<os::UniqueFd> controlSocket() {
  os::UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::fromErrno(errno, "open a socket for interface settings");
  return fd;
}

ifreq requestFor(const std::string& interface) {
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

Result<void> rename(int control, const std::string& from, const std::string& to) {
  ifreq request = requestFor(from);
  to.copy(request.ifr_newname, IFNAMSIZ - 1);
  if (::ioctl(control, SIOCSIFNAME, &request) != 0) {
    return Error::fromErrno(errno, "rename " + from + " to " + to);
  }
  return {};
}

}  // namespace

Result<std::string> interfaceOf(const std::string& sys, const PciAddress& address) {
  const std::string folder = sys + "/bus/pci/devices/" + address.toString() + "/net";
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failure)) {
    return entry.path().filename().string();
  }
  return Error(ErrorCode::kNotFound, address.toString() + " has no network device");
}

Result<void> nameInterfaces(const std::string& sys, const std::map<PciAddress, std::string>& names,
                            int waitMilliseconds) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(waitMilliseconds);
  std::map<PciAddress, std::string> present;
  for (const auto& [address, name] : names) {
    auto found = interfaceOf(sys, address);
    while (!found.has_value() && Clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      found = interfaceOf(sys, address);
    }
    if (!found.has_value()) {
      return Error(ErrorCode::kDeadlineExceeded,
                   "railhead.pf: " + found.error().message + " after " +
                       std::to_string(waitMilliseconds) + " ms",
                   "check the node's root ports and NICs, and their order");
    }
    present.emplace(address, std::move(*found));
  }
  RAILHEAD_TRY_ASSIGN(const os::UniqueFd control, controlSocket());
  // By way of names nobody wants, so that a swap of two names works too.
  int number = 0;
  for (auto& [address, name] : present) {
    const std::string between = "railhead-" + std::to_string(number++);
    RAILHEAD_TRY(rename(control.get(), name, between));
    name = between;
  }
  for (const auto& [address, name] : present) {
    RAILHEAD_TRY(rename(control.get(), name, names.at(address)));
  }
  return {};
}

Result<void> bringUp(const std::string& interface) {
  RAILHEAD_TRY_ASSIGN(const os::UniqueFd control, controlSocket());
  ifreq request = requestFor(interface);
  if (::ioctl(control.get(), SIOCGIFFLAGS, &request) != 0) {
    return Error::fromErrno(errno, "read the flags of " + interface);
  }
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) {
    return Error::fromErrno(errno, "set " + interface + " up");
  }
  return {};
}

}  // namespace railhead::lab
