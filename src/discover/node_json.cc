#include "src/discover/node_text.h"

#include <nlohmann/json.hpp>

namespace railhead::discover {
namespace {

using Json = nlohmann::ordered_json;

Json textOrNull(const std::string& text) { return text.empty() ? Json() : Json(text); }
Json macOrNull(const Mac& mac) { return mac.isZero() ? Json() : Json(mac.toString()); }

std::string hex16(std::uint16_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 12; shift >= 0; shift -= 4) text += kDigits[value >> shift & 15];
  return text;
}

Json rdmaJson(const std::vector<RdmaDevice>& devices) {
  Json list = Json::array();
  for (const RdmaDevice& device : devices) {
    list.push_back({{"name", device.name},
                    {"uverbs", textOrNull(device.uverbs)},
                    {"nodeGuid", device.nodeGuid ? Json(device.nodeGuid->toString()) : Json()},
                    {"portState", textOrNull(device.portState)}});
  }
  return list;
}

Json functionJson(const PciFunction& function) {
  return {{"pci", function.pci.toString()},
          {"vendor", hex16(function.vendor)},
          {"device", hex16(function.device)},
          {"driver", textOrNull(function.driver)},
          {"numaNode", function.numaNode < 0 ? Json() : Json(function.numaNode)},
          {"netdev", textOrNull(function.netdev)},
          {"rdma", rdmaJson(function.rdma)}};
}

Json pcieJson(const PcieLink& link) {
  return {{"width", link.width},
          {"maxWidth", link.maxWidth},
          {"gigatransfers", link.gigatransfers},
          {"maxGigatransfers", link.maxGigatransfers}};
}

Json vfJson(const Vf& vf) {
  Json json = {{"index", vf.index}};
  json.update(functionJson(vf));
  json["mac"] = macOrNull(vf.mac);
  json["mtu"] = vf.mtu == 0 ? Json() : Json(vf.mtu);
  return json;
}

Json pfJson(const Pf& pf) {
  Json json = {{"name", pf.netdev.empty() ? pf.pci.toString() : pf.netdev}};
  json.update(functionJson(pf));
  json["mac"] = macOrNull(pf.mac);
  json["mtu"] = pf.mtu == 0 ? Json() : Json(pf.mtu);
  json["up"] = pf.up;
  json["carrier"] = pf.carrier;
  json["speedGbps"] = pf.speed ? Json(pf.speed->gbps()) : Json();
  json["linkType"] = textOrNull(linkTypeName(pf.linkType));
  json["physPortName"] = textOrNull(pf.physPortName);
  json["physSwitchId"] = textOrNull(pf.physSwitchId);
  json["pcie"] = pcieJson(pf.pcie);
  json["totalVfs"] = pf.totalVfs;
  json["numVfs"] = pf.numVfs;
  json["vfs"] = Json::array();
  for (const Vf& vf : pf.vfs) json["vfs"].push_back(vfJson(vf));
  return json;
}

Json cagesJson(const Cages& cages) {
  Json list = Json::array();
  for (const Cage& cage : cages.cages) {
    Json pfs = Json::array();
    for (const PciAddress& pf : cage.pfs) pfs.push_back(pf.toString());
    list.push_back(std::move(pfs));
  }
  return list;
}

}  // namespace

std::string toJson(const Node& node, const Cages& cages) {
  Json json = {{"hostname", textOrNull(node.hostname)},
               {"kernel", textOrNull(node.kernel)},
               {"architecture", textOrNull(node.architecture)}};
  json["pfs"] = Json::array();
  for (const Pf& pf : node.pfs) json["pfs"].push_back(pfJson(pf));
  json["cages"] = cagesJson(cages);
  json["otherNics"] = Json::array();
  for (const PciFunction& nic : node.otherNics) json["otherNics"].push_back(functionJson(nic));
  json["gpus"] = Json::array();
  for (const Gpu& gpu : node.gpus) {
    json["gpus"].push_back({{"pci", gpu.pci.toString()},
                            {"device", hex16(gpu.device)},
                            {"numaNode", gpu.numaNode < 0 ? Json() : Json(gpu.numaNode)},
                            {"driver", textOrNull(gpu.driver)}});
  }
  json["notes"] = node.notes;
  for (const std::string& note : cages.notes) json["notes"].push_back(note);
  // Names come from outside: bytes that are not UTF-8 become U+FFFD.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace railhead::discover
