// `railhead bench verbs`: RDMA writes, reads or sends between two nodes, measured and verified.
#pragma once

#include "apps/railhead/command_line.h"
#include "src/base/units.h"
#include "src/bench/verbs_plan.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace railhead::verbs {
class Verbs;
}

namespace railhead::app {

struct BenchVerbsSettings {
  std::string listen;  // ADDRESS:PORT; exactly one of the two is set
  std::string connect;
  std::vector<std::string> rails;
  std::string token;
  std::string ceiling;                 // a bit rate as text; empty: not given
  std::vector<std::string> lineRates;  // one for all rails, or one for each
  std::string operation = "write";
  std::string sizes;  // of the sweep as text; empty: none
  std::string memory = "host";
  std::string gpu = "0";  // an ordinal or a UUID
  std::vector<std::string> cudaLibraries = {"libcuda.so.1"};
  bench::VerbsPlan plan;  // without what the texts above say
  double timeout = 30;    // seconds to find the peer
  bool json = false;
};

void addBenchCommand(CLI::App& app, Context& context);

// What the command does once its options are read; the tests give it a fabric in memory.
void runBenchVerbs(const BenchVerbsSettings& settings, verbs::Verbs& verbs, Context& context);

}  // namespace railhead::app
