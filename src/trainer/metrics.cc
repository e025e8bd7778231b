#include "src/trainer/metrics.h"

#include "src/json/json.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead::trainer {
namespace {

constexpr const char* kMetricsSchema = "railhead.metrics/1";

}  // namespace

std::string metricsLine(const StepMetrics& step) {
  const double computing = step.seconds - step.dataSeconds - step.travel.exposed;
  const nlohmann::ordered_json line = {{"schema", kMetricsSchema},
                                       {"step", step.step},
                                       {"loss", step.loss},
                                       {"tokens", step.tokens},
                                       {"seconds", step.seconds},
                                       {"split",
                                        {{"compute", std::max(0.0, computing)},
                                         {"exposed", step.travel.exposed},
                                         {"hidden", step.travel.hidden},
                                         {"data", step.dataSeconds}}},
                                       {"gradient_norm", step.gradientNorm},
                                       {"learning_rate", step.learningRate}};
  return json::dump(line) + "\n";
}

std::string factsLine(const std::map<std::string, std::string>& facts) {
  const nlohmann::ordered_json line = {
      {"schema", kMetricsSchema}, {"event", "facts"}, {"facts", facts}};
  return json::dump(line) + "\n";
}

std::string resumedLine(std::uint64_t step) {
  const nlohmann::ordered_json line = {
      {"schema", kMetricsSchema}, {"event", "resumed"}, {"step", step}};
  return json::dump(line) + "\n";
}

std::string checkpointLine(std::uint64_t step, const std::string& path) {
  const nlohmann::ordered_json line = {
      {"schema", kMetricsSchema}, {"event", "checkpoint"}, {"step", step}, {"path", path}};
  return json::dump(line) + "\n";
}

Result<MetricsFile> MetricsFile::append(const std::string& path) {
  os::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!fd) return Error::fromErrno(errno, "open " + path + " for metrics");
  return MetricsFile(std::move(fd), path);
}

Result<void> MetricsFile::write(std::string_view line) {
  ssize_t written = 0;
  do {
    written = ::write(fd_.get(), line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(line.size())) return {};
  if (written < 0) return Error::fromErrno(errno, "write metrics to " + path_);
  return Error(ErrorCode::kExhausted, "write metrics to " + path_ + ": only in part",
               "make room on that disk");
}

}  // namespace railhead::trainer
