#include "src/agent/status.h"

#include "src/discover/node_text.h"

#include <nlohmann/json.hpp>

namespace railhead::agent {
namespace {

using Json = nlohmann::ordered_json;

Json offerJson(const OfferStatus& offer) {
  Json out;
  out["name"] = offer.resource;
  out["state"] = kube::pluginPhaseName(offer.state.phase);
  if (!offer.state.detail.empty()) out["detail"] = offer.state.detail;
  out["devices"] = Json::array();
  for (const auto& set : offer.inventory.sets) {
    Json device{{"id", set.id}, {"index", set.index}, {"healthy", set.unhealthy.empty()}};
    if (!set.unhealthy.empty()) device["reason"] = set.unhealthy;
    device["rails"] = Json::array();
    for (const auto& rail : set.rails) {
      device["rails"].push_back(
          {{"pf", rail.pfNetdev}, {"vf", rail.rail.vf.toString()}, {"index", rail.rail.vfIndex}});
    }
    out["devices"].push_back(std::move(device));
  }
  return out;
}

Json attachmentJson(const attach::Attachment& attachment) {
  Json out{{"namespace", attachment.pod.podNamespace}, {"pod", attachment.pod.name}};
  out["attached"] = attachment.state == attach::AttachmentState::kAttached;
  out["rails"] = Json::array();
  for (const auto& rail : attachment.rails) {
    Json addresses = Json::array();
    for (const auto& address : rail.addresses) addresses.push_back(address.toString());
    out["rails"].push_back({{"name", rail.podName},
                            {"rail", rail.rail},
                            {"vf", rail.vf.toString()},
                            {"rail_set", rail.railSet},
                            {"addresses", addresses},
                            {"rdma", rail.rdmaDevice}});
  }
  return out;
}

}  // namespace

std::string encodeStatus(const NodeSnapshot& snapshot, const std::vector<OfferStatus>& offers,
                         const std::vector<attach::Attachment>& attachments) {
  Json out;
  out["schema"] = "railhead.agent-status/1";
  out["node"] = Json::parse(discover::toJson(snapshot.node, snapshot.cages), nullptr, false);
  out["resources"] = Json::array();
  for (const auto& offer : offers) out["resources"].push_back(offerJson(offer));
  out["withheld"] = Json::array();
  for (const auto& set : snapshot.rails.withheld)
    out["withheld"].push_back({{"index", set.index}, {"reason", set.reason}});
  out["attachments"] = Json::array();
  for (const auto& attachment : attachments)
    out["attachments"].push_back(attachmentJson(attachment));
  return out.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace railhead::agent
