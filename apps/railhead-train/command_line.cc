#include "apps/railhead-train/command_line.h"

#include "apps/railhead-train/run.h"
#include "apps/usage/command_line.h"

#include <iostream>

#include <CLI/CLI.hpp>

namespace railhead::trainer_app {
namespace {

constexpr const char* kTrainExamples =
    "Examples:\n"
    "  railhead-train --steps 50\n"
    "  railhead-train --model 124M --type bf16 --data corpus.txt --batch 32 --micro-batch 16 \\\n"
    "    --checkpoints ckpt --checkpoint-every 100 --resume latest\n"
    "  RANK=0 WORLD_SIZE=2 MASTER_ADDR=10.100.0.1 MASTER_PORT=29500 railhead-train ...";

}  // namespace

int runCommandLine(const std::vector<std::string>& args,
                   const collective::EnvironmentLookup& environment,
                   const std::function<int()>& stopSignal) {
  CLI::App app{
      "Trains a GPT-2-style model on text, on one rank or several (RANK, WORLD_SIZE, LOCAL_RANK,\n"
      "MASTER_ADDR, MASTER_PORT), and can be killed at any time: --resume goes on from the last\n"
      "complete checkpoint, also with another number of ranks.\n"
      "Exit codes: 0 done, 1 failed, 2 bad usage, 3 a check failed, 4 the machine lacks something.",
      "railhead-train"};
  app.footer(kTrainExamples);
  app.set_version_flag("--version", RAILHEAD_VERSION);
  Options options;
  addOptions(app, options);
  if (const auto code = usage::parseCommandLine(app, args, std::cout, std::cerr)) {
    return static_cast<int>(*code);
  }
  Result<int> ended = Error();
  if (const auto taken = takeEnvironment(app, environment, options); taken.has_value()) {
    ended = run(options, environment, stopSignal);
  } else {
    ended = taken.error();
  }
  if (ended.has_value()) return *ended;
  usage::printError(std::cerr, "railhead-train", ended.error());
  return static_cast<int>(exitCodeFor(ended.error().code));
}

}  // namespace railhead::trainer_app
