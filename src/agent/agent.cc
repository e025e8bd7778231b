#include "src/agent/agent.h"

#include "src/agent/cluster/cluster.h"
#include "src/agent/cluster/node_facts.h"
#include "src/agent/gpu_offers.h"
#include "src/agent/handover.h"
#include "src/agent/node_keeper.h"
#include "src/agent/node_view.h"
#include "src/agent/observe/observer.h"
#include "src/agent/offers.h"
#include "src/agent/status.h"
#include "src/agent/status_server.h"
#include "src/attach/attacher.h"
#include "src/attach/network_catalog.h"
#include "src/attach/networks.h"
#include "src/attach/server.h"
#include "src/attach/sweeper.h"
#include "src/conflist/follower.h"
#include "src/metrics/http_endpoint.h"
#include "src/os/file_lock.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace railhead::agent {
namespace {

// What cannot change while pods and kubelet rely on it.
Result<void> checkReloadable(const AgentConfig& before, const AgentConfig& after) {
  const auto refuse = [](const char* field) {
    return Error(ErrorCode::kInvalidArgument,
                 std::string(field) + " is different, and takes a restart of the agent")
        .withRemedy("restart railhead-agent; pods keep their rails");
  };
  Functions functions = after.functions;
  functions.gpus = before.functions.gpus;
  if (!(before.functions == functions)) return refuse("functions");
  if (!(before.attach.addresses == after.attach.addresses)) return refuse("node");
  if (!(before.metrics == after.metrics)) return refuse("metrics");
  if (!(before.cluster == after.cluster)) return refuse("kubernetes or node.ordinal");
  if (!(before.cni == after.cni)) return refuse("cni");
  return {};
}

class NodeAgent final : public Agent {
 public:
  NodeAgent(AgentConfig config, os::HostPaths paths, AgentSeams seams)
      : config_(std::make_shared<const AgentConfig>(std::move(config))),
        paths_(std::move(paths)),
        seams_(seams),
        networks_(config_->attach.networks),
        kubelet_(paths_.podResourcesSocket()),
        holders_(kubelet_),
        cdi_(seams_.files, paths_.cdi, {paths_.cdiStatic}),
        offers_(paths_,
                {seams_.files, seams_.log, cdi_, threads_,
                 [this](const std::string& resource) { return catalog_.useSoftRoce(resource); }}),
        cluster_(config_->cluster, paths_.state,
                 {seams_.files, seams_.clock, seams_.log, seams_.cluster}) {
    if (seams_.gpus == nullptr) return;
    gpus_ = std::make_unique<GpuOffers>(
        paths_, GpuSeams{*seams_.gpus, seams_.files, seams_.clock, seams_.log, cdi_, &threads_});
    gpus_->configure(config_->functions.gpus, config_->gpus);
  }
  ~NodeAgent() override { stop(); }

  Result<void> openParts() { return offers_.configure(config_->resources); }

  Result<void> start(Start how) override {
    auto started = startInOrder(how);
    if (!started.has_value()) stop();
    return started;
  }

  void stop() override {
    handover_.reset();
    stopServing();
    stopOffering();
    if (offering_ && !handedOver_) offers_.forget();
    cluster_.stop();
  }

  bool handedOver() const override { return handedOver_; }

  Result<void> reconfigure(AgentConfig config) override {
    if (handedOver_) return {};
    RAILHEAD_TRY(checkReloadable(*this->config(), config));
    RAILHEAD_TRY(checkPrivileges(seams_.privileges, config));
    RAILHEAD_TRY(offers_.configure(config.resources));
    if (gpus_) gpus_->configure(config.functions.gpus, config.gpus);
    networks_.replace(config.attach.networks);
    {
      const std::lock_guard lock(configMutex_);
      config_ = std::make_shared<const AgentConfig>(std::move(config));
    }
    keeper_.configChanged();
    return {};
  }

  std::string statusJson() override {
    const auto attacher = this->attacher();
    return encodeStatus(*view_.current(), offers_.statuses(), gpus_ ? gpus_->status() : GpuStatus(),
                        attacher ? attacher->attachments() : std::vector<attach::Attachment>(),
                        conflist(), seams_.privileges);
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

  Result<void> startInOrder(Start how) {
    std::optional<Handover> handover;
    if (how == Start::kTakeOver) {
      auto begun = Handover::begin(paths_.handoverSocket());
      if (begun.has_value()) {
        seams_.log.info("agent", "the running agent hands the node over");
        handover = std::move(*begun);
      } else if (begun.error().code != ErrorCode::kNotFound) {
        return std::move(begun).error();
      }
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
      handover->finish();
    }
    if (gpus_) gpus_->serve();
    RAILHEAD_TRY(serve());
    RAILHEAD_TRY_ASSIGN(handover_,
                        HandoverServer::start(paths_.handoverSocket(),
                                              {[this] { release(); }, [this] { return takeBack(); },
                                               [this] { leave(); }}));
    return {};
  }

  // What is wrong with one PF, or with the goal, is logged and tried again: pods that run here need
  // the agent for their DEL, whatever else is missing. `mustSee`: a node that cannot be read is an
  // Error.
  Result<void> takeNode(bool mustSee) {
    RAILHEAD_TRY_ASSIGN(nodeLock_, lockNode(seams_.files, paths_));
    attach::AttachConfig attach = config()->attach;
    attach.paths = paths_;
    RAILHEAD_TRY(cluster_.start());
    RAILHEAD_TRY_ASSIGN(const auto ordinal, cluster_.ordinal(attach.addresses.nodes));
    if (ordinal) attach.addresses.nodeOrdinal = *ordinal;
    RAILHEAD_TRY_ASSIGN(
        std::shared_ptr<attach::Attacher> attacher,
        attach::Attacher::open(attach, {seams_.files, seams_.netns, seams_.netlink, seams_.clock,
                                        catalog_, kubelet_, view_, plugins_, &cluster_}));
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
    return {};
  }

  // Once the node could be read: before that an empty list would be a lie. With serving_ held.
  Result<void> offer() {
    if (!nodeSeen_ || !config()->functions.rails || std::exchange(offering_, true)) return {};
    return offers_.start();
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
    if (!config->cni.conflist) return {};
    conflist::InstallerConfig install;
    install.folder = paths_.cniConfig;
    install.binFolder = paths_.cniBin;
    install.file = config->cni.file;
    install.primary = config->cni.primary;
    install.shim = paths_.cniShim;
    if (paths_.cniSocket() != os::HostPaths().cniSocket()) install.socket = paths_.cniSocket();
    RAILHEAD_TRY_ASSIGN(
        auto follower,
        conflist::ConflistFollower::start(
            std::move(install), paths_.cniConfig, seams_.files, seams_.clock,
            [this](const Result<conflist::InstallOutcome>& outcome) { logInstall(outcome); }));
    const std::lock_guard lock(configMutex_);
    follower_ = std::move(follower);
    return {};
  }

  std::optional<conflist::InstallOutcome> conflist() const {
    const std::lock_guard lock(configMutex_);
    return follower_ ? std::optional(follower_->outcome()) : std::nullopt;
  }

  void logInstall(const Result<conflist::InstallOutcome>& outcome) {
    if (!outcome.has_value()) return seams_.log.error("conflist", outcome.error());
    for (const auto& line : outcome->changes) seams_.log.info("conflist", line);
    if (outcome->standing == conflist::Standing::kShadowed) {
      seams_.log.error("conflist", outcome->note);
    } else if (!outcome->note.empty()) {
      seams_.log.info("conflist", outcome->note);
    }
  }

  // From the keeper's thread.
  void looked(const Result<void>& look, const netlink::NodeNews& news) {
    if (gpus_) gpus_->look();
    tellCluster();
    const std::lock_guard serving(serving_);
    nodeSeen_ = nodeSeen_ || look.has_value();
    if (!serves_) return;
    const auto offered = offer();
    if (!offered.has_value()) seams_.log.error("advertise", offered.error());
    serveMetrics();
    if (sweeper_ && !news.empty()) sweeper_->wake();  // a VF may have come home by itself
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

  // From the endpoint's thread, which ends before what this reads.
  ObservedState observed() const {
    const auto config = this->config();
    const auto attacher = this->attacher();
    return {view_.current(),
            offers_.statuses(),
            gpus_ ? gpus_->status().resources : std::vector<GpuResourceStatus>(),
            attacher ? attacher->attachments() : std::vector<attach::Attachment>(),
            config->functions.rails,
            config->functions.cni,
            cni_ != nullptr};
  }

  // Lets go of the node; kubelet is served on.
  void stopServing() {
    keeper_.stop();
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

  void leave() {
    stopOffering();
    handedOver_ = true;
    seams_.log.info("agent", "the node is the newer agent's: waiting to be ended");
  }

  attach::RequestLog requestLog() {
    return [this](bool failed, const std::string& line) {
      seams_.log.write(failed ? os::LogLevel::kError : os::LogLevel::kInfo, "attach", line);
    };
  }

  void logSweep(const attach::SweepReport& report) {
    counts_.swept(report);
    for (const auto& line : report.done) seams_.log.info("attach", line);
    for (const auto& failure : report.failed) seams_.log.error("attach", failure);
  }

  static constexpr std::chrono::seconds kDriverPatience{10};
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
  Offers offers_;
  Cluster cluster_;
  attach::LayeredCatalog catalog_{networks_, cluster_.nads(), seams_.files, paths_.cniConfig};
  os::SystemProcessRunner plugins_;  // CNI plugins of other authors
  std::unique_ptr<GpuOffers> gpus_;
  std::unique_ptr<attach::CniServer> cni_;
  std::unique_ptr<attach::Sweeper> sweeper_;
  std::shared_ptr<conflist::ConflistFollower> follower_;
  std::unique_ptr<StatusServer> status_;
  Counts counts_;
  Observer observer_{seams_.files, seams_.netlink, paths_,
                     counts_,      threads_,       [this] { return observed(); }};
  std::unique_ptr<metrics::HttpEndpoint> endpoint_;
  std::unique_ptr<HandoverServer> handover_;
  std::atomic<bool> handedOver_ = false;
  NodeKeeper keeper_{
      {seams_.files, paths_, seams_.netlink, seams_.events, seams_.clock, seams_.log, holders_,
       view_, offers_, counts_},
      [this] { return config(); },
      [this](const Result<void>& look, const netlink::NodeNews& news) { looked(look, news); }};
  std::mutex serving_;  // of what serves, between the keeper's thread and the others
  bool serves_ = false;
  bool nodeSeen_ = false;
  bool offering_ = false;
  std::string metricsFailure_;
  std::string takeBackFailure_;  // of the handover's thread
};

// What an agent that was killed while it wrote left in the folder; only with the lock held.
void removeInterruptedWrites(os::Filesystem& files, const std::string& folder) {
  const auto names = files.listDirectory(folder);
  if (!names.has_value()) return;
  for (const auto& name : *names) {
    if (name.starts_with('.')) static_cast<void>(files.remove(folder + "/" + name));
  }
}

}  // namespace

Result<os::UniqueFd> lockNode(os::Filesystem& files, const os::HostPaths& paths) {
  RAILHEAD_TRY(files.makeDirectories(paths.state, 0700));
  auto lock = os::lockFile(paths.nodeLock());
  if (lock.has_value()) {
    removeInterruptedWrites(files, paths.state);
    return lock;
  }
  return std::move(lock)
      .error()
      .addContext("another railhead-agent is at work on this node")
      .withRemedy("end it first, or let this one take over: railhead-agent run --take-over");
}

Result<std::unique_ptr<Agent>> Agent::create(AgentConfig config, os::HostPaths paths,
                                             AgentSeams seams) {
  auto agent = std::make_unique<NodeAgent>(std::move(config), std::move(paths), seams);
  RAILHEAD_TRY(agent->openParts());
  return std::unique_ptr<Agent>(std::move(agent));
}

}  // namespace railhead::agent
