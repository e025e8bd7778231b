#include "apps/railhead/train_document.h"

#include "src/os/filesystem.h"

#include <algorithm>
#include <memory>

#include <nlohmann/json.hpp>

namespace railhead::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostSteps = 4096;
constexpr std::size_t kMostAttempts = 1024;
constexpr std::size_t kMostCheckpoints = 4096;
constexpr double kMostSeconds = 1e18;

template <typename T>
Json orNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// A trainer may tell anything; what cannot be a time counts as not told.
std::optional<double> asTime(const std::optional<double>& seconds) {
  if (!seconds || *seconds < 0 || *seconds > kMostSeconds) return std::nullopt;
  return seconds;
}

train::Split asTimes(const train::Split& split) {
  return {asTime(split.compute), asTime(split.exposed), asTime(split.hidden), asTime(split.data)};
}

bool tellsAny(const train::Split& split) {
  return split.compute || split.exposed || split.hidden || split.data;
}

void addTo(std::optional<double>& sum, const std::optional<double>& value) {
  if (value) sum = sum.value_or(0) + *value;
}

Json splitJson(const train::Split& split) {
  return {{"compute", orNull(split.compute)},
          {"exposed", orNull(split.exposed)},
          {"hidden", orNull(split.hidden)},
          {"data", orNull(split.data)}};
}

Json stepJson(const train::StepLine& step) {
  return {{"step", step.step},
          {"loss", orNull(step.loss)},
          {"tokens", orNull(step.tokens)},
          {"seconds", orNull(asTime(step.seconds))},
          {"split", splitJson(asTimes(step.split))}};
}

// Keeps the newest `most` of a list. How many are left out.
std::size_t keepNewest(Json& list, std::size_t most) {
  if (list.size() <= most) return 0;
  const std::size_t out = list.size() - most;
  list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(out));
  return out;
}

// What a checkpoint's files are called and digest to stands in the run's folder.
Json shortCheckpoint(const Json& checkpoint) {
  Json out = Json::object();
  for (const char* name : {"step", "world", "content"}) out[name] = checkpoint.at(name);
  return out;
}

}  // namespace

SplitSums splitSums(const std::vector<train::StepLine>& steps) {
  SplitSums out;
  for (const auto& step : steps) {
    const auto seconds = asTime(step.seconds);
    const train::Split split = asTimes(step.split);
    if (!seconds || !tellsAny(split)) continue;
    ++out.steps;
    out.seconds += *seconds;
    addTo(out.parts.compute, split.compute);
    addTo(out.parts.exposed, split.exposed);
    addTo(out.parts.hidden, split.hidden);
    addTo(out.parts.data, split.data);
  }
  return out;
}

std::vector<train::StepLine> thinned(const std::vector<train::StepLine>& steps, std::size_t most) {
  std::size_t stride = 1;
  while ((steps.size() + stride - 1) / stride + (stride > 1 ? 1 : 0) > most) stride *= 2;
  std::vector<train::StepLine> out;
  for (std::size_t i = 0; i < steps.size(); i += stride) out.push_back(steps[i]);
  if (!out.empty() && out.back().step != steps.back().step) out.push_back(steps.back());
  return out;
}

std::string trainDocument(const train::Manifest& manifest, const train::StepSeries& series,
                          const std::string& state) {
  Json kept = Json::parse(train::writeManifest(manifest));
  kept.erase("digest");  // of the whole one, not of this
  const std::size_t attempts = keepNewest(kept["attempts"], kMostAttempts);
  auto& checkpoints = kept["checkpoints"];
  const std::size_t left = keepNewest(checkpoints, kMostCheckpoints);
  const Json model = checkpoints.empty() ? Json::object() : checkpoints.back().at("model");
  for (auto& checkpoint : checkpoints) checkpoint = shortCheckpoint(checkpoint);

  const SplitSums sums = splitSums(series.steps());
  Json split = {{"steps", sums.steps}, {"seconds", sums.seconds}};
  split.update(splitJson(sums.parts));
  Json out = {{"schema", "railhead.train.run/1"},
              {"state", state},
              {"manifest", std::move(kept)},
              {"attempts_left_out", attempts},
              {"checkpoints_left_out", left},
              {"model", model},
              {"split", std::move(split)},
              {"steps_told", series.steps().size()},
              {"steps", Json::array()}};
  for (const auto& step : thinned(series.steps(), kMostSteps))
    out["steps"].push_back(stepJson(step));
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string stateOf(const train::RunFolder& run, const train::Manifest& manifest) {
  return manifest.state == "running" && !run.isLocked() ? "killed" : manifest.state;
}

Result<ReadRun> readRun(const train::RunFolder& run) {
  RAILHEAD_TRY_ASSIGN(const std::unique_ptr<os::Filesystem> files, os::RootedFilesystem::open("/"));
  ReadRun out;
  RAILHEAD_TRY_ASSIGN(out.manifest, run.readManifest(*files));
  RAILHEAD_TRY_ASSIGN(out.series, run.readSeries(*files, 0));
  out.state = stateOf(run, out.manifest);
  std::optional<train::Totals> told;
  if (!out.series.steps().empty()) told = train::totalsOf(out.series);
  train::bringUpToDate(*files, run, told, out.manifest);
  auto& starts = out.manifest.attempts;
  if (out.state == "killed" && !starts.empty() && starts.back().end == "running")
    starts.back().end = out.state;
  return out;
}

}  // namespace railhead::app
