#include "src/tune/trial.h"

#include "src/base/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

namespace railhead::tune {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kReplaced = 3;  // bytes of the sign that stands for what is no UTF-8

constexpr std::array<std::pair<Outcome, std::string_view>, 6> kOutcomes{
    {{Outcome::kMeasured, "measured"},
     {Outcome::kHung, "hung"},
     {Outcome::kCrashed, "crashed"},
     {Outcome::kCorrupt, "corrupt"},
     {Outcome::kRefused, "refused"},
     {Outcome::kNoRoom, "no-room"}}};

Error badField(std::string_view name, const std::string& allowed) {
  return {ErrorCode::kCorrupt, "field " + std::string(name) + " is missing or not " + allowed};
}

const Json* member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

Result<std::string> textMember(const Json& object, const char* name, std::size_t most) {
  const Json* found = member(object, name);
  if (found == nullptr || !found->is_string() ||
      found->get_ref<const std::string&>().size() > most) {
    return badField(name, "a text of at most " + std::to_string(most) + " bytes");
  }
  return found->get<std::string>();
}

Result<std::uint64_t> numberMember(const Json& object, const char* name, std::uint64_t least,
                                   std::uint64_t most) {
  const Json* found = member(object, name);
  if (found != nullptr && found->is_number_unsigned()) {
    const auto value = found->get<std::uint64_t>();
    if (value >= least && value <= most) return value;
  }
  return badField(name,
                  "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
}

Result<const Json*> listMember(const Json& object, const char* name, std::size_t most) {
  const Json* found = member(object, name);
  if (found == nullptr || !found->is_array() || found->size() > most) {
    return badField(name, "a list of at most " + std::to_string(most) + " entries");
  }
  return found;
}

Json sizesJson(const std::vector<Size>& sizes) {
  Json out = Json::array();
  for (const Size& size : sizes) {
    out.push_back(
        {{"operation", size.operation}, {"bytes", size.bytes}, {"overlapped", size.overlapped}});
  }
  return out;
}

Result<std::vector<Size>> sizesMember(const Json& object) {
  RAILHEAD_TRY_ASSIGN(const Json* list, listMember(object, "sizes", kMaxSizes));
  std::vector<Size> sizes;
  for (const Json& entry : *list) {
    if (!entry.is_object()) return badField("sizes", "a list of objects");
    Size size;
    RAILHEAD_TRY_ASSIGN(size.operation, textMember(entry, "operation", kMaxOperation));
    RAILHEAD_TRY_ASSIGN(size.bytes,
                        numberMember(entry, "bytes", 0, std::numeric_limits<std::uint64_t>::max()));
    const Json* overlapped = member(entry, "overlapped");
    if (overlapped == nullptr || !overlapped->is_boolean()) {
      return badField("overlapped", "true or false");
    }
    size.overlapped = overlapped->get<bool>();
    sizes.push_back(std::move(size));
  }
  return sizes;
}

Result<Measurement> measurementMember(const Json& object) {
  Measurement out;
  RAILHEAD_TRY_ASSIGN(const std::string name, textMember(object, "outcome", 32));
  const auto known = std::find_if(kOutcomes.begin(), kOutcomes.end(),
                                  [&](const auto& entry) { return entry.second == name; });
  if (known == kOutcomes.end()) return badField("outcome", "one that is known");
  out.outcome = known->first;
  RAILHEAD_TRY_ASSIGN(out.detail, textMember(object, "detail", kReplaced * kMaxDetail));
  RAILHEAD_TRY_ASSIGN(const Json* list, listMember(object, "seconds", kMaxSizes));
  for (const Json& series : *list) {
    const bool numbers = series.is_array() && series.size() <= std::size_t{kMaxRepetitions} &&
                         std::all_of(series.begin(), series.end(),
                                     [](const Json& value) { return value.is_number(); });
    if (!numbers) return badField("seconds", "a list of lists of numbers");
    out.seconds.push_back(series.get<std::vector<double>>());
  }
  return out;
}

}  // namespace

std::string_view outcomeName(Outcome outcome) {
  for (const auto& [one, name] : kOutcomes) {
    if (one == outcome) return name;
  }
  return "refused";
}

Result<void> checkMeasurement(const Measurement& measurement, std::size_t sizes, int repetitions) {
  const auto broken = [](const std::string& what) {
    return Error(ErrorCode::kInternal, "a measurement " + what);
  };
  const auto& seconds = measurement.seconds;
  if (measurement.outcome != Outcome::kMeasured) {
    if (seconds.empty()) return {};
    return broken("that " + std::string(outcomeName(measurement.outcome)) + " has times");
  }
  if (seconds.size() != sizes) {
    return broken("has " + std::to_string(seconds.size()) + " sizes of " + std::to_string(sizes));
  }
  for (const auto& series : seconds) {
    if (std::cmp_not_equal(series.size(), repetitions)) {
      return broken("has " + std::to_string(series.size()) + " repetitions of " +
                    std::to_string(repetitions));
    }
    for (const double value : series) {
      if (!std::isfinite(value) || value <= 0) {
        return broken("took " + std::to_string(value) + " seconds");
      }
    }
  }
  return {};
}

std::string encode(const TrialRecord& record) {
  const Json json{{"trial", record.trial},
                  {"elapsed_seconds", record.elapsedSeconds},
                  {"setting", record.setting.text()},
                  {"sizes", sizesJson(record.sizes)},
                  {"repetitions", record.repetitions},
                  {"outcome", outcomeName(record.measurement.outcome)},
                  {"detail", record.measurement.detail.substr(0, kMaxDetail)},
                  {"seconds", record.measurement.seconds}};
  // A detail that was cut within a character, or is not UTF-8 at all, is replaced, not thrown over.
  return json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

Result<TrialRecord> decodeRecord(std::string_view line) {
  if (line.size() > kMaxRecordBytes) {
    return Error(ErrorCode::kCorrupt, "a record has " + std::to_string(line.size()) +
                                          " bytes; allowed: " + std::to_string(kMaxRecordBytes));
  }
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return Error(ErrorCode::kCorrupt, "is not a JSON object");
  TrialRecord record;
  RAILHEAD_TRY_ASSIGN(record.trial, numberMember(json, "trial", 1, kMaxRecords));
  const Json* elapsed = member(json, "elapsed_seconds");
  if (elapsed == nullptr || !elapsed->is_number() || !(elapsed->get<double>() >= 0)) {
    return badField("elapsed_seconds", "a number from 0");
  }
  record.elapsedSeconds = elapsed->get<double>();
  RAILHEAD_TRY_ASSIGN(const std::string setting, textMember(json, "setting", Setting::kMaxText));
  RAILHEAD_TRY_ASSIGN(record.setting, Setting::parse(setting));
  RAILHEAD_TRY_ASSIGN(record.sizes, sizesMember(json));
  RAILHEAD_TRY_ASSIGN(const auto repetitions,
                      numberMember(json, "repetitions", 1, kMaxRepetitions));
  record.repetitions = static_cast<int>(repetitions);
  RAILHEAD_TRY_ASSIGN(record.measurement, measurementMember(json));
  if (auto held = checkMeasurement(record.measurement, record.sizes.size(), record.repetitions);
      !held.has_value()) {
    return Error(ErrorCode::kCorrupt, held.error().message);
  }
  return record;
}

Result<std::vector<TrialRecord>> decodeRecords(std::string_view text, const std::string& source,
                                               std::size_t firstLine) {
  std::vector<TrialRecord> records;
  while (true) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return records;
    const std::string where = source + ":" + std::to_string(firstLine + records.size());
    if (records.size() == kMaxRecords) {
      return Error(ErrorCode::kCorrupt,
                   where + ": more than " + std::to_string(kMaxRecords) + " records");
    }
    auto record = decodeRecord(text.substr(0, end));
    if (!record.has_value()) return std::move(record).error().addContext(where);
    records.push_back(std::move(*record));
    text.remove_prefix(end + 1);
  }
}

}  // namespace railhead::tune
