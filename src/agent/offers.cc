#include "src/agent/offers.h"

#include "src/agent/plugin_server.h"

#include <algorithm>
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
  auto offer = std::make_shared<Offer>(config, paths_.dev, seams_.softRoce);
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
    auto begun = made[i]->server->start();
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
  for (const auto& offer : offers) RAILHEAD_TRY(offer->server->start());
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

Result<void> Offers::update(const discover::Node& node,
                            const std::vector<discover::RailSet>& sets) {
  const std::lock_guard lock(mutex_);
  std::set<PciAddress> taken;
  std::set<std::string> files{gpuCdiFile()};
  Result<void> outcome;  // the first failure: the other devices are told of all the same
  const auto note = [&](Result<void> done) {
    if (!done.has_value() && outcome.has_value()) outcome = std::move(done);
  };
  for (const auto& offer : offers_) {
    offer->resource.update(advertise::takeInventory(node, sets, offer->resource.config(), taken));
    if (!std::exchange(offer->remembers, true)) {
      const auto& kind = offer->resource.config().name;
      offer->resource.remember(seams_.cdi.ourNodes(cdiFile(kind), kind));
    }
    const auto spec = offer->resource.cdiSpec();
    files.insert(cdiFile(spec.kind));
    note(seams_.cdi.put(cdiFile(spec.kind), advertise::encodeCdiSpec(spec)));
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
