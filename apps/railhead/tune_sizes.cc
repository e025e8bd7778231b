#include "apps/railhead/tune_sizes.h"

#include "apps/railhead/user_files.h"
#include "apps/usage/values.h"
#include "src/base/text.h"
#include "src/base/units.h"
#include "src/bench/collectives/plan.h"
#include "src/tune_run/talk.h"

#include <algorithm>

#include <CLI/CLI.hpp>

namespace railhead::app {
namespace {

constexpr std::string_view kHistogram = "histogram=";
constexpr std::size_t kMaxHistogram = 1 << 20;
constexpr double kMaxCount = 1e15;

Result<std::vector<tune::Size>> sizesOf(const bench::CollectivePlan& plan, int ranks) {
  RAILHEAD_TRY(plan.check());
  std::vector<tune::Size> out;
  for (const auto& one : bench::sweepCases(plan, ranks)) {
    tune::Size size{tune::sizeOperation(one.call.operation), one.bytes, false};
    if (one.bytes > 0 && std::find(out.begin(), out.end(), size) == out.end())
      out.push_back(std::move(size));
  }
  return out;
}

bench::CollectivePlan planOf(collective::Operation operation, std::uint64_t least,
                             std::uint64_t most, double factor) {
  bench::CollectivePlan plan;
  plan.operations = {operation};
  plan.minBytes = least;
  plan.maxBytes = most;
  plan.factor = factor;
  plan.inPlace = false;
  return plan;
}

Result<tune::WeightedSize> histogramLine(const std::vector<std::string_view>& words, int ranks) {
  const Error bad(ErrorCode::kInvalidArgument,
                  "it is " + inQuotes(join({words.begin(), words.end()}, " "), 60) +
                      ": expected OPERATION BYTES COUNT, like all_reduce 1048576 48");
  if (words.size() != 3) return bad;
  RAILHEAD_TRY_ASSIGN(const auto operation, collective::parseOperation(words[0]));
  const auto bytes = parseUnsigned(words[1]);
  const auto count = parseDouble(words[2]);
  if (!bytes || !count || !(*count >= 0 && *count <= kMaxCount)) return bad;
  RAILHEAD_TRY_ASSIGN(const auto sizes, sizesOf(planOf(operation, *bytes, *bytes, 2), ranks));
  if (sizes.size() == 1) return tune::WeightedSize{sizes.front(), *count};
  return Error(ErrorCode::kInvalidArgument, std::string(words[1]) + " bytes are too few for " +
                                                std::to_string(ranks) + " ranks to share");
}

std::vector<std::string_view> wordsIn(std::string_view line) {
  std::vector<std::string_view> out;
  for (const auto word : split(line.substr(0, line.find('#')), ' ')) {
    if (!trim(word).empty()) out.push_back(trim(word));
  }
  return out;
}

}  // namespace

void TuneSizes::addTo(CLI::App* command) {
  command
      ->add_option("--operations", operations,
                   "all_reduce, all_gather, reduce_scatter, broadcast, reduce, all_to_all, "
                   "sendrecv; several with commas")
      ->delimiter(',')
      ->default_str("all_reduce");
  command->add_option("--min-size", minBytes, "smallest size, like 1KiB")
      ->transform(usage::sizeValue())
      ->default_str("1KiB");
  command->add_option("--max-size", maxBytes, "largest size")
      ->transform(usage::sizeValue())
      ->default_str("64MiB");
  command->add_option("--factor", factor, "from one size to the next")->capture_default_str();
}

Result<tune::ObjectiveKind> parseTuneObjective(const std::string& text) {
  if (text.starts_with(kHistogram)) return tune::ObjectiveKind::kHistogram;
  RAILHEAD_TRY_ASSIGN(const auto kind, tune::parseObjective(text).addContext("--objective"));
  if (kind == tune::ObjectiveKind::kHistogram) {
    return Error(ErrorCode::kInvalidArgument,
                 "--objective histogram: no file is named; write histogram=FILE");
  }
  return kind;
}

Result<std::vector<tune::WeightedSize>> parseHistogram(std::string_view text,
                                                       const std::string& source, int ranks) {
  std::vector<tune::WeightedSize> out;
  std::size_t number = 0;
  for (const auto line : split(text, '\n')) {
    ++number;
    const auto words = wordsIn(line);
    if (words.empty()) continue;
    auto one = histogramLine(words, ranks);
    if (!one.has_value())
      return std::move(one).error().addContext(source + ":" + std::to_string(number));
    const auto same = std::find_if(out.begin(), out.end(), [&](const tune::WeightedSize& other) {
      return other.size == one->size;
    });
    if (same != out.end()) {
      same->weight += one->weight;  // sizes that the ranks share alike
    } else {
      out.push_back(std::move(*one));
    }
  }
  return out;
}

Result<std::vector<tune::Size>> sizesFor(const TuneSizes& sizes, int ranks, bool overlapped) {
  std::vector<tune::Size> all;
  for (const auto& name : sizes.operations) {
    RAILHEAD_TRY_ASSIGN(const auto operation,
                        collective::parseOperation(name).addContext("--operations"));
    RAILHEAD_TRY_ASSIGN(
        auto own, sizesOf(planOf(operation, sizes.minBytes, sizes.maxBytes, sizes.factor), ranks));
    for (auto& size : own) size.overlapped = overlapped;
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

Result<tune::Objective> objectiveOf(const std::string& text, const TuneSizes& sizes, int ranks) {
  RAILHEAD_TRY_ASSIGN(const auto kind, parseTuneObjective(text));
  if (kind == tune::ObjectiveKind::kHistogram) {
    const std::string file = text.substr(kHistogram.size());
    RAILHEAD_TRY_ASSIGN(const std::string lines,
                        readText(file, kMaxHistogram).addContext("--objective"));
    RAILHEAD_TRY_ASSIGN(auto weighted, parseHistogram(lines, file, ranks));
    return tune::Objective::histogram(std::move(weighted));
  }
  RAILHEAD_TRY_ASSIGN(const auto all,
                      sizesFor(sizes, ranks, kind == tune::ObjectiveKind::kOverlapped));
  if (all.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "--min-size " + formatBytes(sizes.minBytes) + " to --max-size " +
                     formatBytes(sizes.maxBytes) + ": none of these sizes can be shared by " +
                     std::to_string(ranks) + " ranks",
                 "give a larger --max-size, like 64MiB");
  }
  return tune::Objective::over(kind, all);
}

}  // namespace railhead::app
