// Which RDMA devices a test uses.
#pragma once

#include "src/base/ip.h"
#include "src/base/result.h"
#include "src/verbs/verbs.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::bench {

// "rxe0" or "rxe0@10.100.0.5".
struct RailRequest {
  std::string device;
  std::optional<IpAddress> address;

  static Result<RailRequest> parse(std::string_view text);
};

struct RailChoice {
  verbs::DeviceInfo device;
  verbs::GidEntry gid;
};

inline constexpr std::size_t kMaxRails = 16;

// The devices asked for, in that order; with none asked for, every device with an active port and a
// RoCE v2 IPv4 address in this network namespace, ordered by netdev name (net1 before net2).
// kEnvironment when one is not usable or none is there, with the reason for each.
Result<std::vector<RailChoice>> chooseRails(verbs::Verbs& verbs,
                                            const std::vector<RailRequest>& requests);

// Every device with an interface in this network namespace, whether it can carry now or not.
Result<std::vector<verbs::DeviceInfo>> devicesHere(verbs::Verbs& verbs);

}  // namespace railhead::bench
