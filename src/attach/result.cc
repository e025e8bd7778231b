#include "src/attach/result.h"

#include "src/base/text.h"
#include "src/cni/protocol.h"
#include "src/json/json.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

constexpr std::size_t kMaxEntries = 1024;
constexpr std::size_t kMaxText = 4096;

Result<json::Value> parsePrevious(std::string_view prevResult) {
  if (prevResult.empty()) return json::Value(json::Value::object());
  RAILHEAD_TRY_ASSIGN(json::Value previous, json::parseObject(prevResult, "prevResult"));
  for (const char* key : {"interfaces", "ips", "routes"}) {
    const json::Value* list = json::member(previous, key);
    if (list == nullptr) continue;
    if (!list->is_array() || list->size() > kMaxEntries) {
      return Error(ErrorCode::kInvalidArgument,
                   std::string("prevResult.") + key + " is " + json::shown(*list) +
                       ": expected a list of at most " + std::to_string(kMaxEntries) + " objects");
    }
  }
  return previous;
}

// The list under `key`, taken out: references into an object do not outlive its next new key.
json::Value listIn(const json::Value& object, const char* key) {
  const json::Value* list = json::member(object, key);
  return list != nullptr ? *list : json::Value::array();
}

bool hasInterfaceDetails(std::string_view version) { return version == "1.1.0"; }
bool hasIpVersion(std::string_view version) { return version.starts_with("0."); }

json::Value encode(const ResultInterface& interface, std::string_view version) {
  json::Value entry;
  entry["name"] = interface.name;
  if (!interface.mac.empty()) entry["mac"] = interface.mac;
  const bool details = hasInterfaceDetails(version);
  if (details && interface.mtu > 0) entry["mtu"] = interface.mtu;
  if (!interface.sandbox.empty()) entry["sandbox"] = interface.sandbox;
  if (details && !interface.socketPath.empty()) entry["socketPath"] = interface.socketPath;
  if (details && !interface.pci.empty()) entry["pciID"] = interface.pci;
  return entry;
}

// `first`: index of the result's own first interface.
json::Value encode(const ResultAddress& address, std::size_t first, std::string_view version) {
  json::Value entry;
  if (hasIpVersion(version)) entry["version"] = address.address.address.v6 ? "6" : "4";
  if (address.interface) entry["interface"] = first + *address.interface;
  entry["address"] = address.address.toString();
  if (address.gateway) entry["gateway"] = address.gateway->toString();
  return entry;
}

json::Value encode(const ResultRoute& route, std::string_view version) {
  json::Value entry;
  entry["dst"] = route.destination.toString();
  if (route.gateway) entry["gw"] = route.gateway->toString();
  if (!hasInterfaceDetails(version)) return entry;
  const auto put = [&](const char* key, const std::optional<std::uint32_t>& value) {
    if (value) entry[key] = *value;
  };
  put("mtu", route.mtu);
  put("advmss", route.advmss);
  put("priority", route.priority);
  put("table", route.table);
  put("scope", route.scope);
  return entry;
}

// Adds what is not in the list under `key` yet.
void addTexts(json::Value& object, const char* key, const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  json::Value list = listIn(object, key);
  if (!list.is_array()) list = json::Value::array();
  for (const std::string& text : texts) {
    if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
  }
  object[key] = std::move(list);
}

// The previous plugin's DNS comes first, and its domain stays.
void addDns(json::Value& result, const ResultDns& dns) {
  if (dns.empty()) return;
  const json::Value* given = json::member(result, "dns");
  json::Value all = given != nullptr && given->is_object() ? *given : json::Value::object();
  addTexts(all, "nameservers", dns.nameservers);
  if (!dns.domain.empty() && json::member(all, "domain") == nullptr) all["domain"] = dns.domain;
  addTexts(all, "search", dns.search);
  addTexts(all, "options", dns.options);
  result["dns"] = std::move(all);
}

// The lists of a result, in the order the specification shows them.
void add(json::Value& result, const NetworkResult& added, std::string_view version) {
  json::Value interfaces = listIn(result, "interfaces");
  json::Value ips = listIn(result, "ips");
  json::Value routes = listIn(result, "routes");
  const std::size_t first = interfaces.size();
  for (const ResultInterface& interface : added.interfaces)
    interfaces.push_back(encode(interface, version));
  for (const ResultAddress& address : added.addresses)
    ips.push_back(encode(address, first, version));
  for (const ResultRoute& route : added.routes) routes.push_back(encode(route, version));
  result["interfaces"] = std::move(interfaces);
  result["ips"] = std::move(ips);
  if (!routes.empty()) result["routes"] = std::move(routes);
  addDns(result, added.dns);
}

// Reading. Every failure says where in the result it is.
Error wrong(const std::string& field, const json::Value& value, const std::string& expected) {
  return Error(ErrorCode::kCorrupt, field + " is " + json::shown(value) + ": expected " + expected);
}

Result<std::string> textIn(const json::Value& object, const std::string& field, const char* key) {
  auto text = json::textMember(object, key, kMaxText);
  if (text.has_value()) return text;
  Error error = std::move(text).error();
  error.code = ErrorCode::kCorrupt;
  return std::move(error).addContext(field);
}

Result<std::optional<IpAddress>> addressIn(const json::Value& object, const std::string& field,
                                           const char* key) {
  RAILHEAD_TRY_ASSIGN(const std::string text, textIn(object, field, key));
  if (text.empty()) return std::optional<IpAddress>();
  const auto parsed = IpAddress::parse(text);
  if (!parsed.has_value()) return wrong(field + "." + key, text, "an IP address");
  return std::optional(*parsed);
}

Result<IpPrefix> prefixIn(const json::Value& object, const std::string& field, const char* key) {
  RAILHEAD_TRY_ASSIGN(const std::string text, textIn(object, field, key));
  const auto parsed = IpPrefix::parse(text);
  if (!parsed.has_value()) return wrong(field + "." + key, text, "address/length");
  return *parsed;
}

Result<std::optional<std::uint32_t>> numberIn(const json::Value& object, const std::string& field,
                                              const char* key) {
  const json::Value* value = json::member(object, key);
  if (value == nullptr) return std::optional<std::uint32_t>();
  if (!value->is_number_unsigned() || value->get<std::uint64_t>() > INT32_MAX)
    return wrong(field + "." + key, *value, "a number");
  return std::optional(value->get<std::uint32_t>());
}

// Calls `read` with each object of the list under `key` and how errors name it.
template <typename Read>
Result<void> readList(const json::Value& result, const char* key, const Read& read) {
  const json::Value* list = json::member(result, key);
  if (list == nullptr) return {};
  if (!list->is_array() || list->size() > kMaxEntries)
    return wrong(key, *list, "a list of at most " + std::to_string(kMaxEntries) + " objects");
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string field = std::string(key) + "[" + std::to_string(i) + "]";
    if (!(*list)[i].is_object()) return wrong(field, (*list)[i], "an object");
    RAILHEAD_TRY(read((*list)[i], field));
  }
  return {};
}

Result<void> readInterface(const json::Value& entry, const std::string& field,
                           NetworkResult& result) {
  ResultInterface interface;
  RAILHEAD_TRY_ASSIGN(interface.name, textIn(entry, field, "name"));
  RAILHEAD_TRY_ASSIGN(interface.mac, textIn(entry, field, "mac"));
  RAILHEAD_TRY_ASSIGN(interface.sandbox, textIn(entry, field, "sandbox"));
  RAILHEAD_TRY_ASSIGN(interface.pci, textIn(entry, field, "pciID"));
  RAILHEAD_TRY_ASSIGN(interface.socketPath, textIn(entry, field, "socketPath"));
  RAILHEAD_TRY_ASSIGN(const auto mtu, numberIn(entry, field, "mtu"));
  interface.mtu = static_cast<int>(mtu.value_or(0));
  result.interfaces.push_back(std::move(interface));
  return {};
}

Result<void> readAddress(const json::Value& entry, const std::string& field,
                         NetworkResult& result) {
  ResultAddress address;
  RAILHEAD_TRY_ASSIGN(address.address, prefixIn(entry, field, "address"));
  RAILHEAD_TRY_ASSIGN(address.gateway, addressIn(entry, field, "gateway"));
  RAILHEAD_TRY_ASSIGN(const auto interface, numberIn(entry, field, "interface"));
  if (interface && *interface >= result.interfaces.size())
    return wrong(field + ".interface", *interface, "the index of an interface");
  if (interface) address.interface = *interface;
  result.addresses.push_back(address);
  return {};
}

Result<void> readRoute(const json::Value& entry, const std::string& field, NetworkResult& result) {
  ResultRoute route;
  RAILHEAD_TRY_ASSIGN(route.destination, prefixIn(entry, field, "dst"));
  RAILHEAD_TRY_ASSIGN(route.gateway, addressIn(entry, field, "gw"));
  RAILHEAD_TRY_ASSIGN(route.mtu, numberIn(entry, field, "mtu"));
  RAILHEAD_TRY_ASSIGN(route.advmss, numberIn(entry, field, "advmss"));
  RAILHEAD_TRY_ASSIGN(route.priority, numberIn(entry, field, "priority"));
  RAILHEAD_TRY_ASSIGN(route.table, numberIn(entry, field, "table"));
  RAILHEAD_TRY_ASSIGN(route.scope, numberIn(entry, field, "scope"));
  result.routes.push_back(route);
  return {};
}

Result<void> readTexts(const json::Value& dns, const char* key, std::vector<std::string>& into) {
  const json::Value* list = json::member(dns, key);
  if (list == nullptr) return {};
  const auto isText = [](const json::Value& item) {
    return item.is_string() && item.get_ref<const std::string&>().size() <= kMaxText;
  };
  if (!list->is_array() || list->size() > kMaxEntries ||
      !std::all_of(list->begin(), list->end(), isText)) {
    return wrong(std::string("dns.") + key, *list, "a list of strings");
  }
  for (const json::Value& item : *list) into.push_back(item.get<std::string>());
  return {};
}

Result<void> readDns(const json::Value& result, ResultDns& dns) {
  const json::Value* given = json::member(result, "dns");
  if (given == nullptr) return {};
  if (!given->is_object()) return wrong("dns", *given, "an object");
  RAILHEAD_TRY_ASSIGN(dns.domain, textIn(*given, "dns", "domain"));
  RAILHEAD_TRY(readTexts(*given, "nameservers", dns.nameservers));
  RAILHEAD_TRY(readTexts(*given, "search", dns.search));
  return readTexts(*given, "options", dns.options);
}

Result<NetworkResult> readResult(std::string_view text) {
  if (text.size() > kMaxResult) {
    return Error(ErrorCode::kCorrupt, "it has " + std::to_string(text.size()) + " bytes, at most " +
                                          std::to_string(kMaxResult) + " are allowed");
  }
  auto parsed = json::parseObject(text, "it");
  if (!parsed.has_value()) {
    parsed.error().code = ErrorCode::kCorrupt;
    return std::move(parsed).error();
  }
  NetworkResult result;
  RAILHEAD_TRY(
      readList(*parsed, "interfaces", [&](const json::Value& entry, const std::string& at) {
        return readInterface(entry, at, result);
      }));
  RAILHEAD_TRY(readList(*parsed, "ips", [&](const json::Value& entry, const std::string& at) {
    return readAddress(entry, at, result);
  }));
  RAILHEAD_TRY(readList(*parsed, "routes", [&](const json::Value& entry, const std::string& at) {
    return readRoute(entry, at, result);
  }));
  RAILHEAD_TRY(readDns(*parsed, result.dns));
  return result;
}

}  // namespace

Result<NetworkResult> parseResult(std::string_view text, std::string_view what) {
  return readResult(text).addContext(what);
}

Result<std::string> resultIn(std::string_view version, std::string_view text,
                             std::string_view what) {
  RAILHEAD_TRY_ASSIGN(const NetworkResult parsed, parseResult(text, what));
  const auto object = json::parseObject(text, what);
  const json::Value* said = object.has_value() ? json::member(*object, "cniVersion") : nullptr;
  return said != nullptr && *said == version ? std::string(text) : encodeResult(parsed, version);
}

std::string encodeResult(const NetworkResult& result, std::string_view version) {
  json::Value out;
  out["cniVersion"] = version;
  add(out, result, version);
  return json::dump(out);
}

Result<std::string> mergeResults(std::string_view prevResult,
                                 const std::vector<NetworkResult>& added,
                                 std::string_view version) {
  RAILHEAD_TRY_ASSIGN(json::Value result, parsePrevious(prevResult));
  result["cniVersion"] = version;
  add(result, {}, version);
  for (const NetworkResult& one : added) add(result, one, version);
  return json::dump(result);
}

Result<std::vector<std::string>> interfaceNames(std::string_view prevResult) {
  RAILHEAD_TRY_ASSIGN(const json::Value previous, parsePrevious(prevResult));
  std::vector<std::string> names;
  const json::Value* interfaces = json::member(previous, "interfaces");
  if (interfaces == nullptr) return names;
  for (const json::Value& interface : *interfaces) {
    // Interfaces outside the pod (a bridge, a veth's peer) have no sandbox and do not matter.
    RAILHEAD_TRY_ASSIGN(const std::string sandbox, json::textMember(interface, "sandbox", 4096));
    RAILHEAD_TRY_ASSIGN(std::string name, json::textMember(interface, "name", 253));
    if (!sandbox.empty()) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace railhead::attach
