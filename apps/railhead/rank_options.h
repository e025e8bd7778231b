// What every command that runs on several ranks shares: where they run, how they find each other,
// what carries their data.
#pragma once

#include "src/base/result.h"

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace railhead::app {

struct RankOptions {
  std::string on;  // --on; empty: this process is a rank that somebody started
  std::string backend = "auto";
  std::string transport = "auto";  // of the host backend
  std::vector<std::string> rails;
  std::string ncclLibrary;
  bool separateHosts = false;  // NCCL takes every rank for a host of its own
  double timeout = 60;         // seconds for the ranks to find each other
  std::string lab;             // of --on lab: its name; empty: the usual one
  // Of --on kubernetes.
  int ranks = 2;
  std::string image;
  std::string namespaceName = "default";
  std::string network, runtimeClass;   // empty: what the backend needs
  std::vector<std::string> resources;  // NAME=COUNT
  bool dryRun = false;                 // print the objects and start nothing
  // What a launcher of ours tells the ranks it starts.
  bool untilStdinEnds = false;
  bool markedResult = false;
};

void addRankOptions(CLI::App* command, RankOptions& options);

// Before the one line of JSON that a rank started with --marked-result ends with.
inline constexpr const char* kResultMark = "railhead-result ";

// The options that a started rank needs, as words of a command line.
std::vector<std::string> rankArguments(const RankOptions& options);

}  // namespace railhead::app
