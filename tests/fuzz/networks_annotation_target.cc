#include "src/attach/networks.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {

bool networksAnnotation(std::string_view input) {
  const auto networks = attach::parseNetworks(input, "default");
  if (!taken(networks)) return false;
  must(networks->size() <= attach::kMaxNetworks, "a pod's networks are bounded");
  for (const auto& network : *networks) {
    must(!network.name.empty() && !network.networkNamespace.empty(), "a network has a name");
    must(network.interface.size() <= 15, "an interface's name fits the kernel");
  }
  return true;
}

}  // namespace railhead::fuzz
