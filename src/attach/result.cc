#include "src/attach/result.h"

#include "src/cni/json_input.h"
#include "src/cni/protocol.h"

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

constexpr std::size_t kMaxEntries = 1024;

Result<cni::Json> parsePrevious(std::string_view prevResult) {
  if (prevResult.empty()) return cni::Json(cni::Json::object());
  RAILHEAD_TRY_ASSIGN(cni::Json previous, cni::parseJsonObject(prevResult, "prevResult"));
  for (const char* key : {"interfaces", "ips"}) {
    const cni::Json* list = cni::member(previous, key);
    if (list == nullptr) continue;
    if (!list->is_array() || list->size() > kMaxEntries) {
      return Error(ErrorCode::kInvalidArgument,
                   std::string("prevResult.") + key + " is " + cni::shown(*list) +
                       ": expected a list of at most " + std::to_string(kMaxEntries) + " objects");
    }
  }
  return previous;
}

// The list under `key`, taken out: references into an object do not outlive its next new key.
cni::Json listIn(const cni::Json& object, const char* key) {
  const cni::Json* list = cni::member(object, key);
  return list != nullptr ? *list : cni::Json::array();
}

}  // namespace

Result<std::string> mergeResult(std::string_view prevResult,
                                const std::vector<ResultInterface>& added,
                                std::string_view version) {
  RAILHEAD_TRY_ASSIGN(cni::Json result, parsePrevious(prevResult));
  const bool hasMtuAndPci = version == "1.1.0";
  const bool hasIpVersion = version == "0.3.1" || version == "0.4.0";
  result["cniVersion"] = version;
  cni::Json interfaces = listIn(result, "interfaces");
  cni::Json ips = listIn(result, "ips");
  for (const ResultInterface& interface : added) {
    const std::size_t index = interfaces.size();
    cni::Json entry;
    entry["name"] = interface.name;
    entry["mac"] = interface.mac.toString();
    if (hasMtuAndPci) entry["mtu"] = interface.mtu;
    entry["sandbox"] = interface.sandbox;
    if (hasMtuAndPci) entry["pciID"] = interface.pci;
    interfaces.push_back(std::move(entry));
    for (const IpPrefix& address : interface.addresses) {
      cni::Json ip;
      if (hasIpVersion) ip["version"] = address.address.v6 ? "6" : "4";
      ip["interface"] = index;
      ip["address"] = address.toString();
      ips.push_back(std::move(ip));
    }
  }
  result["interfaces"] = std::move(interfaces);
  result["ips"] = std::move(ips);
  return cni::dumpJson(result);
}

Result<std::vector<std::string>> interfaceNames(std::string_view prevResult) {
  RAILHEAD_TRY_ASSIGN(const cni::Json previous, parsePrevious(prevResult));
  std::vector<std::string> names;
  const cni::Json* interfaces = cni::member(previous, "interfaces");
  if (interfaces == nullptr) return names;
  for (const cni::Json& interface : *interfaces) {
    // Interfaces outside the pod (a bridge, a veth's peer) have no sandbox and do not matter.
    RAILHEAD_TRY_ASSIGN(const std::string sandbox, cni::textMember(interface, "sandbox", 4096));
    RAILHEAD_TRY_ASSIGN(std::string name, cni::textMember(interface, "name", 253));
    if (!sandbox.empty()) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace railhead::attach
