#include "apps/railhead-train/progress.h"

#include "src/base/units.h"
#include "src/json/json.h"

#include <array>
#include <cstdio>
#include <iostream>

#include <nlohmann/json.hpp>

namespace railhead::trainer_app {
namespace {

template <typename... Arguments>
std::string formatted(const char* format, Arguments... arguments) {
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(), format, arguments...);
  return text.data();
}

}  // namespace

Result<Progress> Progress::open(const Options& options, int rank) {
  Progress out(rank == 0, options.json, options.reportEvery, options.steps);
  if (!options.metrics.empty()) {
    RAILHEAD_TRY_ASSIGN(out.file_, trainer::MetricsFile::append(options.metrics));
  }
  return out;
}

Result<void> Progress::begin(const trainer::TrainingSettings& settings,
                             const trainer::Engine& engine, const trainer::Exchange& exchange,
                             const trainer::Corpus& corpus,
                             const std::optional<trainer::ResumePoint>& resume) {
  const auto& plan = engine.plan();
  const std::map<std::string, std::string> facts = {
      {"engine", engine.description()},
      {"exchange", exchange.description()},
      {"parameters", std::to_string(plan.elements())},
      {"buckets", std::to_string(plan.buckets().size())},
      {"data_sha256", corpus.sha256()},
      {"tokens", corpus.tokenName()},
      {"data_tokens", std::to_string(corpus.length())},
      {"resumed_from", resume ? resume->path : ""}};
  const std::string line = trainer::factsLine(facts);
  if (file_) RAILHEAD_TRY(file_->write(line));
  if (!speaks_) return {};
  if (json_) {
    std::cout << line << std::flush;
    return {};
  }
  std::cout << formatted("%.1f M parameters in %zu buckets, %d ranks, ",
                         static_cast<double>(plan.elements()) / 1e6, plan.buckets().size(),
                         exchange.ranks())
            << engine.description() << ", " << exchange.description() << "\n"
            << corpus.length() << " tokens (" << corpus.tokenName() << "), "
            << settings.samplesPerStep * settings.shape.context << " a step\n";
  if (resume) {
    std::cout << "goes on after step " << resume->checkpoint.step << ": " << resume->path << "\n";
  }
  std::cout << std::flush;
  return {};
}

Result<void> Progress::wentBack(std::uint64_t step) {
  const std::string line = trainer::resumedLine(step);
  if (file_) RAILHEAD_TRY(file_->write(line));
  if (speaks_ && json_) std::cout << line << std::flush;
  return {};
}

Result<void> Progress::step(const trainer::StepMetrics& metrics) {
  if (file_) RAILHEAD_TRY(file_->write(trainer::metricsLine(metrics)));
  if (!speaks_ || (metrics.step % every_ != 0 && metrics.step != steps_)) return {};
  if (json_) {
    std::cout << trainer::metricsLine(metrics) << std::flush;
    return {};
  }
  std::cout << formatted("step %llu/%llu  loss %.6f  norm %.3f  rate %.2e  ",
                         static_cast<unsigned long long>(metrics.step),
                         static_cast<unsigned long long>(steps_), metrics.loss,
                         metrics.gradientNorm, metrics.learningRate)
            << formatSeconds(metrics.seconds)
            << formatted("  %.0f tokens/s", static_cast<double>(metrics.tokens) / metrics.seconds)
            << std::endl;
  return {};
}

Result<void> Progress::checkpoint(std::uint64_t step, const std::string& path) {
  const std::string line = trainer::checkpointLine(step, path);
  if (file_) RAILHEAD_TRY(file_->write(line));
  if (!speaks_) return {};
  if (json_) {
    std::cout << line << std::flush;
  } else {
    std::cout << "checkpoint " << path << std::endl;
  }
  return {};
}

void Progress::end(const trainer::TrainingResult& result) {
  if (!speaks_) return;
  if (json_) {
    const nlohmann::ordered_json line = {
        {"event", "end"},
        {"step", result.step},
        {"loss", result.loss ? nlohmann::ordered_json(*result.loss) : nlohmann::ordered_json()},
        {"stopped", result.stopped},
        {"checkpoint", result.checkpoint}};
    std::cout << json::dump(line) << std::endl;
    return;
  }
  std::cout << (result.stopped ? "stopped after step " : "done: step ") << result.step
            << (result.loss ? formatted(", loss %.6f", *result.loss) : ", nothing was left to do")
            << std::endl;
}

}  // namespace railhead::trainer_app
