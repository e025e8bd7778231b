#include "src/report/model/json.h"

#include "src/base/text.h"
#include "src/report/model/fields.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using OrderedJson = nlohmann::ordered_json;  // written in the order of the schema
using Json = nlohmann::json;  // read: look-ups and insertion stay fast on a hostile text

constexpr std::size_t kMaxText = 8 << 20;
constexpr std::size_t kMaxString = 64 << 10;
constexpr std::size_t kMaxEntries = 4096;
constexpr int kMaxNesting = 16;                     // the schema needs 7
constexpr std::uint64_t kMaxUnsigned = 1ULL << 53;  // exact in every JSON reader
constexpr int kMaxInteger = 1'000'000;              // MTUs, indexes, CPUs
constexpr double kMaxNumber = 1e15;

// ---- writing

class Writer {
 public:
  explicit Writer(OrderedJson& into) : into_(into) {}

  void operator()(const char* name, const std::string& value) { into_[name] = value; }
  void operator()(const char* name, bool value) { into_[name] = value; }
  void operator()(const char* name, int value) { into_[name] = value; }
  void operator()(const char* name, std::uint64_t value) { into_[name] = value; }
  void operator()(const char* name, double value) {
    into_[name] = std::isfinite(value) ? value : 0.0;
  }
  void operator()(const char* name, const std::optional<double>& value) {
    into_[name] = value && std::isfinite(*value) ? OrderedJson(*value) : OrderedJson(nullptr);
  }
  void operator()(const char* name, const std::vector<std::string>& values) {
    into_[name] = values;
  }
  void operator()(const char* name, const std::vector<double>& values) {
    OrderedJson list = OrderedJson::array();
    for (const double value : values) list.push_back(std::isfinite(value) ? value : 0.0);
    into_[name] = std::move(list);
  }
  void operator()(const char* name, const std::map<std::string, std::uint64_t>& values) {
    OrderedJson object = OrderedJson::object();
    for (const auto& [key, value] : values) object[key] = value;
    into_[name] = std::move(object);
  }
  template <typename T>
  void operator()(const char* name, const std::vector<T>& values) {
    OrderedJson list = OrderedJson::array();
    for (const auto& value : values) list.push_back(written(value));
    into_[name] = std::move(list);
  }
  template <typename T>
  void operator()(const char* name, const T& value) {
    into_[name] = written(value);
  }

 private:
  template <typename T>
  static OrderedJson written(const T& value) {
    OrderedJson object = OrderedJson::object();
    Writer writer(object);
    visitFields(writer, value);
    return object;
  }

  OrderedJson& into_;
};

// ---- reading

// Keeps the first thing that is wrong; after it, further fields are skipped.
class Reader {
 public:
  Reader(const Json& from, std::string path, std::optional<Error>& failure)
      : from_(from), path_(std::move(path)), failure_(failure) {}

  void operator()(const char* name, std::string& value) {
    if (const Json* json = find(name)) readString(*json, pathOf(name), value);
  }
  void operator()(const char* name, bool& value) {
    const Json* json = find(name);
    if (json == nullptr) return;
    if (!json->is_boolean()) return fail(pathOf(name), *json, "true or false");
    value = json->get<bool>();
  }
  void operator()(const char* name, int& value) {
    std::uint64_t wide = 0;
    readUnsigned(name, wide, kMaxInteger);
    value = static_cast<int>(wide);
  }
  void operator()(const char* name, std::uint64_t& value) {
    readUnsigned(name, value, kMaxUnsigned);
  }
  void operator()(const char* name, double& value) {
    if (const Json* json = find(name)) readNumber(*json, pathOf(name), value);
  }
  void operator()(const char* name, std::optional<double>& value) {
    const Json* json = find(name);
    if (json == nullptr || json->is_null()) return;
    readNumber(*json, pathOf(name), value.emplace());
  }
  void operator()(const char* name, std::map<std::string, std::uint64_t>& values) {
    const Json* json = find(name);
    if (json == nullptr) return;
    if (!json->is_object()) return fail(pathOf(name), *json, "an object of name and count");
    if (json->size() > kMaxEntries) return failLength(pathOf(name), *json);
    Reader inner(*json, pathOf(name), failure_);
    for (const auto& item : json->items()) {
      inner.readUnsigned(item.key().c_str(), values[item.key()], kMaxUnsigned);
    }
  }
  template <typename T>
  void operator()(const char* name, std::vector<T>& values) {
    const Json* json = find(name);
    if (json == nullptr) return;
    if (!json->is_array()) return fail(pathOf(name), *json, "a list");
    if (json->size() > kMaxEntries) return failLength(pathOf(name), *json);
    for (std::size_t i = 0; i < json->size() && !failure_; ++i) {
      const std::string path = pathOf(name) + "[" + std::to_string(i) + "]";
      readEntry((*json)[i], path, values.emplace_back());
    }
  }
  template <typename T>
  void operator()(const char* name, T& value) {
    if (const Json* json = find(name)) readEntry(*json, pathOf(name), value);
  }

 private:
  std::string pathOf(std::string_view name) const {
    return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
  }

  const Json* find(const char* name) {
    if (failure_) return nullptr;
    const auto at = from_.find(name);
    if (at != from_.end()) return &*at;
    failure_ = Error(ErrorCode::kInvalidArgument, "report: " + pathOf(name) + " is missing");
    return nullptr;
  }

  void fail(const std::string& path, const Json& value, std::string_view allowed) {
    const std::string shown = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    failure_ = Error(ErrorCode::kInvalidArgument, "report: " + path + ": " + inQuotes(shown, 60) +
                                                      " is not " + std::string(allowed));
  }
  void failLength(const std::string& path, const Json& list) {
    failure_ = Error(ErrorCode::kInvalidArgument,
                     "report: " + path + " has " + std::to_string(list.size()) +
                         " entries; at most " + std::to_string(kMaxEntries) + " are allowed");
  }

  void readString(const Json& json, const std::string& path, std::string& value) {
    if (!json.is_string()) return fail(path, json, "a string");
    const auto& text = json.get_ref<const std::string&>();
    if (text.size() > kMaxString) {
      return fail(path, json, "a string of at most " + std::to_string(kMaxString) + " bytes");
    }
    value = text;
  }
  void readNumber(const Json& json, const std::string& path, double& value) {
    if (!json.is_number() || json.get<double>() < 0 || json.get<double>() > kMaxNumber) {
      return fail(path, json, "a number from 0 to 1e15");
    }
    value = json.get<double>();
  }
  void readUnsigned(const char* name, std::uint64_t& value, std::uint64_t limit) {
    const Json* json = find(name);
    if (json == nullptr) return;
    if (!json->is_number_unsigned() || json->get<std::uint64_t>() > limit) {
      return fail(pathOf(name), *json, "a whole number from 0 to " + std::to_string(limit));
    }
    value = json->get<std::uint64_t>();
  }

  void readEntry(const Json& json, const std::string& path, std::string& value) {
    readString(json, path, value);
  }
  void readEntry(const Json& json, const std::string& path, double& value) {
    readNumber(json, path, value);
  }
  template <typename T>
  void readEntry(const Json& json, const std::string& path, T& value) {
    if (!json.is_object()) return fail(path, json, "an object");
    Reader inner(json, path, failure_);
    visitFields(inner, value);
  }

  const Json& from_;
  std::string path_;
  std::optional<Error>& failure_;
};

// ---- listing

class SchemaLister {
 public:
  SchemaLister(std::vector<SchemaField>& into, std::string prefix)
      : into_(into), prefix_(std::move(prefix)) {}

  void operator()(const char* name, const std::string&) { add(name, "string"); }
  void operator()(const char* name, bool) { add(name, "boolean"); }
  void operator()(const char* name, int) { add(name, "integer"); }
  void operator()(const char* name, std::uint64_t) { add(name, "integer"); }
  void operator()(const char* name, double) { add(name, "number"); }
  void operator()(const char* name, const std::optional<double>&) { add(name, "number or null"); }
  void operator()(const char* name, const std::vector<std::string>&) {
    add(name, "list of strings");
  }
  void operator()(const char* name, const std::vector<double>&) { add(name, "list of numbers"); }
  void operator()(const char* name, const std::map<std::string, std::uint64_t>&) {
    add(name, "object of integers");
  }
  template <typename T>
  void operator()(const char* name, const std::vector<T>&) {
    list(prefix_ + name + "[].", T{});
  }
  template <typename T>
  void operator()(const char* name, const T& value) {
    list(prefix_ + name + ".", value);
  }

 private:
  void add(const char* name, const char* type) { into_.push_back({prefix_ + name, type}); }
  template <typename T>
  void list(std::string prefix, const T& value) {
    SchemaLister inner(into_, std::move(prefix));
    visitFields(inner, value);
  }

  std::vector<SchemaField>& into_;
  std::string prefix_;
};

Error badText(const std::string& why) {
  return Error(ErrorCode::kInvalidArgument, "report: " + why,
               "give the report.json that railhead demo wrote");
}

// Refuses deep nesting while parsing, so that a hostile text cannot cost a deep structure.
Result<Json> parseBounded(std::string_view text) {
  if (text.size() > kMaxText) {
    return badText("the text has " + std::to_string(text.size()) + " bytes; at most " +
                   std::to_string(kMaxText) + " are allowed");
  }
  bool tooDeep = false;
  const auto guard = [&tooDeep](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxNesting) tooDeep = true;
    return !tooDeep;
  };
  Json json = Json::parse(text, guard, /*allow_exceptions=*/false);
  if (tooDeep) {
    return badText("nested deeper than " + std::to_string(kMaxNesting) + " levels");
  }
  if (json.is_discarded()) return badText("the text is not JSON");
  if (!json.is_object()) return badText("the text is not a JSON object");
  return json;
}

}  // namespace

std::string toJson(const Report& report) {
  OrderedJson json = OrderedJson::object();
  json["schema"] = kSchema;
  Writer writer(json);
  visitFields(writer, report);
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

Result<Report> fromJson(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json json, parseBounded(text));
  const auto schema = json.find("schema");
  if (schema == json.end()) return badText("schema is missing");
  if (!schema->is_string() || schema->get_ref<const std::string&>() != kSchema) {
    return Error(ErrorCode::kUnsupported,
                 "report: schema: " + inQuotes(schema->dump(-1, ' ', false), 60) + " is not " +
                     inQuotes(kSchema),
                 "read it with the version of railhead that wrote it");
  }
  Report report;
  std::optional<Error> failure;
  Reader reader(json, "", failure);
  visitFields(reader, report);
  if (failure) return *failure;
  return report;
}

std::vector<SchemaField> schemaFields() {
  std::vector<SchemaField> all{{"schema", "string"}};
  SchemaLister lister(all, "");
  const Report report;
  visitFields(lister, report);
  return all;
}

}  // namespace railhead::report
