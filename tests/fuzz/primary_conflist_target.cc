#include "src/conflist/configuration.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {

bool primaryConflist(std::string_view input) {
  bool good = false;
  for (const bool list : {false, true}) {
    const auto read = conflist::readConfiguration(input, list);
    const auto chained = conflist::chainBehind(input, list, {"/run/x.sock"});
    if (taken(chained)) {
      const auto ours = conflist::readConfiguration(*chained, true);
      must(ours.has_value(), "what we write can be read");
      must(ours->plugins.back() == conflist::kOurType, "we are the last plugin");
      must(ours->givesAnnotations, "and get the pod's annotations");
    }
    good = taken(read) || good;
  }
  return good;
}

}  // namespace railhead::fuzz
