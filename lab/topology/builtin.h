// The topologies of lab/topologies, compiled in, so that the installed command needs no file.
#pragma once

#include <span>
#include <string_view>

namespace railhead::lab {

struct BuiltinTopology {
  std::string_view name;
  std::string_view text;
};

std::span<const BuiltinTopology> builtinTopologyTexts();

}  // namespace railhead::lab
