#include "src/agent/config.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

bool railhead::fuzz::agentConfig(std::string_view input) {
  return taken(agent::parseConfig(input, "agent.yaml"));
}
