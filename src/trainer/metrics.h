// What one rank tells of its training: JSON lines (docs/reference/trainer-contract.md), appended to
// a file. Pure but for MetricsFile.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"
#include "src/trainer/exchange.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace railhead::trainer {

struct StepMetrics {
  std::uint64_t step = 0;
  double loss = 0;           // the mean over all ranks' tokens of this step
  std::uint64_t tokens = 0;  // of this step, all ranks together
  double seconds = 0;        // of this step on this rank
  double gradientNorm = 0;   // before clipping
  double learningRate = 0;
  double dataSeconds = 0;
  TravelTimes travel;
};

std::string metricsLine(const StepMetrics& step);
// What the run stands on, for whoever keeps a manifest of it.
std::string factsLine(const std::map<std::string, std::string>& facts);
// Before the first step: it goes on from another checkpoint than it was told to.
std::string resumedLine(std::uint64_t step);
std::string checkpointLine(std::uint64_t step, const std::string& path);

// Each line is one write(2), so that readers see whole ones.
class MetricsFile {
 public:
  static Result<MetricsFile> append(const std::string& path);
  Result<void> write(std::string_view line);

 private:
  MetricsFile(os::UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  os::UniqueFd fd_;
  std::string path_;
};

}  // namespace railhead::trainer
