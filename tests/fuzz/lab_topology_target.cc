#include "lab/topology/topology.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {

bool labTopology(std::string_view input) {
  const auto topology = lab::parseTopology(input, "lab.yaml");
  if (!taken(topology)) return false;
  const std::string normal = lab::toYaml(*topology);
  const auto again = lab::parseTopology(normal, "normal.yaml");
  must(again.has_value(), "the normal form can be read");
  must(lab::toYaml(*again) == normal, "and is the normal form");
  return true;
}

}  // namespace railhead::fuzz
