#include "src/agent/gpu_offers.h"

#include "src/agent/plugin_server.h"
#include "src/agent/status.h"
#include "src/gpu/labels.h"
#include "src/os/living_socket.h"

#include <algorithm>
#include <utility>

#include <poll.h>

namespace railhead::agent {
namespace {

// Sockets of NVIDIA's device plugin: nvidia-gpu.sock, nvidia-mig-1g.10gb.sock. Plugins of other
// things put a resource's domain in front: nvidia.com_cx7_qsfp.sock.
constexpr const char* kForeignPrefix = "nvidia-";
// It puts its socket up again after kubelet restarted: a shorter absence means nothing.
constexpr std::chrono::seconds kForeignGone{30};

}  // namespace

const char* gpuOfferingName(GpuOffering offering) {
  switch (offering) {
    case GpuOffering::kOff:
      return "off";
    case GpuOffering::kWaiting:
      return "waiting";
    case GpuOffering::kOffered:
      return "offered";
    case GpuOffering::kStandingBack:
      break;
  }
  return "standing-back";
}

GpuOffers::GpuOffers(os::HostPaths paths, GpuSeams seams, gpu::GpuWatchOptions options)
    : paths_(std::move(paths)), seams_(seams), options_(std::move(options)) {}

void GpuOffers::configure(bool on, GpusConfig config) {
  const std::lock_guard lifecycle(lifecycle_);
  bool goesOn = false;
  {
    const std::lock_guard lock(mutex_);
    if (on == on_ && config == config_) return;
    goesOn = on && on_ && watcher_ && config.resource.name == config_.resource.name &&
             config.ignoreXids == config_.ignoreXids;
    if (!config_.labelsFile.empty() && config_.labelsFile != config.labelsFile)
      logOnce("labels", seams_.files.remove(config_.labelsFile));
    on_ = on;
    config_ = std::move(config);
    if (goesOn && offering_ == GpuOffering::kOffered) publish();
  }
  if (!started_ || goesOn) return;
  halt(Leaving::kHangUp);
  run();
}

void GpuOffers::start() {
  const std::lock_guard lifecycle(lifecycle_);
  if (std::exchange(started_, true)) return;
  run();
}

void GpuOffers::awaitDriver(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  answeredChanged_.wait_for(lock, patience, [this] { return answered_; });
}

void GpuOffers::serve() {
  const std::lock_guard lock(mutex_);
  serving_ = true;
  for (const auto& offer : offers_) tell(*offer);
}

void GpuOffers::stop() {
  const std::lock_guard lifecycle(lifecycle_);
  if (std::exchange(started_, false)) {
    halt(Leaving::kHangUp);
    if (!retired_.empty()) {
      seams_.log.warning("gpu",
                         "kubelet takes the end of this agent for the end of the other device "
                         "plugin for GPUs: restart that one");
    }
  }
  retired_.clear();
}

std::vector<KeptConnection> GpuOffers::retire() {
  const std::lock_guard lifecycle(lifecycle_);
  started_ = false;
  halt(Leaving::kRetire);
  std::vector<KeptConnection> kept;
  for (auto& [offer, connections] : retired_) {
    for (auto& connection : connections)
      kept.push_back({offer->resource.name(), std::move(connection)});
    connections.clear();
  }
  return kept;
}

void GpuOffers::awaitWatched(os::Deadline deadline) const {
  std::vector<std::shared_ptr<Offer>> offers;
  {
    const std::lock_guard lock(mutex_);
    offers = offers_;
  }
  for (const auto& offer : offers)
    static_cast<void>(offer->server->waitFor(kube::isWatched, deadline));
}

void GpuOffers::registerAgain() {
  const std::lock_guard lock(mutex_);
  for (const auto& offer : offers_) offer->server->registerAgain();
}

// Whether the first offer since the boot is still to wait for the other plugin.
bool GpuOffers::waitsForOthers() {
  const auto now = seams_.clock.now();
  if (!quietSince_) quietSince_ = now;
  return now - *quietSince_ < config_.quiet && !seams_.files.exists(claim());
}

void GpuOffers::dropRetired() {
  std::erase_if(retired_, [](Retired& retired) {
    std::erase_if(retired.connections, [](const os::UniqueFd& connection) {
      pollfd state{connection.get(), 0, 0};
      return ::poll(&state, 1, 0) > 0;  // kubelet closed it
    });
    return retired.connections.empty();
  });
}

void GpuOffers::run() {
  if (const std::string foreign = os::findLivingSocket(paths_.kubeletPlugins, kForeignPrefix);
      on_ && !foreign.empty()) {
    standBack(foreign);
    return;
  }
  if (on_ && waitsForOthers()) {
    const std::lock_guard lock(mutex_);
    offering_ = GpuOffering::kWaiting;
    detail_ = "another device plugin for GPUs may come: waiting " +
              std::to_string(config_.quiet.count()) + " s for it";
    answered_ = true;
    answeredChanged_.notify_all();
    return;
  }
  gpu::GpuWatchOptions options = options_;
  {
    const std::lock_guard lock(mutex_);
    offering_ = on_ ? GpuOffering::kWaiting : GpuOffering::kOff;
    detail_ = on_ ? "the driver has not answered yet" : "functions.gpus is false";
    if (!on_) {
      answered_ = true;
      withdrawFiles();
      return;
    }
    options.policy.applicationXids.insert(config_.ignoreXids.begin(), config_.ignoreXids.end());
  }
  gpu::GpuWatchCallbacks callbacks;
  callbacks.onDevicesChanged = [this] { onDevicesChanged(); };
  callbacks.onHealth = [this](const gpu::HealthChange& change) { onHealth(change); };
  callbacks.onProblem = [this](const std::string& line) { onProblem(line); };
  callbacks.onEvent = [this](const gpu::GpuEvent& event) {
    if (event.kind == gpu::GpuEventKind::kXid)
      seams_.log.info("gpu", event.gpu + ": Xid " + std::to_string(event.xid));
  };
  watcher_ = std::make_unique<gpu::GpuWatcher>(seams_.library, seams_.clock, std::move(options),
                                               std::move(callbacks));
  watcher_->start();
}

void GpuOffers::halt(Leaving leaving) {
  watcher_.reset();  // joins: nothing is called from here on
  seams_.library.release();
  std::vector<std::shared_ptr<Offer>> offers;
  {
    const std::lock_guard lock(mutex_);
    offers.swap(offers_);
    inventory_ = {};
    offer_ = {};
    reasons_.clear();
    answered_ = false;
  }
  for (auto& offer : offers) {
    if (leaving == Leaving::kHangUp) {
      offer->server->stop();
    } else if (auto connections = offer->server->retire(); !connections.empty()) {
      retired_.push_back({std::move(offer), std::move(connections)});
    }
  }
}

void GpuOffers::standBack(const std::string& socket) {
  foreignSeen_ = seams_.clock.now();
  logOnce("state", seams_.files.remove(claim()));
  const std::lock_guard lock(mutex_);
  answered_ = true;
  offering_ = GpuOffering::kStandingBack;
  detail_ = "another device plugin for GPUs serves on " + paths_.kubeletPlugins + "/" + socket;
  seams_.log.info("gpu", "standing back: " + detail_);
  withdrawFiles();
}

// Labels would promise what is not offered, and a specification of ours would hide NVIDIA's.
void GpuOffers::withdrawFiles() {
  logOnce("cdi", seams_.cdi.put(gpuCdiFile(), ""));
  if (!config_.labelsFile.empty() && seams_.files.exists(config_.labelsFile))
    logOnce("labels", seams_.files.remove(config_.labelsFile));
}

bool GpuOffers::look() {
  const std::lock_guard lifecycle(lifecycle_);
  dropRetired();
  if (!started_ || !on_) return false;
  const std::string foreign = os::findLivingSocket(paths_.kubeletPlugins, kForeignPrefix);
  if (!foreign.empty()) {
    foreignSeen_ = seams_.clock.now();
    if (!watcher_ && offering() == GpuOffering::kStandingBack) return false;
    halt(Leaving::kRetire);
    standBack(foreign);
  } else if (!watcher_) {
    if (foreignSeen_ && seams_.clock.now() - *foreignSeen_ < kForeignGone) return false;
    if (waitsForOthers()) return true;
    seams_.log.info("gpu", "no other device plugin for GPUs serves: offering them");
    run();
  } else {
    const std::lock_guard lock(mutex_);
    // Another program's specification decides what can be handed out, too.
    if (offering_ == GpuOffering::kOffered) publish();
  }
  return false;
}

void GpuOffers::onDevicesChanged() {
  auto inventory = seams_.library.inventory();
  const std::lock_guard lock(mutex_);
  if (!inventory.has_value()) {
    logOnce("inventory", std::move(inventory).error());
    return;
  }
  logOnce("inventory", {});
  for (const auto& line : inventory->problems) seams_.log.warning("gpu", line);
  takeIn(std::move(*inventory));
  answered_ = true;
  answeredChanged_.notify_all();
}

void GpuOffers::onHealth(const gpu::HealthChange& change) {
  const std::lock_guard lock(mutex_);
  if (change.reason.empty()) {
    reasons_.erase(change.uuid);
    seams_.log.info("gpu", change.uuid + ": healthy again");
  } else {
    reasons_[change.uuid] = change.reason;
    seams_.log.error("gpu", change.uuid + ": unhealthy: " + change.reason);
  }
  for (const auto& offer : offers_) {
    offer->resource.setUnhealthy(reasons_);
    tell(*offer);
  }
}

void GpuOffers::onProblem(const std::string& line) {
  const std::lock_guard lock(mutex_);
  seams_.log.info("gpu", line);
  if (offering_ == GpuOffering::kWaiting) detail_ = line;
  answered_ = true;
  answeredChanged_.notify_all();
}

void GpuOffers::takeIn(gpu::GpuInventory inventory) {
  // A GPU that the driver has no longer stays known, unhealthy for the watcher's reason, after
  // those that are there.
  for (auto& known : inventory_.gpus) {
    const bool there = std::any_of(inventory.gpus.begin(), inventory.gpus.end(),
                                   [&](const auto& gpu) { return gpu.uuid == known.uuid; });
    if (!there) inventory.gpus.push_back(std::move(known));
  }
  if (!inventory.absence.empty()) inventory.driver = std::move(inventory_.driver);
  inventory_ = std::move(inventory);
  if (inventory_.gpus.empty()) {
    offering_ = GpuOffering::kWaiting;
    detail_ = inventory_.absence.empty() ? "the driver has no GPU" : inventory_.absence;
    return;
  }
  offering_ = GpuOffering::kOffered;
  publish();
}

void GpuOffers::publish() {
  offer_ = advertise::takeGpuInventory(inventory_, config_.resource, seams_.files, paths_);
  if (config_.resource.strategy == advertise::GpuListStrategy::kCdi)
    advertise::withholdUnspecified(offer_, seams_.cdi.foreignNames(advertise::kGpuCdiKind));
  std::string problems;
  for (const auto& line : offer_.problems) problems += (problems.empty() ? "" : "; ") + line;
  if (!problems.empty() && problems != detail_) seams_.log.warning("gpu", problems);
  detail_ = problems;
  writeCdi();  // before kubelet hears of what it specifies
  writeLabels();
  for (const auto& pool : offer_.pools) static_cast<void>(offerOf(pool.resource));
  for (const auto& offer : offers_) {
    const auto pool = std::find_if(offer_.pools.begin(), offer_.pools.end(), [&](const auto& each) {
      return each.resource == offer->resource.name();
    });
    // A MIG profile that nothing has any longer: kubelet is told that there are none.
    offer->resource.update(
        config_.resource,
        pool != offer_.pools.end() ? *pool : advertise::GpuPool{offer->resource.name(), {}},
        offer_.shared, offer_.affinity);
    offer->resource.setUnhealthy(reasons_);
    tell(*offer);
  }
}

GpuOffers::Offer* GpuOffers::offerOf(const std::string& resource) {
  for (const auto& offer : offers_) {
    if (offer->resource.name() == resource) return offer.get();
  }
  auto offer = std::make_shared<Offer>(resource, paths_.dev, seams_.trail);
  auto server = makePluginServer(paths_, seams_.log, resource, offer->resource, seams_.threads);
  logOnce(resource, server.has_value() ? Result<void>() : Result<void>(server.error()));
  if (!server.has_value()) return nullptr;
  offer->server = std::move(*server);
  return offers_.emplace_back(std::move(offer)).get();
}

void GpuOffers::tell(Offer& offer) {
  const std::string& name = offer.resource.name();
  auto devices = offer.resource.devices();
  if (devices != offer.told) {
    const auto told = offer.server->setDevices(devices);
    logOnce(name, told);
    if (told.has_value()) offer.told = std::move(devices);
  }
  if (!serving_ || offer.serving) return;
  const auto started = offer.server->start();
  logOnce(name, started);
  offer.serving = started.has_value();
  // An agent that starts now need not wait: whoever else there is has seen us.
  if (offer.serving) logOnce("state", seams_.files.replaceFile(claim(), "", 0600));
}

void GpuOffers::writeCdi() {
  if (config_.resource.strategy != advertise::GpuListStrategy::kCdi) {
    logOnce("cdi", seams_.cdi.put(gpuCdiFile(), ""));
    return;
  }
  const auto taken = seams_.cdi.foreignNames(advertise::kGpuCdiKind);
  logOnce("cdi", seams_.cdi.put(gpuCdiFile(),
                                advertise::encodeCdiSpec(advertise::gpuCdiSpec(offer_, taken))));
}

void GpuOffers::writeLabels() {
  const std::string& path = config_.labelsFile;
  if (path.empty()) return;
  const std::string text = labelsText(knownLabels());
  if (seams_.files.readFile(path).value_or("") == text) return;
  const auto write = [&]() -> Result<void> {
    RAILHEAD_TRY(
        seams_.files.makeDirectories(path.substr(0, std::max<std::size_t>(1, path.rfind('/')))));
    return seams_.files.replaceFile(path, text);
  };
  logOnce("labels", write().addContext("labels"));
}

std::map<std::string, std::string> GpuOffers::knownLabels() const {
  return gpu::gpuLabels(inventory_, {config_.resource.replicas, config_.resource.mig});
}

std::map<std::string, std::string> GpuOffers::labels() const {
  const std::lock_guard lock(mutex_);
  if (offering_ != GpuOffering::kOffered) return {};
  return knownLabels();
}

// An error that lasts is told once.
void GpuOffers::logOnce(const std::string& key, const Result<void>& done) {
  const std::string text = done.has_value() ? "" : done.error().describe();
  if (!text.empty() && failures_[key] != text) seams_.log.error("gpu", text);
  failures_[key] = text;
}

GpuStatus GpuOffers::status() const {
  const std::lock_guard lock(mutex_);
  GpuStatus status{offering_, detail_, inventory_.driver, {}};
  for (const auto& offer : offers_) {
    GpuResourceStatus resource{
        offer->resource.name(), offer->server->state(), offer->resource.replicas(), {}};
    for (auto& unit : offer->resource.units()) {
      std::string reason = offer->resource.reasonOf(unit);
      resource.devices.push_back({std::move(unit), std::move(reason)});
    }
    status.resources.push_back(std::move(resource));
  }
  return status;
}

}  // namespace railhead::agent
