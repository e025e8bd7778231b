// The agent's state as JSON: `railhead-agent status` prints it, the lab's report is made from it.
#pragma once

#include "src/agent/node_view.h"
#include "src/agent/offers.h"
#include "src/attach/journal.h"

#include <string>
#include <vector>

namespace railhead::agent {

std::string encodeStatus(const NodeSnapshot& snapshot, const std::vector<OfferStatus>& offers,
                         const std::vector<attach::Attachment>& attachments);

}  // namespace railhead::agent
