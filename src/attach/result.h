// The CNI result: our interfaces and addresses added to the previous plugin's, in the version the
// runtime asked for. Pure functions; thread-safe.
#pragma once

#include "src/base/ip.h"
#include "src/base/mac.h"
#include "src/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace railhead::attach {

struct ResultInterface {
  std::string name;
  Mac mac;
  int mtu = 0;          // since 1.1.0
  std::string sandbox;  // path of the pod's namespace
  std::string pci;      // since 1.1.0
  std::vector<IpPrefix> addresses;
};

// `prevResult`: JSON text in `version`, or empty. Its interfaces, addresses, routes and DNS stay;
// ours follow, with matching indices. kInvalidArgument when prevResult does not have its form.
Result<std::string> mergeResult(std::string_view prevResult,
                                const std::vector<ResultInterface>& added,
                                std::string_view version);

// Names of all interfaces in a result, to avoid them. kInvalidArgument as above.
Result<std::vector<std::string>> interfaceNames(std::string_view prevResult);

}  // namespace railhead::attach
