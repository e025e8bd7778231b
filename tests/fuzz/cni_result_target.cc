#include "src/attach/result.h"
#include "src/json/json.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

#include <nlohmann/json.hpp>

namespace railhead::fuzz {

bool cniResult(std::string_view input) {
  const auto result = attach::parseResult(input, "result");
  const bool good = taken(result);
  for (const char* version : {"0.3.1", "1.0.0", "1.1.0"}) {
    const auto rewritten = attach::resultIn(version, input, "result");
    must(taken(rewritten) == good, "a result is good in every version");
    must(!good || attach::parseResult(*rewritten, "rewritten").has_value(),
         "what was rewritten can be read");
  }
  attach::NetworkResult added;
  added.interfaces = {{"net1", "", 9000, "/x", "0000:01:10.0", ""}};
  const auto merged = attach::mergeResults(input, {added}, "1.1.0");
  must(!taken(merged) || json::parseObject(*merged, "result").has_value(),
       "a merged result is a JSON object");
  taken(attach::interfaceNames(input));
  return good;
}

}  // namespace railhead::fuzz
