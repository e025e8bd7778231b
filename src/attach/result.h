// CNI results: what one network gave a pod, and all of them added to the previous plugin's, in the
// version the runtime asked for. Results come from foreign plugins too: checked and bounded. Pure
// functions; thread-safe.
#pragma once

#include "src/base/ip.h"
#include "src/base/mac.h"
#include "src/base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::attach {

inline constexpr std::size_t kMaxResult = 256 << 10;  // bytes of one plugin's result

struct ResultInterface {
  std::string name;
  std::string mac;         // as text: an InfiniBand address is longer than a Mac; may be empty
  int mtu = 0;             // 0: not said; since 1.1.0
  std::string sandbox;     // path of the pod's namespace; empty: an interface on the host
  std::string pci;         // since 1.1.0
  std::string socketPath;  // since 1.1.0
};

struct ResultAddress {
  IpPrefix address;
  std::optional<IpAddress> gateway;
  std::optional<std::size_t> interface;  // index into the interfaces
};

struct ResultRoute {
  IpPrefix destination;
  std::optional<IpAddress> gateway;
  // Since 1.1.0.
  std::optional<std::uint32_t> mtu, advmss, priority, table, scope;
};

struct ResultDns {
  std::vector<std::string> nameservers;
  std::string domain;
  std::vector<std::string> search;
  std::vector<std::string> options;
  bool empty() const {
    return nameservers.empty() && domain.empty() && search.empty() && options.empty();
  }
};

struct NetworkResult {
  std::vector<ResultInterface> interfaces;
  std::vector<ResultAddress> addresses;
  std::vector<ResultRoute> routes;
  ResultDns dns;
};

// A plugin's result in any version from 0.3.0 on. kCorrupt, beginning with `what`, names the part
// that does not have its form.
Result<NetworkResult> parseResult(std::string_view text, std::string_view what);

// A plugin's result, checked, and rewritten when it is not in `version`. kCorrupt as above.
Result<std::string> resultIn(std::string_view version, std::string_view text,
                             std::string_view what);

std::string encodeResult(const NetworkResult& result, std::string_view version);

// `prevResult`: JSON text in `version`, or empty. Its interfaces, addresses, routes and DNS stay;
// those of `added` follow, with matching indices. kInvalidArgument when prevResult does not have
// its form.
Result<std::string> mergeResults(std::string_view prevResult,
                                 const std::vector<NetworkResult>& added, std::string_view version);

// Names of all interfaces in a result, to avoid them. kInvalidArgument as above.
Result<std::vector<std::string>> interfaceNames(std::string_view prevResult);

}  // namespace railhead::attach
