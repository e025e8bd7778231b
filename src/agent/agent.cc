#include "src/agent/agent.h"

#include "src/advertise/inventory.h"
#include "src/advertise/rail_resource.h"
#include "src/agent/node_view.h"
#include "src/agent/status.h"
#include "src/agent/status_server.h"
#include "src/attach/attacher.h"
#include "src/attach/networks.h"
#include "src/attach/server.h"
#include "src/attach/sweeper.h"
#include "src/base/text.h"
#include "src/discover/discover.h"
#include "src/kube/device_plugin_server.h"
#include "src/provision/provision.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace railhead::agent {
namespace {

// A resource and the server that offers it.
struct Offer {
  advertise::RailResource resource;
  std::unique_ptr<kube::DevicePluginServer> server;
  std::vector<kube::Device> told;  // what kubelet knows

  Offer(const std::string& name, const std::string& dev) : resource(name, dev) {}
};

// "nvidia.com/cx7_qsfp" -> "railhead-cx7_qsfp.sock": short, since kubelet's folder is long already.
std::string socketName(const std::string& resource) {
  return "railhead-" + resource.substr(resource.find('/') + 1) + ".sock";
}

// The most VFs that a PF is meant to have: so many rail sets a cage can give.
int setsPerCage(const provision::Goal& goal) {
  int most = 0;
  for (const auto& pf : goal.pfs) most = std::max(most, pf.vfs);
  return most;
}

class NodeAgent final : public Agent {
 public:
  NodeAgent(AgentConfig config, os::HostPaths paths, AgentSeams seams)
      : config_(std::move(config)),
        paths_(std::move(paths)),
        seams_(seams),
        networks_(config_.attach.networks),
        kubelet_(paths_.podResources + "/kubelet.sock"),
        holders_(kubelet_, resourceNames(config_)) {}
  ~NodeAgent() override { stop(); }

  Result<void> openParts() {
    attach::AttachConfig attach = config_.attach;
    attach.paths = paths_;
    RAILHEAD_TRY_ASSIGN(attacher_,
                        attach::Attacher::open(attach, {seams_.files, seams_.netns, seams_.netlink,
                                                        seams_.clock, networks_, kubelet_, view_}));
    holders_.setAttacher(attacher_.get());
    for (const auto& resource : config_.resources) {
      auto offer = std::make_unique<Offer>(resource.name, paths_.dev);
      kube::DevicePluginOptions options;
      options.folder = paths_.kubeletPlugins;
      options.socket = socketName(resource.name);
      options.resource = resource.name;
      options.onState = [this, name = resource.name](const kube::PluginState& state) {
        seams_.log.info("advertise", name + ": " + std::string(kube::pluginPhaseName(state.phase)) +
                                         (state.detail.empty() ? "" : ": " + state.detail));
      };
      RAILHEAD_TRY_ASSIGN(offer->server,
                          kube::DevicePluginServer::create(options, offer->resource));
      offers_.push_back(std::move(offer));
    }
    return {};
  }

  Result<void> start() override {
    auto started = startInOrder();
    if (!started.has_value()) stop();
    return started;
  }

  void stop() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (keeper_.joinable()) keeper_.join();
    status_.reset();
    sweeper_.reset();
    if (cni_) cni_->stop();
    cni_.reset();
    for (auto& offer : offers_) offer->server->stop();
  }

  std::string statusJson() override {
    std::vector<OfferStatus> offers;
    for (const auto& offer : offers_) {
      offers.push_back({offer->server->state(), offer->resource.inventory()});
    }
    for (std::size_t i = 0; i < offers.size(); ++i) offers[i].resource = config_.resources[i].name;
    return encodeStatus(*view_.current(), offers, attacher_->attachments());
  }

 private:
  static std::vector<std::string> resourceNames(const AgentConfig& config) {
    std::vector<std::string> names;
    for (const auto& resource : config.resources) names.push_back(resource.name);
    return names;
  }

  // What is wrong with one PF, or with the goal, is logged and tried again: pods that run here need
  // the agent for their DEL, whatever else is missing.
  Result<void> startInOrder() {
    tellLook(look());
    logSweep(
        attacher_->recover());  // a half-done ADD of a killed agent must not look like a free VF
    provisionNode();
    tellLook(look());
    if (config_.functions.rails) {
      for (auto& offer : offers_) RAILHEAD_TRY(offer->server->start());
    }
    if (config_.functions.cni) {
      attach::CniServerConfig server;
      server.socketPath = paths_.state + "/cni.sock";
      RAILHEAD_TRY_ASSIGN(
          cni_, attach::CniServer::start(server, attach::makeCniHandler(*attacher_, requestLog())));
      sweeper_ = std::make_unique<attach::Sweeper>(
          *attacher_, kSweepInterval,
          [this](const attach::SweepReport& report) { logSweep(report); });
    }
    RAILHEAD_TRY_ASSIGN(status_,
                        StatusServer::start(statusSocket(paths_), [this] { return statusJson(); }));
    keeper_ = std::thread([this] { keep(); });
    return {};
  }

  attach::RequestLog requestLog() {
    return [this](bool failed, const std::string& line) {
      seams_.log.write(failed ? os::LogLevel::kError : os::LogLevel::kInfo, "attach", line);
    };
  }

  // Brings the VFs to the goal; what failed is due again after a pause that grows.
  void provisionNode() {
    if (!config_.functions.provision || config_.goal.pfs.empty()) return;
    provision::Provisioner provisioner(
        {seams_.files, paths_, seams_.netlink, seams_.clock, holders_});
    const auto report = provisioner.apply(config_.goal);
    std::string failed;
    if (!report.has_value()) {
      failed = report.error().describe();
    } else {
      for (const auto& line : report->changes) seams_.log.info("provision", line);
      for (const auto& failure : report->failures) failed += failure.error.describe() + "\n";
      if (failed.empty() || failed != provisionFailure_) {
        for (const auto& line : report->untouched) seams_.log.warning("provision", line);
        for (const auto& line : report->warnings) seams_.log.warning("provision", line);
        seams_.log.info("provision", std::to_string(report->changes.size()) + " changes, " +
                                         std::to_string(report->failures.size()) + " PFs failed");
      }
    }
    if (!failed.empty() && failed != provisionFailure_) seams_.log.error("provision", failed);
    provisionFailure_ = failed;
    retryPause_ = failed.empty() ? std::chrono::seconds(0)
                                 : std::clamp(retryPause_ * 2, kFirstRetry, kLastRetry);
    retryAt_ = seams_.clock.now() + retryPause_;
  }

  // Reads the node anew and tells kubelet when something is different.
  Result<void> look() {
    NodeSnapshot snapshot;
    RAILHEAD_TRY_ASSIGN(snapshot.node, discover::discoverNode(seams_.files, paths_));
    RAILHEAD_TRY_ASSIGN(snapshot.cages, discover::pairTwins(snapshot.node, config_.twins));
    snapshot.rails = discover::railSets(snapshot.node, snapshot.cages, setsPerCage(config_.goal));
    const auto inventory = advertise::takeInventory(snapshot.node, snapshot.rails.offered);
    view_.replace(std::move(snapshot));
    for (auto& offer : offers_) {
      offer->resource.update(inventory);
      auto devices = offer->resource.devices();
      if (devices == offer->told) continue;  // kubelet writes a checkpoint for every list it gets
      RAILHEAD_TRY(offer->server->setDevices(devices));
      offer->told = std::move(devices);
    }
    return {};
  }

  // An error that lasts is told once.
  void tellLook(const Result<void>& looked) {
    const std::string failed = looked.has_value() ? "" : looked.error().describe();
    if (!failed.empty() && failed != lookFailure_) seams_.log.error("discover", failed);
    lookFailure_ = failed;
  }

  void logSweep(const attach::SweepReport& report) {
    for (const auto& line : report.done) seams_.log.info("attach", line);
    for (const auto& failure : report.failed) seams_.log.error("attach", failure);
  }

  void keep() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kLookInterval, [this] { return stopping_; })) {
      lock.unlock();
      if (!provisionFailure_.empty() && seams_.clock.now() >= retryAt_) provisionNode();
      tellLook(look());
      lock.lock();
    }
  }

  static constexpr std::chrono::seconds kLookInterval{1};
  static constexpr std::chrono::milliseconds kSweepInterval{1000};
  static constexpr std::chrono::seconds kFirstRetry{5};
  static constexpr std::chrono::seconds kLastRetry{300};

  const AgentConfig config_;
  const os::HostPaths paths_;
  AgentSeams seams_;
  attach::ConfiguredNetworks networks_;
  NodeView view_;
  KubeletPodDevices kubelet_;
  NodeVfHolders holders_;
  std::unique_ptr<attach::Attacher> attacher_;
  std::vector<std::unique_ptr<Offer>> offers_;
  std::unique_ptr<attach::CniServer> cni_;
  std::unique_ptr<attach::Sweeper> sweeper_;
  std::unique_ptr<StatusServer> status_;
  std::thread keeper_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  // Of the starting thread, then of the keeper.
  std::string provisionFailure_;
  std::string lookFailure_;
  std::chrono::seconds retryPause_{0};
  os::Clock::TimePoint retryAt_{};
};

}  // namespace

Result<std::unique_ptr<Agent>> Agent::create(AgentConfig config, os::HostPaths paths,
                                             AgentSeams seams) {
  auto agent = std::make_unique<NodeAgent>(std::move(config), std::move(paths), seams);
  RAILHEAD_TRY(agent->openParts());
  return std::unique_ptr<Agent>(std::move(agent));
}

}  // namespace railhead::agent
