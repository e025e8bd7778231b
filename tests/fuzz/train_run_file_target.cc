#include "src/train/run_file.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

bool railhead::fuzz::trainRunFile(std::string_view input) {
  const auto run = train::parseRunFile(input, "run.yaml");
  if (!taken(run)) return false;
  must(run->ranks >= 1 && run->ranksPerNode >= 1 && run->ranks % run->ranksPerNode == 0,
       "ranks fill their nodes");
  must(!run->command.empty(), "there is a command");
  return true;
}
