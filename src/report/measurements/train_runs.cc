#include "src/report/measurements/train_runs.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using Json = nlohmann::json;

struct StateWords {
  std::string_view state;
  PageTone tone;
  std::string_view headline;
};

constexpr std::array<StateWords, 6> kStateWords{{
    {"finished", PageTone::kGood, "The run finished"},
    {"running", PageTone::kOpen, "The run goes on"},
    {"stopped", PageTone::kOpen, "The run was stopped"},
    {"interrupted", PageTone::kOpen, "The run was interrupted"},
    {"killed", PageTone::kBad, "The run was left without its watcher"},
    {"failed", PageTone::kBad, "The run failed"},
}};

// "3.1251", "12.3 k": at most `digits` significant ones.
std::string digitsOf(double value, int digits) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

std::string wholeNumber(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.0f", value);
  return text;
}

std::string counted(double count, const std::string& one) {
  return wholeNumber(count) + " " + one + (count == 1 ? "" : "s");
}

std::string speedInWords(double tokensPerSecond) {
  if (tokensPerSecond >= 1e6) return digitsOf(tokensPerSecond / 1e6, 3) + " M tokens/s";
  if (tokensPerSecond >= 1e4) return digitsOf(tokensPerSecond / 1e3, 3) + " k tokens/s";
  return digitsOf(tokensPerSecond, 4) + " tokens/s";
}

std::string percentInWords(double share) { return digitsOf(share * 100, 3) + " %"; }

std::optional<double> realIn(const Json& object, const char* name) {
  const auto& value = object.at(name);
  return value.is_null() ? std::nullopt : std::optional<double>(value.get<double>());
}

std::string wordsIn(const Json& object, const char* name) {
  return object.at(name).get<std::string>();
}

std::optional<double> tokensPerSecond(const Json& manifest) {
  const double tokens = manifest.at("metrics").at("tokens").get<double>();
  const double seconds = manifest.at("metrics").at("seconds").get<double>();
  if (!(tokens > 0) || !(seconds > 0)) return std::nullopt;
  return tokens / seconds;
}

// "12 steps of pair-0001, loss 5.5 to 3.1, 12.3 k tokens/s over 2 ranks".
std::string progressInWords(const Json& manifest) {
  const auto& metrics = manifest.at("metrics");
  std::string out =
      counted(metrics.at("steps").get<double>(), "step") + " of " + wordsIn(manifest, "id");
  const auto first = realIn(metrics, "first_loss");
  const auto last = realIn(metrics, "last_loss");
  if (first && last) out += ", loss " + digitsOf(*first, 4) + " to " + digitsOf(*last, 4);
  if (const auto speed = tokensPerSecond(manifest)) out += ", " + speedInWords(*speed);
  return out + " over " + counted(manifest.at("place").at("ranks").get<double>(), "rank");
}

std::string restartsInWords(double restarts, double lostSteps) {
  if (restarts <= 0) return "never started again";
  std::string out = "started again " + (restarts == 1 ? "once" : counted(restarts, "time"));
  if (lostSteps > 0) out += " (" + counted(lostSteps, "step") + " done twice)";
  return out;
}

void addActions(const Json& document, Statement& out) {
  const auto& manifest = document.at("manifest");
  const std::string state = wordsIn(document, "state");
  const std::string id = wordsIn(manifest, "id");
  const auto& attempts = manifest.at("attempts");
  if (state == "failed" && !attempts.empty()) {
    const auto rank = realIn(attempts.back(), "rank");
    out.actions.push_back("read what the rank printed: railhead train logs " + id +
                          (rank ? " --rank " + wholeNumber(*rank) : ""));
  }
  if (state != "finished" && state != "running")
    out.actions.push_back("go on with railhead train resume " + id);
}

// Steps by their number. A number that comes twice counts as it came last.
std::map<double, std::optional<double>> lossesOf(const Json& document) {
  std::map<double, std::optional<double>> out;
  for (const auto& step : document.at("steps"))
    out[step.at("step").get<double>()] = realIn(step, "loss");
  return out;
}

void compareLosses(const Json& first, const Json& second, RunsCompared& out) {
  const auto losses = lossesOf(first);
  std::optional<double> equalUntil;
  for (const auto& [step, other] : lossesOf(second)) {
    const auto found = losses.find(step);
    if (found == losses.end() || (!found->second && !other)) continue;
    ++out.steps;
    if (out.difference) continue;
    if (found->second == other) {
      equalUntil = step;
    } else {
      out.difference = LossDifference{step, equalUntil, found->second, other};
    }
  }
}

std::optional<Scaling> scalingOf(const Json& first, const Json& second) {
  const auto ranks = [](const Json& one) { return one.at("place").at("ranks").get<double>(); };
  const bool grows = ranks(first) < ranks(second);
  const Json& fewer = grows ? first : second;
  const Json& more = grows ? second : first;
  const auto slow = tokensPerSecond(fewer);
  const auto fast = tokensPerSecond(more);
  if (ranks(first) == ranks(second) || ranks(fewer) < 1 || !slow || !fast) return std::nullopt;
  return Scaling{ranks(fewer), ranks(more), *slow, *fast,
                 *fast / (ranks(more) / ranks(fewer) * *slow)};
}

std::string scalingInWords(const Scaling& scaling) {
  return counted(scaling.moreRanks, "rank") + " do " +
         digitsOf(scaling.moreTokensPerSecond / scaling.fewerTokensPerSecond, 3) +
         " times the tokens/s of " + wholeNumber(scaling.fewerRanks);
}

std::string lossInWords(const std::optional<double>& loss) {
  return loss ? Json(*loss).dump() : "none";  // as many digits as tell it from its neighbours
}

std::string differenceInWords(const LossDifference& difference) {
  std::string out = "at step " + wholeNumber(difference.step) + ": " +
                    lossInWords(difference.first) + " and " + lossInWords(difference.second);
  if (difference.equalUntil) out += "; the same up to step " + wholeNumber(*difference.equalUntil);
  return out;
}

}  // namespace

Statement trainStatement(const Json& document) {
  const auto& manifest = document.at("manifest");
  const std::string state = wordsIn(document, "state");
  Statement out;
  out.headline = "State of the run: " + state;
  for (const auto& words : kStateWords) {
    if (words.state != state) continue;
    out.tone = words.tone;
    out.headline = words.headline;
  }
  const double starts = static_cast<double>(manifest.at("attempts").size()) +
                        document.at("attempts_left_out").get<double>();
  const std::string reason = wordsIn(manifest, "reason");
  const std::string replayed = wordsIn(manifest, "replay_of");
  out.sentence = progressInWords(manifest) + ", " +
                 restartsInWords(starts - 1, manifest.at("metrics").at("lost_steps").get<double>());
  if (!replayed.empty()) out.sentence += "; a replay of " + replayed;
  if (!reason.empty()) out.sentence += "; " + reason;
  addActions(document, out);
  return out;
}

std::optional<RunsCompared> comparedRuns(const Measurements& measurements) {
  std::vector<Json> runs;
  for (const auto& file : measurements.files) {
    if (file.kind == MeasurementKind::kTrain) runs.push_back(Json::parse(file.json));
  }
  if (runs.size() != 2) return std::nullopt;
  const Json& a = runs[0].at("manifest");
  const Json& b = runs[1].at("manifest");
  RunsCompared out;
  out.first = wordsIn(a, "id");
  out.second = wordsIn(b, "id");
  out.replay = wordsIn(a, "replay_of") == out.second || wordsIn(b, "replay_of") == out.first;
  out.alike = a.at("command") == b.at("command") && a.at("seed") == b.at("seed") &&
              a.at("place").at("ranks") == b.at("place").at("ranks");
  compareLosses(runs[0], runs[1], out);
  out.scaling = scalingOf(a, b);
  return out;
}

Statement runsStatement(const RunsCompared& runs) {
  Statement out;
  if (runs.steps == 0) {
    out.headline = "No losses to compare";
    out.sentence = "the two runs told no loss of the same step";
  } else if (!runs.difference) {
    out.tone = PageTone::kGood;
    out.headline = "The losses of both runs are the same";
    out.sentence = std::string(runs.scaling ? "the same losses " : "") + "to the last bit, at " +
                   counted(static_cast<double>(runs.steps), "step") + " that both told";
  } else {
    // Other seeds and other numbers of ranks are to differ; the same work done again is not.
    out.tone = runs.replay ? PageTone::kBad : runs.alike ? PageTone::kOpen : PageTone::kGood;
    out.headline = runs.replay ? "The replay came out otherwise" : "The losses part";
    out.sentence = "the losses differ " + differenceInWords(*runs.difference);
    if (runs.replay || runs.alike) {
      out.actions.push_back("see what may explain it: railhead train compare " + runs.first + " " +
                            runs.second);
    }
  }
  if (!runs.scaling) return out;
  if (out.tone != PageTone::kBad)
    out.headline = percentInWords(runs.scaling->efficiency) + " scaling efficiency";
  out.sentence = scalingInWords(*runs.scaling) + "; " + out.sentence;
  return out;
}

}  // namespace railhead::report
