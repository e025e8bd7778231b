#include "lab/keeper/lab_socket.h"

#include "src/base/text.h"
#include "src/os/unix_socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

constexpr std::size_t kNameLength = 32;
constexpr int kBacklog = 64;

struct Address {
  sockaddr_un value{};
  socklen_t length = 0;
};

Address addressOf(const std::string& name) {
  Address address;
  address.value.sun_family = AF_UNIX;
  // sun_path[0] stays zero: the abstract name space. The name fits, see checkLabName.
  const std::string text = "railhead-lab-" + std::to_string(::getuid()) + "-" + name;
  std::memcpy(address.value.sun_path + 1, text.data(), text.size());
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  return address;
}

Result<os::UniqueFd> newSocket() {
  os::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::fromErrno(errno, "make a socket for the lab");
  return fd;
}

}  // namespace

Result<void> checkLabName(const std::string& name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  };
  if (!name.empty() && name.size() <= kNameLength && std::all_of(name.begin(), name.end(), good)) {
    return {};
  }
  return Error(ErrorCode::kInvalidArgument,
               "lab name is " + inQuotes(name) + "; allowed: 1 to 32 letters, digits and '-'");
}

std::string labCommand(const std::string& command, const std::string& lab) {
  return "railhead lab " + command + (lab == kDefaultLab ? "" : " --lab " + lab);
}

Result<void> checkPeer(int fd) {
  RAILHEAD_TRY_ASSIGN(const os::PeerCredentials peer, os::peerCredentials(fd));
  if (peer.uid == ::getuid()) return {};
  return Error(ErrorCode::kEnvironment,
               "the lab's socket name is held by another user (uid " + std::to_string(peer.uid) +
                   ", pid " + std::to_string(peer.pid) + ")",
               "end that process, or choose another name with --lab");
}

Result<os::UniqueFd> listenLab(const std::string& name) {
  RAILHEAD_TRY(checkLabName(name));
  RAILHEAD_TRY_ASSIGN(os::UniqueFd fd, newSocket());
  const Address address = addressOf(name);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.value), address.length) != 0) {
    if (errno != EADDRINUSE) return Error::fromErrno(errno, "bind the lab's socket");
    RAILHEAD_TRY(connectLab(name));
    return Error(ErrorCode::kAlreadyExists, "a lab named " + inQuotes(name) + " runs already");
  }
  if (::listen(fd.get(), kBacklog) != 0) return Error::fromErrno(errno, "listen for lab clients");
  return fd;
}

Result<os::UniqueFd> connectLab(const std::string& name) {
  RAILHEAD_TRY(checkLabName(name));
  RAILHEAD_TRY_ASSIGN(os::UniqueFd fd, newSocket());
  const Address address = addressOf(name);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.value), address.length) != 0) {
    if (errno == ECONNREFUSED || errno == ENOENT) {
      return Error(ErrorCode::kNotFound, "no lab is running",
                   "start one: " + labCommand("up", name));
    }
    return Error::fromErrno(errno, "connect to the lab");
  }
  RAILHEAD_TRY(checkPeer(fd.get()));
  return fd;
}

}  // namespace railhead::lab
