#include "src/report/measurements/known_fields.h"

#include "src/base/text.h"

#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxFieldText = 64 << 10;
constexpr std::size_t kMaxFieldEntries = 4096;
constexpr std::size_t kMaxSamples = 10'000;
constexpr double kMaxFieldNumber = 2e19;  // a seed has 64 bits

enum class Type {
  kText,
  kFlag,
  kNumber,
  kNumberOrNull,
  kReal,  // any number, also one below 0
  kRealOrNull,
  kObjectOrNull,
  kList,
  kTexts,
  kNamedTexts,
};

struct Field {
  // "lines[].time.mean_us"; "ceiling?.gbps": ceiling may be null; "plan.~operation": was added
  // later, and files from before lack it.
  std::string_view path;
  Type type;
};

// docs/reference/bench-collectives.md
constexpr Field kCollectivesFields[] = {
    {"verified", Type::kFlag},
    {"failure", Type::kText},
    {"ranks", Type::kNumber},
    {"nodes", Type::kTexts},
    {"backend.name", Type::kText},
    {"backend.version", Type::kText},
    {"backend.library", Type::kText},
    {"backend.device", Type::kText},
    {"backend.transports", Type::kTexts},
    {"memory", Type::kText},
    {"plan.precision", Type::kNumber},
    {"plan.seed", Type::kNumber},
    {"lines", Type::kList},
    {"lines[].operation", Type::kText},
    {"lines[].type", Type::kText},
    {"lines[].in_place", Type::kFlag},
    {"lines[].bytes", Type::kNumber},
    {"lines[].time.samples", Type::kNumber},
    {"lines[].time.min_us", Type::kNumber},
    {"lines[].time.median_us", Type::kNumber},
    {"lines[].time.p99_us", Type::kNumber},
    {"lines[].time.max_us", Type::kNumber},
    {"lines[].time.mean_us", Type::kNumber},
    {"lines[].time.low95_us", Type::kNumber},
    {"lines[].time.high95_us", Type::kNumber},
    {"lines[].time.outliers", Type::kNumber},
    {"lines[].time.precise", Type::kFlag},
    {"lines[].algbw_gbytes_per_s", Type::kNumber},
    {"lines[].busbw_gbytes_per_s", Type::kNumber},
    {"lines[].bytes_checked", Type::kNumber},
    {"lines[].elements_wrong", Type::kNumber},
    {"environment.hostname", Type::kText},
    {"environment.kernel", Type::kText},
    {"environment.architecture", Type::kText},
};

// docs/reference/tune.md
constexpr Field kTuneFields[] = {
    {"end", Type::kText},
    {"validated", Type::kFlag},
    {"better", Type::kFlag},
    {"objective", Type::kText},
    {"gain.pairs", Type::kNumber},
    {"gain.factor", Type::kNumber},
    {"gain.low95", Type::kNumber},
    {"gain.high95", Type::kNumber},
    {"gain.better", Type::kFlag},
    {"trials", Type::kNumber},
    {"seconds", Type::kNumber},
    {"seed", Type::kNumber},
    {"backend", Type::kText},
    {"no_choices", Type::kText},
    {"fabric.gpus", Type::kTexts},
    {"fabric.nics", Type::kTexts},
    {"fabric.mtu", Type::kNumber},
    {"fabric.ranks", Type::kNumber},
    {"fabric.nodes", Type::kNumber},
    {"environment", Type::kList},
    {"environment[].name", Type::kText},
    {"environment[].value", Type::kText},
    {"table", Type::kTexts},
    {"sizes", Type::kList},
    {"sizes[].operation", Type::kText},
    {"sizes[].bytes", Type::kNumber},
    {"sizes[].setting", Type::kText},
    {"sizes[].default_seconds", Type::kNumber},
    {"sizes[].tuned_seconds", Type::kNumber},
    {"sizes[].gain.pairs", Type::kNumber},
    {"sizes[].gain.factor", Type::kNumber},
    {"sizes[].gain.low95", Type::kNumber},
    {"sizes[].gain.high95", Type::kNumber},
    {"sizes[].gain.better", Type::kFlag},
    {"condemned", Type::kList},
    {"condemned[].setting", Type::kText},
    {"condemned[].outcome", Type::kText},
    {"condemned[].detail", Type::kText},
    {"effects", Type::kList},
    {"effects[].knob", Type::kText},
    {"effects[].step", Type::kText},
    {"effects[].gain.pairs", Type::kNumber},
    {"effects[].gain.factor", Type::kNumber},
    {"effects[].gain.low95", Type::kNumber},
    {"effects[].gain.high95", Type::kNumber},
    {"effects[].gain.better", Type::kFlag},
    {"~overlap", Type::kList},
    {"~overlap[].operation", Type::kText},
    {"~overlap[].bytes", Type::kNumber},
    {"~overlap[].call_seconds", Type::kNumber},
    {"~overlap[].compute_seconds", Type::kNumber},
    {"~overlap[].pair_seconds", Type::kNumber},
    {"~overlap[].default_hidden", Type::kRealOrNull},
    {"~overlap[].tuned_hidden", Type::kRealOrNull},
};

// docs/reference/bench-verbs.md, of a connecting end
constexpr Field kVerbsFields[] = {
    {"peer", Type::kText},
    {"verified", Type::kFlag},
    {"bytes_checked", Type::kNumber},
    {"bytes_wrong", Type::kNumber},
    {"failure", Type::kText},
    {"plan.message_bytes", Type::kNumber},
    {"plan.outstanding", Type::kNumber},
    {"plan.pairs_per_rail", Type::kNumber},
    {"plan.seconds", Type::kNumber},
    {"plan.seed", Type::kNumber},
    {"rails", Type::kList},
    {"rails[].rail", Type::kNumber},
    {"rails[].device", Type::kText},
    {"rails[].netdev", Type::kText},
    {"rails[].address", Type::kText},
    {"rails[].peer_device", Type::kText},
    {"rails[].peer_address", Type::kText},
    {"rails[].mtu", Type::kNumber},
    {"rails[].bytes_checked", Type::kNumber},
    {"rails[].bytes_wrong", Type::kNumber},
    {"rails[].gbps", Type::kNumberOrNull},
    {"rails[].gbps_together", Type::kNumberOrNull},
    {"rails[].ceiling", Type::kObjectOrNull},
    {"rails[].ceiling?.gbps", Type::kNumber},
    {"rails[].ceiling?.explanation", Type::kText},
    {"rails[].latency", Type::kObjectOrNull},
    {"rails[].latency?.median_us", Type::kNumber},
    {"rails[].latency?.p99_us", Type::kNumber},
    {"all_rails.gbps", Type::kNumberOrNull},
    {"all_rails.ceiling", Type::kObjectOrNull},
    {"all_rails.ceiling?.gbps", Type::kNumber},
    {"all_rails.ceiling?.explanation", Type::kText},
    {"environment.hostname", Type::kText},
    {"environment.kernel", Type::kText},
    {"environment.architecture", Type::kText},
    {"peer_environment.hostname", Type::kText},
    {"plan.~operation", Type::kText},
    {"plan.~rate_bytes", Type::kNumber},
    {"~memory", Type::kText},
    {"~peer_memory", Type::kText},
    {"~latency_by", Type::kText},
    {"rails[].latency?.~p90_us", Type::kNumber},
    {"rails[].latency?.~p999_us", Type::kNumber},
    {"rails[].~message_rate.per_second", Type::kNumberOrNull},
    {"rails[].~message_rate.per_second_together", Type::kNumberOrNull},
    {"rails[].~sizes", Type::kList},
    {"rails[].~sizes[].message_bytes", Type::kNumber},
    {"rails[].~sizes[].gbps", Type::kNumberOrNull},
    {"rails[].~sizes[].gbps_together", Type::kNumberOrNull},
    {"rails[].~sizes[].ceiling", Type::kObjectOrNull},
    {"rails[].~sizes[].ceiling?.gbps", Type::kNumber},
    {"rails[].~sizes[].intervals", Type::kObjectOrNull},
    {"rails[].~sizes[].intervals?.low95_gbps", Type::kReal},
    {"rails[].~sizes[].intervals?.high95_gbps", Type::kReal},
    {"all_rails.~messages_per_second", Type::kNumberOrNull},
    {"all_rails.~sizes", Type::kList},
    {"all_rails.~sizes[].message_bytes", Type::kNumber},
    {"all_rails.~sizes[].gbps", Type::kNumberOrNull},
    {"all_rails.~sizes[].ceiling", Type::kObjectOrNull},
    {"all_rails.~sizes[].ceiling?.gbps", Type::kNumber},
};

// docs/reference/report.md, "Measurements"
constexpr Field kVerifyFields[] = {
    {"verdict", Type::kText},
    {"expected", Type::kFlag},
    {"failures", Type::kTexts},
    {"ranks", Type::kList},
    {"ranks[].rank", Type::kNumber},
    {"ranks[].node", Type::kText},
    {"ranks[].backend", Type::kText},
    {"ranks[].device", Type::kText},
    {"ranks[].rails", Type::kTexts},
    {"ranks[].bytes_moved", Type::kNumber},
    {"ranks[].seconds", Type::kNumber},
    {"ranks[].gbps", Type::kNumber},
    {"ranks[].ceiling_gbps", Type::kNumberOrNull},
    {"ranks[].ceiling_explanation", Type::kText},
    {"ranks[].bytes_checked", Type::kNumber},
    {"ranks[].elements_wrong", Type::kNumber},
    {"ranks[].notes", Type::kTexts},
    {"directions", Type::kList},
    {"directions[].from", Type::kNumber},
    {"directions[].to", Type::kNumber},
    {"directions[].verdict", Type::kText},
    {"directions[].rule", Type::kText},
    {"directions[].reason", Type::kText},
    {"directions[].remedies", Type::kTexts},
    {"directions[].share", Type::kNumberOrNull},
    {"directions[].findings", Type::kList},
    {"directions[].findings[].kind", Type::kText},
    {"directions[].findings[].text", Type::kText},
    {"directions[].evidence", Type::kList},
    {"directions[].evidence[].source", Type::kText},
    {"directions[].evidence[].what", Type::kText},
    {"directions[].evidence[].where", Type::kText},
    {"directions[].evidence[].supports", Type::kText},
    {"directions[].evidence[].value", Type::kText},
};

// docs/reference/report.md, "Measurements"
constexpr Field kDoctorFields[] = {
    {"nodes", Type::kList},
    {"nodes[].node", Type::kText},
    {"nodes[].checks", Type::kList},
    {"nodes[].checks[].check", Type::kText},
    {"nodes[].checks[].cannot_run", Type::kText},
    {"nodes[].checks[].findings", Type::kList},
    {"nodes[].checks[].findings[].severity", Type::kText},
    {"nodes[].checks[].findings[].subject", Type::kText},
    {"nodes[].checks[].findings[].evidence", Type::kText},
    {"nodes[].checks[].findings[].consequence", Type::kText},
    {"nodes[].checks[].findings[].remedy", Type::kText},
};

// docs/reference/train.md, "JSON of train show"
constexpr Field kTrainFields[] = {
    {"state", Type::kText},
    {"manifest.id", Type::kText},
    {"manifest.reason", Type::kText},
    {"manifest.railhead", Type::kText},
    {"manifest.started", Type::kText},
    {"manifest.ended", Type::kText},
    {"manifest.replay_of", Type::kText},
    {"manifest.run_file.sha256", Type::kText},
    {"manifest.command", Type::kTexts},
    {"manifest.image", Type::kText},
    {"manifest.image_digest", Type::kText},
    {"manifest.seed", Type::kNumber},
    {"manifest.code.folder", Type::kText},
    {"manifest.code.revision", Type::kText},
    {"manifest.code.modified", Type::kFlag},
    {"manifest.code.scripts", Type::kList},
    {"manifest.code.scripts[].path", Type::kText},
    {"manifest.code.scripts[].bytes", Type::kNumber},
    {"manifest.code.scripts[].sha256", Type::kText},
    {"manifest.data", Type::kList},
    {"manifest.data[].path", Type::kText},
    {"manifest.data[].bytes", Type::kNumber},
    {"manifest.data[].sha256", Type::kText},
    {"manifest.profile", Type::kText},
    {"manifest.environment", Type::kNamedTexts},
    {"manifest.facts", Type::kNamedTexts},
    {"manifest.place.on", Type::kText},
    {"manifest.place.ranks", Type::kNumber},
    {"manifest.place.order", Type::kTexts},
    {"manifest.place.nodes", Type::kList},
    {"manifest.place.nodes[].node", Type::kText},
    {"manifest.place.nodes[].kernel", Type::kText},
    {"manifest.place.nodes[].architecture", Type::kText},
    {"manifest.place.nodes[].cpu", Type::kText},
    {"manifest.place.nodes[].cpus", Type::kNumber},
    {"manifest.place.nodes[].gpus", Type::kTexts},
    {"manifest.place.nodes[].driver", Type::kText},
    {"manifest.place.nodes[].cuda", Type::kText},
    {"manifest.place.nodes[].nccl", Type::kText},
    {"manifest.place.nodes[].nics", Type::kTexts},
    {"manifest.verdict", Type::kObjectOrNull},
    {"manifest.verdict?.verdict", Type::kText},
    {"manifest.verdict?.expected", Type::kFlag},
    {"manifest.verdict?.share", Type::kNumberOrNull},
    {"manifest.attempts", Type::kList},
    {"manifest.attempts[].number", Type::kNumber},
    {"manifest.attempts[].from_step", Type::kNumberOrNull},
    {"manifest.attempts[].started", Type::kText},
    {"manifest.attempts[].seconds", Type::kNumber},
    {"manifest.attempts[].end", Type::kText},
    {"manifest.attempts[].reason", Type::kText},
    {"manifest.attempts[].rank", Type::kNumberOrNull},
    {"manifest.attempts[].node", Type::kText},
    {"manifest.attempts[].last_lines", Type::kTexts},
    {"manifest.metrics.steps", Type::kNumber},
    {"manifest.metrics.first_loss", Type::kRealOrNull},
    {"manifest.metrics.last_loss", Type::kRealOrNull},
    {"manifest.metrics.tokens", Type::kNumber},
    {"manifest.metrics.seconds", Type::kReal},
    {"manifest.metrics.lost_steps", Type::kNumber},
    {"manifest.checkpoints", Type::kList},
    {"manifest.checkpoints[].step", Type::kNumber},
    {"attempts_left_out", Type::kNumber},
    {"checkpoints_left_out", Type::kNumber},
    {"model", Type::kNamedTexts},
    {"split.steps", Type::kNumber},
    {"split.seconds", Type::kNumber},
    {"split.compute", Type::kNumberOrNull},
    {"split.exposed", Type::kNumberOrNull},
    {"split.hidden", Type::kNumberOrNull},
    {"split.data", Type::kNumberOrNull},
    {"steps_told", Type::kNumber},
    {"steps", Type::kList},
    {"steps[].step", Type::kNumber},
    {"steps[].loss", Type::kRealOrNull},
    {"steps[].tokens", Type::kNumberOrNull},
    {"steps[].seconds", Type::kNumberOrNull},
    {"steps[].split.compute", Type::kNumberOrNull},
    {"steps[].split.exposed", Type::kNumberOrNull},
    {"steps[].split.hidden", Type::kNumberOrNull},
    {"steps[].split.data", Type::kNumberOrNull},
};

std::span<const Field> fieldsOf(MeasurementKind kind) {
  switch (kind) {
    case MeasurementKind::kCollectives:
      return kCollectivesFields;
    case MeasurementKind::kVerbs:
      return kVerbsFields;
    case MeasurementKind::kVerify:
      return kVerifyFields;
    case MeasurementKind::kDoctor:
      return kDoctorFields;
    case MeasurementKind::kTune:
      return kTuneFields;
    case MeasurementKind::kTrain:
      return kTrainFields;
  }
  return {};
}

Error wrong(const std::string& path, const Json& value, std::string_view allowed) {
  const std::string shown = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return Error(ErrorCode::kInvalidArgument,
               path + ": " + inQuotes(shown, 60) + " is not " + std::string(allowed));
}

// The entries of a list, or the values of an object.
bool areTexts(const Json& value) {
  for (const auto& entry : value) {
    if (!entry.is_string()) return false;
  }
  return true;
}

Result<void> checkType(const std::string& path, const Json& value, Type type) {
  switch (type) {
    case Type::kText:
      if (!value.is_string()) return wrong(path, value, "a string");
      break;
    case Type::kFlag:
      if (!value.is_boolean()) return wrong(path, value, "true or false");
      break;
    case Type::kNumberOrNull:
      if (value.is_null()) break;
      [[fallthrough]];
    case Type::kNumber:
      if (!value.is_number() || value.get<double>() < 0 || value.get<double>() > kMaxFieldNumber) {
        return wrong(path, value, "a number from 0 to 2e19");
      }
      break;
    case Type::kRealOrNull:
      if (value.is_null()) break;
      [[fallthrough]];
    case Type::kReal:
      if (!value.is_number()) return wrong(path, value, "a number");
      break;
    case Type::kObjectOrNull:
      if (!value.is_object() && !value.is_null()) return wrong(path, value, "an object or null");
      break;
    case Type::kList:
      if (!value.is_array()) return wrong(path, value, "a list");
      break;
    case Type::kTexts:
      if (!value.is_array() || !areTexts(value)) return wrong(path, value, "a list of strings");
      break;
    case Type::kNamedTexts:
      if (!value.is_object() || !areTexts(value)) return wrong(path, value, "an object of strings");
      break;
  }
  return {};
}

// Follows `rest` from `at`, which stands at `path`.
Result<void> checkField(const Json& at, std::string_view rest, const std::string& path, Type type) {
  if (!at.is_object()) return wrong(path.empty() ? "the text" : path, at, "an object");
  const auto dot = rest.find('.');
  std::string_view name = rest.substr(0, dot);
  const bool addedLater = name.starts_with('~');
  if (addedLater) name.remove_prefix(1);
  const bool entries = name.ends_with("[]");
  const bool nullable = name.ends_with('?');
  name.remove_suffix(entries ? 2 : nullable ? 1 : 0);
  const std::string here = (path.empty() ? "" : path + ".") + std::string(name);
  const auto found = at.find(name);
  if (found == at.end() && addedLater) return {};
  if (found == at.end()) return Error(ErrorCode::kInvalidArgument, here + " is missing");
  if (dot == std::string_view::npos) return checkType(here, *found, type);
  if (nullable && found->is_null()) return {};
  if (!entries) return checkField(*found, rest.substr(dot + 1), here, type);
  for (std::size_t i = 0; i < found->size(); ++i) {
    const std::string entry = here + "[" + std::to_string(i) + "]";
    if (!(*found)[i].is_object()) return wrong(entry, (*found)[i], "an object");
    RAILHEAD_TRY(checkField((*found)[i], rest.substr(dot + 1), entry, type));
  }
  return {};
}

// Unknown fields are bounded, too: the page carries them.
Result<void> checkSizes(const Json& value, const std::string& path) {
  if (value.is_string() && value.get_ref<const std::string&>().size() > kMaxFieldText) {
    return wrong(path, value, "a string of at most " + std::to_string(kMaxFieldText) + " bytes");
  }
  const std::size_t most = path.ends_with("samples_us") ? kMaxSamples : kMaxFieldEntries;
  if (value.is_structured() && value.size() > most) {
    return Error(ErrorCode::kInvalidArgument, path + " has " + std::to_string(value.size()) +
                                                  " entries; at most " + std::to_string(most) +
                                                  " are allowed");
  }
  if (value.is_array()) {
    for (const auto& entry : value) RAILHEAD_TRY(checkSizes(entry, path + "[]"));
  }
  if (value.is_object()) {
    for (const auto& item : value.items()) {
      RAILHEAD_TRY(checkSizes(item.value(), (path.empty() ? "" : path + ".") + item.key()));
    }
  }
  return {};
}

}  // namespace

Result<void> checkFields(MeasurementKind kind, const Json& document) {
  RAILHEAD_TRY(checkSizes(document, ""));
  for (const auto& field : fieldsOf(kind)) {
    RAILHEAD_TRY(checkField(document, field.path, "", field.type));
  }
  return {};
}

}  // namespace railhead::report
