#include "src/checkpoint/record.h"
#include "src/train/manifest.h"
#include "src/train/metrics.h"
#include "src/train/node_facts.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {
namespace {

bool isMetrics(std::string_view input) {
  const auto series = train::seriesOf(input);
  std::uint64_t before = 0;
  for (const auto& step : series.steps()) {
    must(step.step > before, "steps ascend, each once");
    before = step.step;
  }
  return train::parseMetricsLine(input).has_value();
}

bool isCheckpoint(std::string_view input) {
  const auto read = checkpoint::parseCheckpoint(input, "checkpoint.json");
  if (!taken(read)) return false;
  for (const auto& file : read->files)
    must(file.name.find('/') == std::string::npos && file.name != "..", "files stay inside");
  const auto again =
      checkpoint::parseCheckpoint(checkpoint::writeCheckpoint(*read), "checkpoint.json");
  must(taken(again) && again->files == read->files && again->step == read->step,
       "what is read can be written and read");
  return true;
}

bool isManifest(std::string_view input) {
  const auto read = train::parseManifest(input, "manifest.json");
  if (!taken(read)) return false;
  const auto again = train::parseManifest(train::writeManifest(*read), "manifest.json");
  must(taken(again) && *again == *read, "what is read can be written and read");
  return true;
}

}  // namespace

bool trainRecords(std::string_view input) {
  const bool metrics = isMetrics(input);
  const bool checkpoint = isCheckpoint(input);
  const bool manifest = isManifest(input);
  return metrics || checkpoint || manifest || train::parseFactsLine(input).has_value();
}

}  // namespace railhead::fuzz
