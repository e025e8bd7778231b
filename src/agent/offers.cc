#include "src/agent/offers.h"

#include <algorithm>

namespace railhead::agent {
namespace {

// "nvidia.com/cx7_qsfp" -> "railhead-cx7_qsfp.sock": short, since kubelet's folder is long already.
std::string socketName(const std::string& resource) {
  return "railhead-" + resource.substr(resource.find('/') + 1) + ".sock";
}

}  // namespace

Result<std::shared_ptr<Offers::Offer>> Offers::makeOffer(
    const advertise::RailResourceConfig& config) {
  auto offer = std::make_shared<Offer>(config, paths_.dev);
  kube::DevicePluginOptions options;
  options.folder = paths_.kubeletPlugins;
  options.socket = socketName(config.name);
  options.resource = config.name;
  options.onState = [&log = log_, name = config.name](const kube::PluginState& state) {
    log.info("advertise", name + ": " + std::string(kube::pluginPhaseName(state.phase)) +
                              (state.detail.empty() ? "" : ": " + state.detail));
  };
  RAILHEAD_TRY_ASSIGN(offer->server, kube::DevicePluginServer::create(options, offer->resource));
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
  std::vector<std::shared_ptr<Offer>> gone;
  bool started = false;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < after.size(); ++i) after[i]->resource.configure(resources[i]);
    for (const auto& offer : offers_) {
      if (std::find(after.begin(), after.end(), offer) == after.end()) gone.push_back(offer);
    }
    offers_ = after;
    started = started_;
  }
  for (const auto& offer : gone) offer->server->stop();
  for (const auto& offer : made) {
    if (started) RAILHEAD_TRY(offer->server->start());
  }
  return {};
}

Result<void> Offers::start() {
  std::vector<std::shared_ptr<Offer>> offers;
  {
    const std::lock_guard lock(mutex_);
    offers = offers_;
    started_ = true;
  }
  for (const auto& offer : offers) RAILHEAD_TRY(offer->server->start());
  return {};
}

void Offers::stop() {
  std::vector<std::shared_ptr<Offer>> offers;
  {
    const std::lock_guard lock(mutex_);
    offers = offers_;
  }
  for (const auto& offer : offers) offer->server->stop();
}

Result<void> Offers::update(const discover::Node& node,
                            const std::vector<discover::RailSet>& sets) {
  const std::lock_guard lock(mutex_);
  std::set<PciAddress> taken;
  for (const auto& offer : offers_) {
    offer->resource.update(advertise::takeInventory(node, sets, offer->resource.config(), taken));
    auto devices = offer->resource.devices();
    if (devices == offer->told) continue;
    RAILHEAD_TRY(offer->server->setDevices(devices));
    offer->told = std::move(devices);
  }
  return {};
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
