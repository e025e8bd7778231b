#include "src/agent/agent.h"

#include "src/agent/cluster/cluster.h"
#include "src/agent/cluster/node_facts.h"
#include "src/agent/delivery/delivery.h"
#include "src/agent/gpu_offers.h"
#include "src/agent/handover.h"
#include "src/agent/held_connections.h"
#include "src/agent/node_keeper.h"
#include "src/agent/node_view.h"
#include "src/agent/observe/observer.h"
#include "src/agent/offers.h"
#include "src/agent/primary.h"
#include "src/agent/probes.h"
#include "src/agent/status.h"
#include "src/agent/status_server.h"
#include "src/attach/attacher.h"
#include "src/attach/network_catalog.h"
#include "src/attach/networks.h"
#include "src/attach/server.h"
#include "src/attach/sweeper.h"
#include "src/conflist/follower.h"
#include "src/metrics/http_endpoint.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace railhead::agent {
namespace {

class NodeAgent final : public Agent {
 public:
  NodeAgent(AgentConfig config, os::HostPaths paths, AgentSeams seams)
      : config_(std::make_shared<const AgentConfig>(std::move(config))),
        paths_(std::move(paths)),
        seams_(seams),
        networks_(config_->attach.networks),
        kubelet_(paths_.podResourcesSocket()),
        holders_(kubelet_, paths_.kubeletPlugins),
        cdi_(seams_.files, paths_.cdi, {paths_.cdiStatic}),
        trail_(seams_.clock),
        offers_(paths_,
                {seams_.files, seams_.log, cdi_, threads_, trail_,
                 [this](const std::string& resource) { return catalog_.useSoftRoce(resource); },
                 [this] { return delivery_.given(); }}),
        cluster_(config_->cluster, paths_.state,
                 {seams_.files, seams_.clock, seams_.log, seams_.cluster}) {
    if (seams_.gpus == nullptr) return;
    gpus_ = std::make_unique<GpuOffers>(paths_, GpuSeams{*seams_.gpus, seams_.files, seams_.clock,
                                                         seams_.log, cdi_, &threads_, &trail_});
    gpus_->configure(config_->functions.gpus, config_->gpus);
  }
  ~NodeAgent() override { stop(); }

  Result<void> openParts() { return offers_.configure(config_->resources); }

  Result<void> start(Start how) override {
    auto started = serveProbes();
    if (started.has_value()) started = startInOrder(how);
    if (!started.has_value()) stop();
    return started;
  }

  void stop() override {
    probes_.reset();
    if (handover_) handover_->stop();
    stopServing();
    if (!handedOver_) stopOffering();
    handover_.reset();  // a newer one that waits registers again once kubelet has seen us go
    if (offering_ && !handedOver_) offers_.forget();
    cluster_.stop();
  }

  bool handedOver() const override { return handedOver_; }

  Result<void> reconfigure(AgentConfig config) override {
    if (handedOver_) return {};
    RAILHEAD_TRY(checkReloadable(*this->config(), config));
    RAILHEAD_TRY(checkPrivileges(seams_.privileges, config));
    RAILHEAD_TRY(checkTwins(config.twins));
    if (const auto attacher = this->attacher())
      RAILHEAD_TRY(attacher->checkSubnets(config.attach.networks));
    RAILHEAD_TRY(offers_.configure(config.resources));
    if (gpus_) gpus_->configure(config.functions.gpus, config.gpus);
    networks_.replace(config.attach.networks);
    delivery_.configure(config.profile);
    {
      const std::lock_guard lock(configMutex_);
      config_ = std::make_shared<const AgentConfig>(std::move(config));
    }
    held_.keepOnly([this](const std::string& name) { return isServed(name); });
    keeper_.configChanged();
    return {};
  }

  std::string statusJson() override {
    const auto attacher = this->attacher();
    return encodeStatus(*view_.current(), offers_.statuses(), gpus_ ? gpus_->status() : GpuStatus(),
                        attacher ? attacher->attachments() : std::vector<attach::Attachment>(),
                        conflist(), delivery_.status(), seams_.privileges);
  }

 private:
  std::shared_ptr<const AgentConfig> config() const {
    const std::lock_guard lock(configMutex_);
    return config_;
  }

  std::shared_ptr<attach::Attacher> attacher() const {
    const std::lock_guard lock(configMutex_);
    return attacher_;
  }

  // A start takes a name that no PF has, since one file may serve unequal nodes; somebody who
  // changes the pairs of a running node means PFs of it.
  Result<void> checkTwins(const discover::TwinRules& twins) const {
    const auto snapshot = view_.current();
    if (snapshot->known.pfs.empty() || twins == config()->twins) return {};
    const auto cages = discover::pairTwins(snapshot->known, twins);
    return cages.refused.empty() ? Result<void>() : Result<void>(cages.refused.front());
  }

  Result<void> startInOrder(Start how) {
    std::optional<Handover> handover;
    if (how == Start::kTakeOver) {
      RAILHEAD_TRY_ASSIGN(auto taken, takeOver(paths_.handoverSocket(),
                                               {[this] { return lockNode(seams_.files, paths_); },
                                                [this] { tellOfWait(); }}));
      handover = std::move(taken.handover);
      nodeLock_ = std::move(taken.lock);
      if (handover) seams_.log.info("agent", "the running agent hands the node over");
    }
    const auto ready = takeNode(handover.has_value());
    if (!ready.has_value()) {
      stopServing();  // the node is free before the older one hears that this one is gone
      return ready;
    }
    if (gpus_) gpus_->start();
    if (handover) {
      // The older one serves kubelet until this one knows what to say.
      if (gpus_) gpus_->awaitDriver(kDriverPatience);
      seams_.log.info("agent", "ready to serve kubelet");
    }
    if (gpus_) gpus_->serve();
    RAILHEAD_TRY(serve());
    if (handover) takeKubelet(*handover);
    RAILHEAD_TRY_ASSIGN(
        handover_, HandoverServer::start(paths_.handoverSocket(),
                                         {[this] { release(); }, [this] { return takeBack(); },
                                          [this] { return leave(); }, [this] { stopOffering(); }}));
    return {};
  }

  void tellOfWait() {
    seams_.log.info("agent", "another agent has the node and cannot be asked for it yet: waiting");
  }

  // Kubelet asks this agent from now on, and must see no end of what it had with the older one.
  void takeKubelet(Handover& handover) {
    const auto deadline = std::chrono::steady_clock::now() + kKubeletPatience;
    offers_.awaitWatched(deadline);
    if (gpus_) gpus_->awaitWatched(deadline);
    seams_.log.info("agent", "kubelet is served: the older agent may leave");
    auto kept = handover.finish();
    if (kept.has_value()) {
      held_.add(std::move(*kept));
      held_.keepOnly([this](const std::string& name) { return isServed(name); });
      return;
    }
    seams_.log.warning("agent", "kubelet's connections to the older agent could not be kept: " +
                                    kept.error().describe());
    registerAgain();
  }

  // Whether this agent answers for the resource, or another plugin that stands in for us.
  bool isServed(const std::string& name) const {
    const auto offered = [&](const auto& all) {
      return std::any_of(all.begin(), all.end(),
                         [&](const auto& offer) { return offer.resource == name; });
    };
    if (offered(offers_.statuses())) return true;
    if (!gpus_) return false;
    const auto gpus = gpus_->status();
    if (gpus.offering != GpuOffering::kStandingBack) return offered(gpus.resources);
    const std::string& whole = config()->gpus.resource.name;
    return name == whole || name.starts_with(whole.substr(0, whole.find('/')) + "/mig-");
  }

  void registerAgain() {
    offers_.registerAgain();
    if (gpus_) gpus_->registerAgain();
  }

  // What is wrong with one PF, or with the goal, is logged and tried again: pods that run here need
  // the agent for their DEL, whatever else is missing. `mustSee`: a node that cannot be read is an
  // Error.
  Result<void> takeNode(bool mustSee) {
    if (!nodeLock_) {
      RAILHEAD_TRY_ASSIGN(nodeLock_, lockNode(seams_.files, paths_));
    }
    attach::AttachConfig attach = config()->attach;
    attach.paths = paths_;
    RAILHEAD_TRY(cluster_.start());
    RAILHEAD_TRY_ASSIGN(attach::NodeOrdinal* const ordinal,
                        cluster_.ordinal(attach.addresses.nodes));
    RAILHEAD_TRY_ASSIGN(
        std::shared_ptr<attach::Attacher> attacher,
        attach::Attacher::open(attach, {seams_.files, seams_.netns, seams_.netlink, seams_.clock,
                                        catalog_, kubelet_, view_, plugins_, &cluster_, ordinal}));
    {
      const std::lock_guard lock(configMutex_);
      attacher_ = attacher;
    }
    holders_.setAttacher(attacher.get());
    const auto looked = keeper_.look();
    if (mustSee) RAILHEAD_TRY(looked);
    nodeSeen_ = nodeSeen_ || looked.has_value();
    logSweep(
        attacher->recover());  // a half-done ADD of a killed agent must not look like a free VF
    keeper_.start();
    // kubelet had better hear of all VFs at once; a driver that hangs keeps nobody waiting for
    // long.
    keeper_.awaitProvisioned(kProvisionPatience);
    delivery_.start(config()->profile, seenFabric(view_.current()->picture()));
    return {};
  }

  // Once the node could be read: before that an empty list would be a lie. With serving_ held.
  Result<void> offer() {
    if (offering_ || !nodeSeen_ || !config()->functions.rails) return {};
    RAILHEAD_TRY(offers_.start());
    offering_ = true;
    return {};
  }

  Result<void> serve() {
    const std::lock_guard serving(serving_);
    serves_ = true;
    RAILHEAD_TRY(offer());
    if (config()->functions.cni) {
      attach::CniServerConfig server;
      server.socketPath = paths_.cniSocket();
      server.displace = true;  // the node is ours
      server.mark = threads_.named("a CNI request");
      RAILHEAD_TRY_ASSIGN(cni_, attach::CniServer::start(
                                    server, counts_.timed(cluster_.reporting(attach::makeCniHandler(
                                                *attacher_, requestLog())))));
      cniServed_ = true;
      sweeper_ = std::make_unique<attach::Sweeper>(
          *attacher_, kSweepInterval,
          [this](const attach::SweepReport& report) { logSweep(report); });
      RAILHEAD_TRY(followPrimary());
    }
    RAILHEAD_TRY_ASSIGN(
        status_, StatusServer::start(paths_.statusSocket(), [this] { return statusJson(); }));
    serveMetrics();
    return {};
  }

  // The runtime calls us from here on. With serving_ held.
  Result<void> followPrimary() {
    const auto config = this->config();
    if (!config->cni.shim) return {};
    RAILHEAD_TRY_ASSIGN(auto follower,
                        conflist::ConflistFollower::start(
                            installerConfig(*config, paths_), paths_.cniConfig, seams_.files,
                            seams_.clock, [this](const Result<conflist::InstallOutcome>& outcome) {
                              logInstall(seams_.log, outcome);
                            }));
    const std::lock_guard lock(configMutex_);
    follower_ = std::move(follower);
    return {};
  }

  std::optional<conflist::InstallOutcome> conflist() const {
    const std::lock_guard lock(configMutex_);
    return follower_ ? std::optional(follower_->outcome()) : std::nullopt;
  }

  // Also when nobody can tell.
  bool railsHeld() {
    const auto holders = holders_.holders();
    return !holders.has_value() || !holders->empty();
  }

  // From the keeper's thread.
  bool looked(const Result<void>& look, const netlink::NodeNews& news) {
    delivery_.look(seenFabric(view_.current()->picture()));
    const bool again = gpus_ && gpus_->look();
    tellCluster();
    if (held_.prune()) registerAgain();
    const std::lock_guard serving(serving_);
    nodeSeen_ = nodeSeen_ || look.has_value();
    if (!serves_) return again;
    const auto offered = offer();
    const std::string failed = offered.has_value() ? "" : offered.error().describe();
    if (!failed.empty() && failed != offerFailure_) seams_.log.error("advertise", failed);
    offerFailure_ = failed;
    serveMetrics();
    if (sweeper_ && !news.empty()) sweeper_->wake();  // a VF may have come home by itself
    return again;
  }

  // From the keeper's thread, after each look.
  void tellCluster() {
    if (!config()->cluster.tellsOfDevices()) return;
    const auto rails = offers_.statuses();
    const auto gpus = gpus_ ? gpus_->status() : GpuStatus();
    cluster_.observe(deviceHealth(rails, gpus));
    cluster_.label(nodeLabels(rails, gpus_ ? gpus_->labels() : Labels()));
  }

  // An address that is taken keeps nothing else from serving: tried again with every look. With
  // serving_ held.
  void serveMetrics() {
    const auto listen = config()->metrics;
    if (!listen || endpoint_) return;
    auto endpoint = metrics::HttpEndpoint::start(
        *listen, [this](std::string_view path) { return observer_.answer(path); });
    const std::string failed = endpoint.has_value() ? "" : endpoint.error().describe();
    if (!failed.empty() && failed != metricsFailure_) seams_.log.error("metrics", failed);
    metricsFailure_ = failed;
    if (!endpoint.has_value()) return;
    endpoint_ = std::move(*endpoint);
    seams_.log.info("metrics", "answering on " + endpoint_->address().toString());
  }

  // From the first moment to the last, whoever serves the node: this agent's own.
  Result<void> serveProbes() {
    if (paths_.probeSocket.empty()) return {};
    RAILHEAD_TRY_ASSIGN(probes_, agent::serveProbes(paths_.probeSocket, [this] {
                          return ProbeState{observer_.notLive(), observer_.notReady()};
                        }));
    return {};
  }

  // From the endpoint's thread and the probes', at any time.
  ObservedState observed() const {
    const auto config = this->config();
    const auto attacher = this->attacher();
    return {view_.current(),
            offers_.statuses(),
            gpus_ ? gpus_->status().resources : std::vector<GpuResourceStatus>(),
            attacher ? attacher->attachments() : std::vector<attach::Attachment>(),
            config->functions.rails,
            config->functions.cni,
            cniServed_,
            conflistFailure(conflist()),
            delivery_.status()};
  }

  // Lets go of the node; kubelet is served on.
  void stopServing() {
    keeper_.stop();
    delivery_.stop();
    const std::lock_guard serving(serving_);
    serves_ = false;
    std::shared_ptr<conflist::ConflistFollower> follower;
    {
      const std::lock_guard lock(configMutex_);
      follower.swap(follower_);
    }
    follower.reset();
    endpoint_.reset();
    status_.reset();
    sweeper_.reset();
    cniServed_ = false;
    if (cni_) cni_->stop();
    cni_.reset();
    holders_.setAttacher(nullptr);
    {
      const std::lock_guard lock(configMutex_);
      attacher_.reset();
    }
    nodeLock_.reset();
  }

  void release() {
    seams_.log.info("agent", "a newer agent asks for the node");
    stopServing();
  }

  Result<void> takeBack() {
    auto back = takeNode(false);
    if (back.has_value()) back = serve();
    if (!back.has_value()) stopServing();
    const std::string failed = back.has_value() ? "" : back.error().describe();
    if (failed.empty()) {
      seams_.log.warning("agent", "the newer agent went away: this one has the node again");
    } else if (failed != takeBackFailure_) {
      seams_.log.error("agent", "the newer agent said nothing in time, standing by: " + failed);
    }
    takeBackFailure_ = failed;
    return back;
  }

  void stopOffering() {
    if (gpus_) gpus_->stop();
    offers_.stop();
  }

  std::vector<KeptConnection> leave() {
    auto kept = held_.takeAll();
    const auto add = [&](std::vector<KeptConnection> more) {
      std::move(more.begin(), more.end(), std::back_inserter(kept));
    };
    if (gpus_) add(gpus_->retire());
    add(offers_.retire());
    handedOver_ = true;
    seams_.log.info("agent", "the node is the newer agent's: waiting to be ended");
    return kept;
  }

  attach::RequestLog requestLog() {
    return [this](bool failed, const std::string& line) {
      seams_.log.write(failed ? os::LogLevel::kError : os::LogLevel::kInfo, "attach", line);
    };
  }

  void logSweep(const attach::SweepReport& report) {
    counts_.swept(report);
    if (report.strays) keeper_.configChanged();  // to the provisioning goal
    for (const auto& line : report.done) seams_.log.info("attach", line);
    for (const auto& failure : report.failed) seams_.log.error("attach", failure);
  }

  static constexpr std::chrono::seconds kDriverPatience{10};
  static constexpr std::chrono::seconds kKubeletPatience{5};
  static constexpr std::chrono::seconds kProvisionPatience{15};
  static constexpr std::chrono::milliseconds kSweepInterval{1000};

  mutable std::mutex configMutex_;  // also of attacher_ and follower_
  std::shared_ptr<const AgentConfig> config_;
  const os::HostPaths paths_;
  AgentSeams seams_;
  attach::ConfiguredNetworks networks_;
  NodeView view_;
  KubeletPodDevices kubelet_;
  NodeVfHolders holders_;
  os::UniqueFd nodeLock_;
  std::shared_ptr<attach::Attacher> attacher_;
  WatchedThreads threads_;
  advertise::CdiFolder cdi_;
  advertise::NumaTrail trail_;
  ProfileDelivery delivery_{
      paths_, {seams_.files, seams_.clock, seams_.log, [this] { return railsHeld(); }}};
  Offers offers_;
  Cluster cluster_;
  attach::LayeredCatalog catalog_{networks_, cluster_.nads(), seams_.files, paths_.cniConfig,
                                  paths_.multusConfig};
  os::SystemProcessRunner plugins_;  // CNI plugins of other authors
  std::unique_ptr<GpuOffers> gpus_;
  std::unique_ptr<attach::CniServer> cni_;
  std::atomic<bool> cniServed_ = false;
  std::unique_ptr<attach::Sweeper> sweeper_;
  std::shared_ptr<conflist::ConflistFollower> follower_;
  std::unique_ptr<StatusServer> status_;
  Counts counts_;
  Observer observer_{seams_.files, seams_.netlink, paths_,
                     counts_,      threads_,       [this] { return observed(); }};
  std::unique_ptr<metrics::HttpEndpoint> endpoint_;
  HeldConnections held_;
  std::unique_ptr<HandoverServer> handover_;
  std::atomic<bool> handedOver_ = false;
  NodeKeeper keeper_{{seams_.files, paths_, seams_.netlink, seams_.events, seams_.clock, seams_.log,
                      holders_, view_, offers_, counts_},
                     [this] { return config(); },
                     [this](const Result<void>& look, const netlink::NodeNews& news) {
                       return looked(look, news);
                     }};
  std::mutex serving_;  // of what serves, between the keeper's thread and the others
  bool serves_ = false;
  bool nodeSeen_ = false;
  bool offering_ = false;
  std::string offerFailure_;
  std::string metricsFailure_;
  std::string takeBackFailure_;           // of the handover's thread
  std::unique_ptr<StatusServer> probes_;  // last: it looks at all of them
};

}  // namespace

Result<std::unique_ptr<Agent>> Agent::create(AgentConfig config, os::HostPaths paths,
                                             AgentSeams seams) {
  auto agent = std::make_unique<NodeAgent>(std::move(config), std::move(paths), seams);
  RAILHEAD_TRY(agent->openParts());
  return std::unique_ptr<Agent>(std::move(agent));
}

}  // namespace railhead::agent
