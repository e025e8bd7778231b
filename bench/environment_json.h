// What a benchmark program was measured on, as every published figure records it.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace railhead::bench_programs {

nlohmann::ordered_json environmentJson();

}  // namespace railhead::bench_programs
