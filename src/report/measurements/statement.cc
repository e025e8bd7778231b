#include "src/report/measurements/statement.h"

#include "src/base/units.h"
#include "src/report/measurements/logged_paths.h"
#include "src/report/measurements/train_runs.h"
#include "src/report/model/verdict.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>

#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using Json = nlohmann::json;

std::string textOf(const Json& object, const char* name) {
  return object.at(name).get<std::string>();
}

std::string plural(std::size_t count, const std::string& one) {
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

// ---- verify

struct VerdictWords {
  std::string_view verdict;
  PageTone tone;
  std::string_view headline;
  std::string_view sentence;
};

constexpr std::array<VerdictWords, 7> kVerdictWords{{
    {"gdr", PageTone::kGood, "GPUDirect RDMA",
     "the NICs read and wrote GPU memory directly; capability, lines, counters and data agree"},
    {"host-staged-hardware", PageTone::kGood, "RDMA through host memory, the best path here",
     "the bytes went by RDMA between host memories, and no GPU at these ends can be reached "
     "directly"},
    {"host-staged-misconfigured", PageTone::kBad, "RDMA, but staged in host memory",
     "a GPU could be reached directly and was not: bandwidth is lost on the way through the host"},
    {"sockets", PageTone::kBad, "Sockets, not RDMA",
     "the bytes went through the kernel's TCP, a fraction of what the NIC can carry"},
    {"mixed", PageTone::kBad, "Mixed paths",
     "channels, ends or directions go different ways; the slowest one sets the pace"},
    {"unproven", PageTone::kOpen, "Unproven",
     "something is missing or does not fit together, so no path is claimed"},
    {"local", PageTone::kOpen, "No network path",
     "NVLink, P2P or shared memory carried the bytes; nothing was shown of the network"},
}};

std::uint64_t wrongIn(const Json& ranks) {
  std::uint64_t wrong = 0;
  for (const auto& rank : ranks) {
    wrong += static_cast<std::uint64_t>(rank.at("elements_wrong").get<double>());
  }
  return wrong;
}

// The text of the first finding of that kind; "" when no direction has one.
std::string findingOf(const Json& document, std::string_view kind) {
  for (const auto& direction : document.at("directions")) {
    for (const auto& finding : direction.at("findings")) {
      if (finding.at("kind") == kind) return textOf(finding, "text");
    }
  }
  return "";
}

// A good path can still be half a path.
void weighFindings(const Json& document, Statement& out) {
  if (const auto inside = findingOf(document, "inside-nic"); !inside.empty()) {
    out.tone = PageTone::kOpen;
    out.headline = "Nothing was shown of the cable";
    out.sentence = inside;
  }
  if (const auto one = findingOf(document, "one-rail-only"); !one.empty()) {
    out.tone = PageTone::kBad;
    out.headline = "RDMA over one rail only";
    out.sentence = one + "; the others carried nothing";
  }
}

Statement verifyStatement(const Json& document) {
  Statement out;
  const std::string verdict = textOf(document, "verdict");
  const auto words = std::find_if(kVerdictWords.begin(), kVerdictWords.end(),
                                  [&](const auto& one) { return one.verdict == verdict; });
  if (words == kVerdictWords.end()) {
    out.headline = "Verdict: " + verdict;
    out.sentence = "a verdict that this version does not know";
  } else {
    out.tone = words->tone;
    out.headline = words->headline;
    out.sentence = words->sentence;
  }
  if (out.tone == PageTone::kGood) weighFindings(document, out);
  for (const auto& direction : document.at("directions")) {
    for (const auto& remedy : direction.at("remedies"))
      out.actions.push_back(remedy.get<std::string>());
  }
  const auto& failures = document.at("failures");
  if (!document.at("expected").get<bool>()) {
    out.tone = PageTone::kBad;
    out.sentence += "; not as expected: " +
                    (failures.empty() ? "no cause was recorded" : failures[0].get<std::string>());
    if (failures.size() > 1)
      out.sentence += ", and " + std::to_string(failures.size() - 1) + " more";
  }
  if (const auto wrong = wrongIn(document.at("ranks")); wrong > 0) {
    out.tone = PageTone::kBad;
    out.headline = "Wrong bytes arrived";
    out.sentence =
        std::to_string(wrong) + " were not what was sent, so no figure of this run stands";
  }
  return out;
}

// ---- doctor

Statement doctorStatement(const Json& document) {
  std::size_t broken = 0, degraded = 0, notices = 0, blind = 0, ran = 0;
  Statement out;
  for (const auto& node : document.at("nodes")) {
    for (const auto& check : node.at("checks")) {
      ++(textOf(check, "cannot_run").empty() ? ran : blind);
      for (const auto& finding : check.at("findings")) {
        const std::string severity = textOf(finding, "severity");
        ++(severity == "broken" ? broken : severity == "degraded" ? degraded : notices);
        if (severity == "notice" || textOf(finding, "remedy").empty()) continue;
        out.actions.push_back(textOf(node, "node") + ", " + textOf(finding, "subject") + ": " +
                              textOf(finding, "remedy"));
      }
    }
  }
  const std::string rest = plural(ran, "check") + " ran, " + std::to_string(blind) + " could not";
  if (broken > 0) {
    out.tone = PageTone::kBad;
    out.headline = "RDMA is broken here";
    out.sentence = std::to_string(broken) + " broken";
    if (degraded > 0) out.sentence += ", " + std::to_string(degraded) + " degraded";
    out.sentence += "; " + rest;
  } else if (degraded > 0) {
    out.tone = PageTone::kBad;
    out.headline = "Slower than the hardware";
    out.sentence = std::to_string(degraded) + " degraded; " + rest;
  } else {
    out.tone = ran > 0 ? PageTone::kGood : PageTone::kOpen;
    out.headline = ran > 0 ? "Nothing in the way" : "Nothing was looked at";
    out.sentence = rest;
    if (notices > 0) out.sentence += "; " + plural(notices, "notice");
  }
  return out;
}

// ---- sweeps and RDMA writes

Statement wrongBytes(const std::string& failure) {
  return {
      PageTone::kBad,
      "",
      "",
      "Wrong bytes arrived",
      (failure.empty() ? "the run was not verified" : failure) + "; no figure of this run stands",
      {}};
}

std::string gigabytes(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value >= 100 ? "%.0f GB/s" : "%.3g GB/s", value);
  return text;
}

Statement sweepStatement(const Json& document) {
  if (!document.at("verified").get<bool>()) return wrongBytes(textOf(document, "failure"));
  const auto& lines = document.at("lines");
  if (lines.empty()) {
    return {PageTone::kOpen, "", "", "Nothing was measured", "the sweep has no line", {}};
  }
  const auto best = std::max_element(lines.begin(), lines.end(), [](const auto& a, const auto& b) {
    return a.at("busbw_gbytes_per_s").template get<double>() <
           b.at("busbw_gbytes_per_s").template get<double>();
  });
  return {PageTone::kGood,
          "",
          "",
          "Every byte verified",
          "up to " + gigabytes(best->at("busbw_gbytes_per_s").get<double>()) + " on the bus, by " +
              textOf(*best, "operation") + " of " +
              formatBytes(static_cast<std::uint64_t>(best->at("bytes").get<double>())) + " over " +
              plural(static_cast<std::size_t>(document.at("ranks").get<double>()), "rank"),
          {}};
}

std::optional<double> numberIn(const Json& object, const char* name) {
  const auto& value = object.at(name);
  return value.is_null() ? std::nullopt : std::optional<double>(value.get<double>());
}

Statement verbsStatement(const Json& document) {
  if (!document.at("verified").get<bool>()) return wrongBytes(textOf(document, "failure"));
  Statement out{PageTone::kGood, "", "", "RDMA verified", "every byte arrived", {}};
  const auto& all = document.at("all_rails");
  const auto together = numberIn(all, "gbps");
  if (!together) return out;
  const std::size_t rails = document.at("rails").size();
  out.sentence += " over " + plural(rails, "rail") + ", " + formatGbps(*together);
  const auto& ceiling = all.at("ceiling");
  if (!ceiling.is_object()) return out;
  if (const auto share = shareOf(together, numberIn(ceiling, "gbps"))) {
    out.sentence += ", " + formatShare(*share) + " of the ceiling";
  }
  return out;
}

// "+26.9 % (+24.7 to +29.1)", of factors.
std::string gainText(const Json& gain) {
  const auto percent = [&](const char* name) {
    char text[32];
    std::snprintf(text, sizeof text, "%+.1f", (gain.at(name).get<double>() - 1) * 100);
    return std::string(text);
  };
  return percent("factor") + " % (" + percent("low95") + " to " + percent("high95") + ")";
}

Statement tuneStatement(const Json& document) {
  Statement out{PageTone::kGood, "", "", "Faster than the default, proven", "", {}};
  const std::string of =
      std::to_string(static_cast<std::uint64_t>(document.at("trials").get<double>())) +
      " trials in " + formatSeconds(document.at("seconds").get<double>());
  // Not validated, yet ended by itself: nothing was faster, or what was failed in its fresh run.
  if (!document.at("validated").get<bool>() && textOf(document, "end") == "interrupted") {
    out.tone = PageTone::kOpen;
    out.headline = "An estimate, not validated";
    out.sentence = "the search ended before its fresh run, after " + of;
    out.actions.emplace_back("go on with railhead tune --resume FILE");
    return out;
  }
  const auto& sizes = document.at("sizes");
  const auto better = std::count_if(sizes.begin(), sizes.end(), [](const Json& one) {
    return one.at("gain").at("better").get<bool>();
  });
  if (!document.at("better").get<bool>()) {
    out.headline = "The default stays";
    out.sentence = "nothing was faster beyond doubt; " + of;
    return out;
  }
  out.sentence = "by " + textOf(document, "objective") + " " + gainText(document.at("gain")) +
                 "; " + std::to_string(better) + " of " + plural(sizes.size(), "size") +
                 " faster in a fresh run, none slower; " + of;
  return out;
}

Statement comparisonStatement(const Json& comparison) {
  const auto& lines = comparison.at("lines");
  const std::size_t slower = comparison.at("slower").get<std::size_t>();
  const std::size_t faster = comparison.at("faster").get<std::size_t>();
  const std::string of = " of " + plural(lines.size(), "line");
  Statement out;
  if (slower > 0) {
    out.tone = PageTone::kBad;
    out.headline = "Slower than before";
    out.sentence = std::to_string(slower) + of + " are slower, " + std::to_string(faster) +
                   " faster; the rest shows no real difference";
  } else if (faster > 0) {
    out.tone = PageTone::kGood;
    out.headline = "Faster than before";
    out.sentence = std::to_string(faster) + of + " are faster, none is slower";
  } else if (lines.empty()) {
    out.headline = "Nothing to compare";
    out.sentence = "the two sweeps have no line in common";
  } else {
    out.headline = "No real difference";
    out.sentence = "none" + of + " differs by more than chance and the threshold";
    out.tone = PageTone::kGood;
  }
  return out;
}

Statement statementOf(const Measurement& measurement) {
  const Json document = Json::parse(measurement.json);  // was checked when it was read
  Statement out;
  switch (measurement.kind) {
    case MeasurementKind::kVerify:
      out = verifyStatement(document);
      break;
    case MeasurementKind::kDoctor:
      out = doctorStatement(document);
      break;
    case MeasurementKind::kCollectives:
      out = sweepStatement(document);
      break;
    case MeasurementKind::kVerbs:
      out = verbsStatement(document);
      break;
    case MeasurementKind::kTune:
      out = tuneStatement(document);
      break;
    case MeasurementKind::kTrain:
      out = trainStatement(document);
      break;
    case MeasurementKind::kVerifyLog:
      out = logStatement(document);
      break;
  }
  out.about = kindName(measurement.kind);
  out.file = measurement.file;
  return out;
}

int weightOf(const Statement& statement) {
  constexpr std::array<std::string_view, 9> kOrder{
      "verify", "verify-log", "doctor", "runs", "train", "compare", "collectives", "tune", "verbs"};
  const auto place = std::find(kOrder.begin(), kOrder.end(), statement.about) - kOrder.begin();
  const int tone = statement.tone == PageTone::kBad ? 0 : statement.tone == PageTone::kOpen ? 1 : 2;
  return tone * 10 + static_cast<int>(place);
}

}  // namespace

std::vector<Statement> statementsOf(const Measurements& measurements) {
  std::vector<Statement> out;
  out.reserve(measurements.files.size() + 1);
  for (const auto& file : measurements.files) out.push_back(statementOf(file));
  if (!measurements.comparison.empty()) {
    out.push_back(comparisonStatement(Json::parse(measurements.comparison)));
    out.back().about = "compare";
  }
  if (const auto runs = comparedRuns(measurements)) {
    out.push_back(runsStatement(*runs));
    out.back().about = "runs";
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return weightOf(a) < weightOf(b); });
  return out;
}

std::vector<std::string> actionsOf(const std::vector<Statement>& statements) {
  std::vector<std::string> out;
  for (const auto& statement : statements) {
    for (const auto& action : statement.actions) {
      if (std::find(out.begin(), out.end(), action) == out.end()) out.push_back(action);
    }
  }
  return out;
}

}  // namespace railhead::report
