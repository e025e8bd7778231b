// What `railhead tune` hands on to its ranks beside the options of all ranks.
#pragma once

#include "apps/railhead/rank_options.h"
#include "src/tune_run/gang_bench.h"

#include <string>
#include <vector>

namespace railhead::app {

// NCCL's tuner plugin: beside this executable, else where it is installed.
std::string defaultTunerPlugin(const std::string& program);

struct RankTuneOptions {
  std::string plugin;  // NCCL's tuner plugin, where the ranks are; empty: the usual one there
  double callTimeout = 10;

  // `program`: this executable; the plugin beside it is the default, else the installed one. In a
  // cluster it is the image's.
  void addTo(CLI::App* command, const std::string& program);
  std::vector<std::string> words(const RankOptions& ranks) const;
  tune::GangBenchSettings benchSettings(const RankOptions& ranks) const;

 private:
  std::string usual_;
};

}  // namespace railhead::app
