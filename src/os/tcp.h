// TCP connections with deadlines, for control channels between processes.
#pragma once

#include "src/base/ip.h"
#include "src/base/result.h"
#include "src/os/unique_fd.h"
#include "src/os/unix_socket.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace railhead::os {

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  // "10.0.0.1:7471", "[fd00::1]:7471"; ":7471" means every IPv4 address of this machine.
  static Result<Endpoint> parse(std::string_view text);
  std::string toString() const;
};

// Port 0 takes a free one; boundEndpoint tells which.
Result<UniqueFd> listenTcp(const Endpoint& endpoint);
Result<Endpoint> boundEndpoint(int fd);

struct Accepted {
  UniqueFd fd;
  std::string peer;  // "10.0.0.2:40112"
};
Result<Accepted> acceptTcp(int listener, Deadline deadline);

// Tries again until the deadline while nobody listens there yet. From `source`, an address of this
// machine, or from the one that its routes say.
Result<UniqueFd> connectTcp(const Endpoint& endpoint, Deadline deadline,
                            const std::optional<IpAddress>& source = {});

// An address of a host name or of a numeric address. A name that is not known is asked for again
// until the deadline: the record of a pod that is starting appears late. kEnvironment then, naming
// the host.
Result<IpAddress> resolveHost(const std::string& host, Deadline deadline);

// The address that this machine would use towards another; no packet is sent.
Result<IpAddress> ownAddressTowards(const IpAddress& peer);

}  // namespace railhead::os
