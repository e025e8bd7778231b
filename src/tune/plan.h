// What a search settles on: one environment for the processes, one choice for each size.
#pragma once

#include "src/tune/setting.h"

#include <cstddef>
#include <vector>

namespace railhead::tune {

struct Plan {
  Setting environment;           // of Layer::kProcess
  std::vector<Setting> choices;  // of Layer::kPerSize, by size of the objective

  Setting at(std::size_t size) const { return environment.merged(choices[size]); }
  bool operator==(const Plan&) const = default;
};

}  // namespace railhead::tune
