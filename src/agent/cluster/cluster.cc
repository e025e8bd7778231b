#include "src/agent/cluster/cluster.h"

#include <utility>

namespace railhead::agent {

class Cluster::StoredNads final : public attach::NadSource {
 public:
  explicit StoredNads(const kube::NadStore& store) : store_(store) {}

  std::optional<attach::Nad> find(const std::string& podNamespace,
                                  const std::string& name) override {
    auto nad = store_.find(podNamespace, name);
    if (!nad) return std::nullopt;
    return attach::Nad{std::move(nad->podNamespace), std::move(nad->name),
                       std::move(nad->resourceName), std::move(nad->config)};
  }
  bool isComplete() override { return store_.knowledge() == kube::NadStore::Knowledge::kListed; }
  std::vector<std::string> names() override { return store_.names(); }

 private:
  const kube::NadStore& store_;
};

Cluster::Cluster(ClusterConfig config, std::string stateFolder, ClusterSeams seams)
    : config_(std::move(config)), stateFolder_(std::move(stateFolder)), seams_(seams) {
  // Made here and not in start(): who looks a NAD up may hold the source before.
  if (config_.nads == NadOrigin::kOff) return;
  store_ = std::make_unique<kube::NadStore>(seams_.files, stateFolder_ + "/nads.json");
  nads_ = std::make_unique<StoredNads>(*store_);
}

Cluster::~Cluster() { stop(); }

Result<void> Cluster::openApi() {
  if (!config_.needsApiServer() || api_) return {};
  if (seams_.access == nullptr || !seams_.access->open) {
    return Error(ErrorCode::kEnvironment,
                 "the configuration needs the Kubernetes API server, and "
                 "nothing says where it is");
  }
  RAILHEAD_TRY_ASSIGN(api_, seams_.access->open());
  return {};
}

Result<void> Cluster::startNads() {
  if (!store_ || nadWatch_ || nadFolder_) return {};
  const kube::NadProblem problem = [this](const Error& error) {
    seams_.log.warning("nads", error.describe());
  };
  if (config_.nads == NadOrigin::kFiles) {
    RAILHEAD_TRY_ASSIGN(nadFolder_,
                        kube::NadFolder::start(seams_.files, config_.nadFolder, *store_, problem));
    return {};
  }
  if (const auto recalled = store_->recall(); !recalled.has_value()) problem(recalled.error());
  RAILHEAD_TRY_ASSIGN(nadWatch_, kube::NadWatch::start(*api_, *store_, problem));
  return {};
}

Result<void> Cluster::start() {
  RAILHEAD_TRY(openApi());
  RAILHEAD_TRY(startNads());
  if (config_.events && !events_) {
    RAILHEAD_TRY_ASSIGN(events_,
                        EventRecorder::start(*api_, seams_.clock, seams_.log, seams_.access->node));
    const std::lock_guard lock(newsMutex_);
    if (!news_) news_.emplace(seams_.access->node);
  }
  if (config_.networkStatus && !statuses_) {
    RAILHEAD_TRY_ASSIGN(statuses_, PodStatusWriter::start(*api_, seams_.log));
  }
  if (config_.labels && !labels_) {
    RAILHEAD_TRY_ASSIGN(labels_, NodeLabeler::start(*api_, seams_.log, seams_.access->node));
  }
  return {};
}

void Cluster::stop() {
  ordinal_.reset();
  labels_.reset();
  statuses_.reset();
  events_.reset();
  nadFolder_.reset();
  nadWatch_.reset();
}

Result<attach::NodeOrdinal*> Cluster::ordinal(int nodes) {
  if (!config_.ordinalByLease || ordinal_) return ordinal_.get();
  OrdinalPlace place;
  place.podNamespace =
      config_.leaseNamespace.empty() ? seams_.access->ownNamespace : config_.leaseNamespace;
  place.prefix = config_.leasePrefix;
  place.node = seams_.access->node;
  if (nodes > 0) place.limit = nodes;
  if (place.podNamespace.empty()) {
    return Error(ErrorCode::kEnvironment, "the agent does not know its own namespace",
                 "set kubernetes.ordinals.namespace to the one that the Leases stand in");
  }
  RAILHEAD_TRY_ASSIGN(ordinal_, OrdinalKeeper::start(*api_, seams_.files, seams_.clock, seams_.log,
                                                     place, stateFolder_ + "/ordinal.json"));
  return ordinal_.get();
}

attach::NadSource* Cluster::nads() { return nads_.get(); }

attach::CniHandler Cluster::reporting(attach::CniHandler handler) {
  if (!events_) return handler;
  return reportFailures(std::move(handler), *events_, seams_.access->node);
}

void Cluster::attached(const std::string& podNamespace, const std::string& pod,
                       const std::string& podUid, const std::string& status) {
  if (statuses_) statuses_->attached(podNamespace, pod, podUid, status);
}

void Cluster::observe(const std::vector<DeviceHealth>& devices) {
  const std::lock_guard lock(newsMutex_);
  if (!events_ || !news_) return;
  for (const auto& event : news_->compare(devices)) events_->record(event);
}

void Cluster::label(Labels labels) {
  if (labels_) labels_->set(std::move(labels));
}

}  // namespace railhead::agent
