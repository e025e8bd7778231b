#include "src/report/measurements/logged_paths.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostKinds = 64;
constexpr std::size_t kMostCauses = 64;
constexpr double kMostDirections = 1e18;  // of a way; what is said of more is no count

struct LineWords {
  std::string_view lines;
  PageTone tone;
  std::string_view headline;
};
// The worst first. None is good: lines are what NCCL meant to do.
constexpr std::array<LineWords, 8> kLineWords{{
    {"sockets", PageTone::kBad, "NCCL's log says sockets, not RDMA"},
    {"mixed", PageTone::kBad, "NCCL's log says mixed paths"},
    {"host", PageTone::kOpen, "NCCL's log says RDMA through host memory"},
    {"partial", PageTone::kOpen, "NCCL's log tells a part of a path only"},
    {"untold", PageTone::kOpen, "NCCL's log tells no path"},
    {"other", PageTone::kOpen, "NCCL's log says a path of another kind"},
    {"gdr", PageTone::kOpen, "NCCL's log says GPUDirect RDMA"},
    {"local", PageTone::kOpen, "NCCL's log says no network path"},
}};

std::uint64_t countIn(const Json& object, const char* name) {
  return static_cast<std::uint64_t>(std::min(object.at(name).get<double>(), kMostDirections));
}

void addTo(std::uint64_t& sum, std::uint64_t count) {
  sum = std::min(sum + count, static_cast<std::uint64_t>(kMostDirections));
}

std::string directionsText(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " direction" : " directions");
}

std::string kindOf(const Json& direction) {
  Json kind = Json::array();
  for (const auto* name :
       {"lines", "send", "receive", "partial_reason", "verdict", "rule", "rails", "causes"}) {
    kind.push_back(direction.at(name));
  }
  return kind.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Of all directions, each once.
std::set<std::string> causesIn(const Json& document) {
  std::set<std::string> out;
  for (const auto& direction : document.at("directions")) {
    for (const auto& cause : direction.at("causes")) {
      if (out.size() == kMostCauses) return out;
      out.insert(cause.get<std::string>());
    }
  }
  return out;
}

}  // namespace

void foldDirections(Json& document) {
  document["causes"] = causesIn(document);
  std::map<std::string, std::size_t> places;
  Json kept = Json::array();
  double leftOut = document.at("directions_left_out").get<double>();
  for (auto& direction : document.at("directions")) {
    const auto [place, isNew] = places.try_emplace(kindOf(direction), kept.size());
    if (isNew && kept.size() < kMostKinds) {
      direction["alike"] = 0;
      kept.push_back(std::move(direction));
    }
    if (place->second < kept.size()) {
      Json& alike = kept[place->second]["alike"];
      alike = alike.get<std::uint64_t>() + 1;
    } else {
      places.erase(place);
      ++leftOut;
    }
  }
  document["directions"] = std::move(kept);
  document["directions_left_out"] = leftOut;
}

Statement logStatement(const Json& document) {
  Statement out;
  std::map<std::string, std::uint64_t> ways;
  for (const auto& one : document.at("summary"))
    addTo(ways[one.at("lines").get<std::string>()], countIn(one, "directions"));
  std::string counts;
  for (const auto& words : kLineWords) {
    const auto way = ways.find(std::string(words.lines));
    if (way == ways.end()) continue;
    if (counts.empty()) {
      out.tone = words.tone;
      out.headline = words.headline;
    }
    counts += (counts.empty() ? "" : ", ") + directionsText(way->second) + " " + way->first;
  }
  if (counts.empty()) {
    out.headline = "NCCL's log tells no path";
    out.sentence = "no whole line in it says how a channel goes";
    out.actions.emplace_back(
        "run with NCCL_DEBUG=INFO and NCCL_DEBUG_SUBSYS=INIT,ENV,NET,GRAPH, and keep what each "
        "rank prints");
    return out;
  }
  out.sentence = counts +
                 "; lines are what NCCL meant to do and no counter was read, so no path "
                 "is proven";
  const Json& causes = document.at("causes");
  if (!causes.empty()) out.tone = PageTone::kBad;
  for (const auto& cause : causes)
    out.actions.push_back("undo what keeps NCCL from GPU memory: " + cause.get<std::string>());
  out.actions.emplace_back(
      "prove the path, with counters and the data check: railhead verify --on");
  return out;
}

}  // namespace railhead::report
