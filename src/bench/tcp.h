// TCP connections with deadlines, for the control channel between two ends. Numeric addresses only:
// a name lookup has no deadline.
#pragma once

#include "src/base/ip.h"
#include "src/base/result.h"
#include "src/os/unique_fd.h"
#include "src/os/unix_socket.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace railhead::bench {

using os::Deadline;

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  // "10.0.0.1:7471", "[fd00::1]:7471"; ":7471" means every IPv4 address of this machine.
  static Result<Endpoint> parse(std::string_view text);
  std::string toString() const;
};

// Port 0 takes a free one; boundEndpoint tells which.
Result<os::UniqueFd> listenTcp(const Endpoint& endpoint);
Result<Endpoint> boundEndpoint(int fd);

struct Accepted {
  os::UniqueFd fd;
  std::string peer;  // "10.0.0.2:40112"
};
Result<Accepted> acceptTcp(int listener, Deadline deadline);

// Tries again until the deadline while nobody listens there yet.
Result<os::UniqueFd> connectTcp(const Endpoint& endpoint, Deadline deadline);

}  // namespace railhead::bench
