// The agent's state as JSON: `railhead-agent status` prints it, the lab's report is made from it.
#pragma once

#include "src/agent/delivery/delivery.h"
#include "src/agent/gpu_offers.h"
#include "src/agent/node_view.h"
#include "src/agent/offers.h"
#include "src/agent/privileges.h"
#include "src/attach/journal.h"
#include "src/conflist/installer.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace railhead::agent {

std::string encodeStatus(const NodeSnapshot& snapshot, const std::vector<OfferStatus>& offers,
                         const GpuStatus& gpus, const std::vector<attach::Attachment>& attachments,
                         const std::optional<conflist::InstallOutcome>& conflist,
                         const ProfileStatus& profile, const Privileges& privileges);

// Node labels as a JSON object.
std::string labelsJson(const std::map<std::string, std::string>& labels);
// A line "name=value" for each, as Node Feature Discovery reads feature files.
std::string labelsText(const std::map<std::string, std::string>& labels);

}  // namespace railhead::agent
