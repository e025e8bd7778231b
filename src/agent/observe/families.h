// Inside src/agent/observe only: the families of /metrics that are read from the agent's state at
// the moment of the scrape. Pure.
#pragma once

#include "src/agent/delivery/delivery.h"
#include "src/agent/gpu_offers.h"
#include "src/agent/offers.h"
#include "src/attach/journal.h"
#include "src/discover/counters.h"
#include "src/discover/node.h"
#include "src/discover/twins.h"
#include "src/discover/vf_traffic.h"
#include "src/metrics/exposition.h"

#include <vector>

namespace railhead::agent {

void writeBuild(metrics::Exposition& out);
void writeOffers(metrics::Exposition& out, const std::vector<OfferStatus>& offers,
                 const std::vector<GpuResourceStatus>& gpus, const discover::RailSets& rails);
void writeProfile(metrics::Exposition& out, const ProfileStatus& profile);
void writeAttachments(metrics::Exposition& out, const std::vector<attach::Attachment>& attachments);
void writePfs(metrics::Exposition& out, const discover::Node& node);
// Of VFs wherever they are, by their PFs.
void writeVfTraffic(metrics::Exposition& out, const discover::VfTrafficReport& report);
void writeCounters(metrics::Exposition& out, const discover::CountersReport& report);
// Whether anything was left out for want of time.
void writeCut(metrics::Exposition& out, bool cut);

}  // namespace railhead::agent
