// The agent's state as JSON: `railhead-agent status` prints it, the lab's report is made from it.
#pragma once

#include "src/advertise/inventory.h"
#include "src/agent/node_view.h"
#include "src/attach/journal.h"
#include "src/kube/device_plugin_server.h"

#include <string>
#include <vector>

namespace railhead::agent {

struct OfferStatus {
  kube::PluginState state;
  advertise::Inventory inventory;
  std::string resource;
};

std::string encodeStatus(const NodeSnapshot& snapshot, const std::vector<OfferStatus>& offers,
                         const std::vector<attach::Attachment>& attachments);

}  // namespace railhead::agent
