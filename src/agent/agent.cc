#include "src/agent/agent.h"

#include "src/agent/gpu_offers.h"
#include "src/agent/handover.h"
#include "src/agent/node_view.h"
#include "src/agent/observe/observer.h"
#include "src/agent/offers.h"
#include "src/agent/status.h"
#include "src/agent/status_server.h"
#include "src/attach/attacher.h"
#include "src/attach/networks.h"
#include "src/attach/server.h"
#include "src/attach/sweeper.h"
#include "src/discover/discover.h"
#include "src/metrics/http_endpoint.h"
#include "src/os/file_lock.h"
#include "src/provision/provision.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace railhead::agent {
namespace {

// The most VFs that a PF is meant to have: so many rail sets a cage can give.
int setsPerCage(const provision::Goal& goal) {
  int most = 0;
  for (const auto& pf : goal.pfs) most = std::max(most, pf.vfs);
  return most;
}

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
        offers_(paths_, seams_.log, cdi_) {
    if (seams_.gpus == nullptr) return;
    gpus_ = std::make_unique<GpuOffers>(
        paths_, GpuSeams{*seams_.gpus, seams_.files, seams_.clock, seams_.log, cdi_});
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
  }

  bool handedOver() const override { return handedOver_; }

  Result<void> reconfigure(AgentConfig config) override {
    if (handedOver_) return {};
    RAILHEAD_TRY(checkReloadable(*this->config(), config));
    RAILHEAD_TRY(offers_.configure(config.resources));
    if (gpus_) gpus_->configure(config.functions.gpus, config.gpus);
    networks_.replace(config.attach.networks);
    {
      const std::lock_guard lock(configMutex_);
      config_ = std::make_shared<const AgentConfig>(std::move(config));
      provisionDue_ = true;
    }
    seams_.events.wake();
    return {};
  }

  std::string statusJson() override {
    const auto attacher = this->attacher();
    return encodeStatus(*view_.current(), offers_.statuses(), gpus_ ? gpus_->status() : GpuStatus(),
                        attacher ? attacher->attachments() : std::vector<attach::Attachment>());
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
    RAILHEAD_TRY(takeNode());
    if (gpus_) gpus_->start();
    if (handover) {
      // The older one serves kubelet until this one knows what to say.
      if (gpus_) gpus_->awaitDriver(kDriverPatience);
      handover->finish();
    }
    if (config()->functions.rails) RAILHEAD_TRY(offers_.start());
    if (gpus_) gpus_->serve();
    RAILHEAD_TRY(serve());
    RAILHEAD_TRY_ASSIGN(handover_,
                        HandoverServer::start(paths_.handoverSocket(),
                                              {[this] { return release(); }, [this] { takeBack(); },
                                               [this] { leave(); }}));
    return {};
  }

  // What is wrong with one PF, or with the goal, is logged and tried again: pods that run here need
  // the agent for their DEL, whatever else is missing.
  Result<void> takeNode() {
    RAILHEAD_TRY_ASSIGN(nodeLock_, lockNode(seams_.files, paths_));
    attach::AttachConfig attach = config()->attach;
    attach.paths = paths_;
    RAILHEAD_TRY_ASSIGN(std::shared_ptr<attach::Attacher> attacher,
                        attach::Attacher::open(attach, {seams_.files, seams_.netns, seams_.netlink,
                                                        seams_.clock, networks_, kubelet_, view_}));
    {
      const std::lock_guard lock(configMutex_);
      attacher_ = attacher;
    }
    holders_.setAttacher(attacher.get());
    tellLook(look());
    logSweep(
        attacher->recover());  // a half-done ADD of a killed agent must not look like a free VF
    provisionNode();
    tellLook(look());
    return {};
  }

  // Everything but kubelet.
  Result<void> serve() {
    stopping_ = false;
    if (config()->functions.cni) {
      attach::CniServerConfig server;
      server.socketPath = paths_.cniSocket();
      RAILHEAD_TRY_ASSIGN(
          cni_, attach::CniServer::start(
                    server, counts_.timed(attach::makeCniHandler(*attacher_, requestLog()))));
      sweeper_ = std::make_unique<attach::Sweeper>(
          *attacher_, kSweepInterval,
          [this](const attach::SweepReport& report) { logSweep(report); });
    }
    RAILHEAD_TRY_ASSIGN(
        status_, StatusServer::start(paths_.statusSocket(), [this] { return statusJson(); }));
    counts_.turned(std::chrono::steady_clock::now());
    serveMetrics();
    keeper_ = std::thread([this] { keep(); });
    return {};
  }

  // An address that is taken keeps nothing else from serving: tried again with every look.
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

  void stopServing() {
    stopping_ = true;
    seams_.events.wake();
    if (keeper_.joinable()) keeper_.join();
    endpoint_.reset();
    counts_.turned({});
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

  Result<void> release() {
    seams_.log.info("agent", "a newer agent asks for the node");
    stopServing();
    return {};
  }

  void takeBack() {
    seams_.log.warning("agent", "the newer agent went away: taking the node back");
    auto back = takeNode();
    if (back.has_value()) back = serve();
    if (!back.has_value()) seams_.log.error("agent", back.error());
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

  // Brings the VFs to the goal; what failed is due again after a pause that grows.
  void provisionNode() {
    const auto config = this->config();
    if (!config->functions.provision || config->goal.pfs.empty()) return;
    provision::Provisioner provisioner(
        {seams_.files, paths_, seams_.netlink, seams_.clock, holders_});
    const auto report = provisioner.apply(config->goal);
    counts_.provisioned(report);
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
    const auto config = this->config();
    NodeSnapshot snapshot;
    RAILHEAD_TRY_ASSIGN(snapshot.node, discover::discoverNode(seams_.files, paths_));
    RAILHEAD_TRY_ASSIGN(snapshot.cages, discover::pairTwins(snapshot.node, config->twins));
    snapshot.rails = discover::railSets(snapshot.node, snapshot.cages, setsPerCage(config->goal));
    const auto told = offers_.update(snapshot.node, snapshot.rails.offered);
    view_.replace(std::move(snapshot));
    return told;
  }

  // An error that lasts is told once.
  void tellLook(const Result<void>& looked) {
    const std::string failed = looked.has_value() ? "" : looked.error().describe();
    if (!failed.empty() && failed != lookFailure_) seams_.log.error("discover", failed);
    lookFailure_ = failed;
  }

  void logSweep(const attach::SweepReport& report) {
    counts_.swept(report);
    for (const auto& line : report.done) seams_.log.info("attach", line);
    for (const auto& failure : report.failed) seams_.log.error("attach", failure);
  }

  // Looks when the kernel tells of a change, and now and then for what it does not tell.
  void keep() {
    bool lookAgain = false;  // the RDMA port's state follows the link's, and nothing tells of it
    while (!stopping_) {
      auto until = std::chrono::steady_clock::now() + (lookAgain ? kLookAgain : kLookInterval);
      if (!provisionFailure_.empty()) {
        until = std::min(until, std::chrono::steady_clock::now() + (retryAt_ - seams_.clock.now()));
      }
      const auto news = seams_.events.wait(until, kSettle);
      if (stopping_) return;
      lookAgain = !news.empty();
      for (const auto& one : news.what) seams_.log.debug("discover", one);
      const bool due = !provisionFailure_.empty() && seams_.clock.now() >= retryAt_;
      if (due || takeProvisionDue() || bringsFunctions(news)) provisionNode();
      tellLook(look());
      if (gpus_) gpus_->look();
      counts_.turned(std::chrono::steady_clock::now());
      serveMetrics();
      if (sweeper_ && !news.empty()) sweeper_->wake();  // a VF may have come home by itself
    }
  }

  bool takeProvisionDue() {
    const std::lock_guard lock(configMutex_);
    return std::exchange(provisionDue_, false);
  }

  // A PF that appears late, or VFs: bring them to the goal.
  static bool bringsFunctions(const netlink::NodeNews& news) {
    return news.missedSome ||
           std::any_of(news.what.begin(), news.what.end(), [](const std::string& one) {
             return one.starts_with("pci ") && one.ends_with(": add");
           });
  }

  // A look reads some 2000 files on a node with 64 rail sets.
  static constexpr std::chrono::seconds kLookInterval{60};
  static constexpr std::chrono::seconds kLookAgain{2};
  static constexpr std::chrono::milliseconds kSettle{20};
  static constexpr std::chrono::seconds kDriverPatience{10};
  static constexpr std::chrono::milliseconds kSweepInterval{1000};
  static constexpr std::chrono::seconds kFirstRetry{5};
  static constexpr std::chrono::seconds kLastRetry{300};

  mutable std::mutex configMutex_;  // also of attacher_
  std::shared_ptr<const AgentConfig> config_;
  bool provisionDue_ = false;  // with configMutex_ held
  const os::HostPaths paths_;
  AgentSeams seams_;
  attach::ConfiguredNetworks networks_;
  NodeView view_;
  KubeletPodDevices kubelet_;
  NodeVfHolders holders_;
  os::UniqueFd nodeLock_;
  std::shared_ptr<attach::Attacher> attacher_;
  advertise::CdiFolder cdi_;
  Offers offers_;
  std::unique_ptr<GpuOffers> gpus_;
  std::unique_ptr<attach::CniServer> cni_;
  std::unique_ptr<attach::Sweeper> sweeper_;
  std::unique_ptr<StatusServer> status_;
  Counts counts_;
  Observer observer_{seams_.files, paths_, counts_, [this] { return observed(); }};
  std::unique_ptr<metrics::HttpEndpoint> endpoint_;
  std::unique_ptr<HandoverServer> handover_;
  std::atomic<bool> handedOver_ = false;
  std::thread keeper_;
  std::atomic<bool> stopping_ = false;
  // Of the starting thread, then of the keeper.
  std::string provisionFailure_;
  std::string lookFailure_;
  std::string metricsFailure_;
  std::chrono::seconds retryPause_{0};
  os::Clock::TimePoint retryAt_{};
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
