#include "src/agent/status.h"

#include "src/agent/cluster/timestamp.h"
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
  for (const auto& set : offer.inventory.withheld)
    out["withheld"].push_back({{"index", set.index}, {"reason", set.reason}});
  return out;
}

Json gpusJson(const GpuStatus& gpus) {
  Json out{{"state", gpuOfferingName(gpus.offering)}};
  if (!gpus.detail.empty()) out["detail"] = gpus.detail;
  if (!gpus.driver.version.empty()) {
    out["driver"] = gpus.driver.version;
    out["cuda"] =
        std::to_string(gpus.driver.cudaMajor) + "." + std::to_string(gpus.driver.cudaMinor);
  }
  out["resources"] = Json::array();
  for (const auto& resource : gpus.resources) {
    Json one{{"name", resource.resource}, {"state", kube::pluginPhaseName(resource.state.phase)}};
    if (!resource.state.detail.empty()) one["detail"] = resource.state.detail;
    one["replicas"] = resource.replicas;
    one["devices"] = Json::array();
    for (const auto& [unit, reason] : resource.devices) {
      Json device{{"id", unit.uuid}, {"gpu", unit.gpu}, {"index", unit.index}};
      if (!unit.profile.empty()) device["profile"] = unit.profile;
      if (unit.numaNode) device["numa"] = *unit.numaNode;
      device["healthy"] = reason.empty();
      if (!reason.empty()) device["reason"] = reason;
      one["devices"].push_back(std::move(device));
    }
    out["resources"].push_back(std::move(one));
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

Json profileJson(const ProfileStatus& profile) {
  Json out{{"state", profileStateName(profile.state)}};
  if (!profile.hash.empty()) out["hash"] = profile.hash;
  if (profile.since) out["since"] = microTime(*profile.since);
  if (!profile.previous.empty()) out["previous"] = profile.previous;
  if (!profile.detail.empty()) out["detail"] = profile.detail;
  return out;
}

Json privilegesJson(const Privileges& privileges) {
  const auto list = [](const std::vector<Privilege>& all) {
    Json out = Json::array();
    for (const auto& one : all) {
      out.push_back({{"capability", os::capabilityName(one.capability)}, {"why", one.why}});
    }
    return out;
  };
  return {{"restricted", privileges.restricted},
          {"kept", list(privileges.kept)},
          {"missing", list(privileges.missing)}};
}

}  // namespace

std::string encodeStatus(const NodeSnapshot& snapshot, const std::vector<OfferStatus>& offers,
                         const GpuStatus& gpus, const std::vector<attach::Attachment>& attachments,
                         const std::optional<conflist::InstallOutcome>& conflist,
                         const ProfileStatus& profile, const Privileges& privileges) {
  Json out;
  out["schema"] = "railhead.agent-status/1";
  out["node"] = Json::parse(discover::toJson(snapshot.node, snapshot.cages), nullptr, false);
  out["resources"] = Json::array();
  for (const auto& offer : offers) out["resources"].push_back(offerJson(offer));
  out["gpus"] = gpusJson(gpus);
  out["withheld"] = Json::array();
  for (const auto& set : snapshot.rails.withheld)
    out["withheld"].push_back({{"index", set.index}, {"reason", set.reason}});
  out["attachments"] = Json::array();
  for (const auto& attachment : attachments)
    out["attachments"].push_back(attachmentJson(attachment));
  if (conflist) {
    out["conflist"] = {{"state", conflist::standingName(conflist->standing)}};
    if (!conflist->primary.empty()) out["conflist"]["primary"] = conflist->primary;
    if (!conflist->note.empty()) out["conflist"]["detail"] = conflist->note;
  }
  if (profile.state != ProfileState::kOff) out["profile"] = profileJson(profile);
  out["privileges"] = privilegesJson(privileges);
  return out.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string labelsJson(const std::map<std::string, std::string>& labels) {
  return Json(labels).dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string labelsText(const std::map<std::string, std::string>& labels) {
  std::string text;
  for (const auto& [key, value] : labels) text += key + "=" + value + "\n";
  return text;
}

}  // namespace railhead::agent
