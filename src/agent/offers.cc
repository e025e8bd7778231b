#include "src/agent/offers.h"

#include "src/agent/plugin_server.h"
#include "src/base/text.h"

#include <algorithm>
#include <map>
#include <utility>

namespace railhead::agent {
namespace {

// "nvidia.com/cx7_qsfp" -> "railhead-nvidia.com_cx7_qsfp.json". A domain has no '_', so no two
// resources share a file, and none has that of the GPUs.
constexpr const char* kCdiPrefix = "railhead-";
std::string cdiFile(std::string resource) {
  resource.replace(resource.find('/'), 1, "_");
  return kCdiPrefix + resource + ".json";
}

}  // namespace

Result<std::shared_ptr<Offers::Offer>> Offers::makeOffer(
    const advertise::RailResourceConfig& config) {
  auto offer = std::make_shared<Offer>(config, paths_.dev, seams_);
  RAILHEAD_TRY_ASSIGN(offer->server, makePluginServer(paths_, seams_.log, config.name,
                                                      offer->resource, &seams_.threads));
  return offer;
}

Result<void> Offers::configure(const std::vector<advertise::RailResourceConfig>& resources) {
  std::vector<std::shared_ptr<Offer>> before;
  {
    const std::lock_guard lock(mutex_);
    before = offers_;
  }
  std::vector<std::shared_ptr<Offer>> after;
  std::vector<std::shared_ptr<Offer>> made;
  for (const auto& config : resources) {
    const auto kept = std::find_if(before.begin(), before.end(), [&](const auto& offer) {
      return offer->resource.config().name == config.name;
    });
    if (kept != before.end()) {
      after.push_back(*kept);
    } else {
      RAILHEAD_TRY_ASSIGN(made.emplace_back(), makeOffer(config));
      after.push_back(made.back());
    }
  }
  const std::lock_guard configuring(configuring_);
  bool started = false;
  {
    const std::lock_guard lock(mutex_);
    started = started_;
  }
  for (std::size_t i = 0; started && i < made.size(); ++i) {
    auto begun = startOne(*made[i]);
    if (!begun.has_value()) return begun;  // those that serve already stop with their object
  }
  std::vector<std::shared_ptr<Offer>> gone;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < after.size(); ++i) after[i]->resource.configure(resources[i]);
    for (const auto& offer : offers_) {
      if (std::find(after.begin(), after.end(), offer) == after.end()) gone.push_back(offer);
    }
    offers_ = after;
  }
  for (const auto& offer : gone) offer->server->stop();
  return {};
}

Result<void> Offers::start() {
  const std::lock_guard configuring(configuring_);
  std::vector<std::shared_ptr<Offer>> offers;
  {
    const std::lock_guard lock(mutex_);
    offers = offers_;
    started_ = true;
    describe();
  }
  for (const auto& offer : offers) RAILHEAD_TRY(startOne(*offer));
  return {};
}

void Offers::stop() {
  const std::lock_guard configuring(configuring_);
  std::vector<std::shared_ptr<Offer>> offers;
  {
    const std::lock_guard lock(mutex_);
    offers = offers_;
    started_ = false;
  }
  for (const auto& offer : offers) offer->server->stop();
}

std::vector<KeptConnection> Offers::retire() {
  const std::lock_guard configuring(configuring_);
  std::vector<KeptConnection> kept;
  for (const auto& offer : offers()) {
    for (auto& connection : offer->server->retire())
      kept.push_back({offer->resource.config().name, std::move(connection)});
  }
  return kept;
}

void Offers::awaitWatched(os::Deadline deadline) const {
  for (const auto& offer : offers()) {
    static_cast<void>(offer->server->waitFor(kube::isWatched, deadline));
  }
}

void Offers::registerAgain() {
  for (const auto& offer : offers()) offer->server->registerAgain();
}

Result<void> Offers::startOne(Offer& offer) {
  if (offer.serving) return {};
  RAILHEAD_TRY(offer.server->start());
  offer.serving = true;
  return {};
}

Result<void> Offers::writeCdi(Offer& offer) {
  if (!std::exchange(offer.remembers, true)) {
    const auto& kind = offer.resource.config().name;
    offer.resource.remember(seams_.cdi.ourNodes(cdiFile(kind), kind));
  }
  auto spec = offer.resource.cdiSpec();
  auto written = seams_.cdi.put(cdiFile(spec.kind), advertise::encodeCdiSpec(spec));
  if (written.has_value()) {
    offer.specified = std::move(spec);
  } else {
    offer.resource.withholdUnspecified(
        offer.specified, "its CDI specification cannot be written: " + written.error().message);
  }
  return written;
}

// Devices of one reason in one line: a PF that is down takes all its rail sets along.
void Offers::tellHealth(Offer& offer, const advertise::Inventory& before) {
  const auto now = offer.resource.inventory();
  const std::string& name = offer.resource.config().name;
  std::map<std::string, std::vector<std::string>> changed;  // by the new reason
  std::vector<std::string> gone;
  for (const auto& set : now.sets) {
    const auto* last = before.find(set.id);
    if (set.unhealthy != (last != nullptr ? last->unhealthy : std::string()))
      changed[set.unhealthy].push_back(set.id);
  }
  for (const auto& set : before.sets) {
    if (now.find(set.id) == nullptr) gone.push_back(set.id);
  }
  for (const auto& [reason, ids] : changed) {
    if (reason.empty()) {
      seams_.log.info("advertise", name + ": healthy again: " + join(ids, ", "));
    } else {
      seams_.log.error("advertise", name + ": unhealthy: " + reason + ": " + join(ids, ", "));
    }
  }
  if (!gone.empty())
    seams_.log.warning("advertise", name + ": no longer there: " + join(gone, ", "));
  std::set<std::string> withheld;
  for (const auto& set : now.withheld) withheld.insert(set.reason);
  for (const auto& reason : withheld) {
    if (!offer.withheld.contains(reason)) seams_.log.warning("advertise", "withheld: " + reason);
  }
  offer.withheld = std::move(withheld);
}

void Offers::forget() {
  const std::lock_guard lock(mutex_);
  files_.removeAll();
}

void Offers::describe() {
  if (!started_) return;
  std::map<std::string, DescribedDevices> resources;
  for (const auto& offer : offers_) {
    DescribedDevices& devices = resources[offer->resource.config().name];
    for (const auto& set : offer->resource.inventory().sets) {
      if (set.rails.empty()) continue;
      const auto& first = set.rails.front();
      const std::string rdma = first.rdma.empty() ? "" : first.rdma.front().name;
      devices[set.id] = {first.rail.vf, first.rail.pf, rdma};
    }
  }
  files_.keep(resources);
}

Result<void> Offers::update(const advertise::RailPicture& picture) {
  const std::lock_guard lock(mutex_);
  std::set<PciAddress> taken;
  std::set<std::string> files{gpuCdiFile()};
  Result<void> outcome;  // the first failure: the other devices are told of all the same
  const auto note = [&](Result<void> done) {
    if (!done.has_value() && outcome.has_value()) outcome = std::move(done);
  };
  for (const auto& offer : offers_) {
    const auto config = offer->resource.config();
    const auto before = offer->resource.inventory();
    offer->resource.update(advertise::takeInventory(picture, config, taken));
    files.insert(cdiFile(config.name));
    note(writeCdi(*offer));
    tellHealth(*offer, before);
    auto devices = offer->resource.devices();
    if (devices == offer->told) continue;
    auto told = offer->server->setDevices(devices);
    if (told.has_value()) offer->told = std::move(devices);
    note(std::move(told));
  }
  note(seams_.cdi.removeOthers(kCdiPrefix, files));
  describe();
  return outcome;
}

std::vector<OfferStatus> Offers::statuses() const {
  const std::lock_guard lock(mutex_);
  std::vector<OfferStatus> statuses;
  for (const auto& offer : offers_) {
    statuses.push_back(
        {offer->resource.config().name, offer->server->state(), offer->resource.inventory()});
  }
  return statuses;
}

}  // namespace railhead::agent
