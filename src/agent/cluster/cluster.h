// The agent's side of the cluster: what its configuration asks of the Kubernetes API server, each
// part with its own thread. Without any of it nothing is loaded, started or asked. Thread-safe once
// started.
#pragma once

#include "src/agent/cluster/attach_events.h"
#include "src/agent/cluster/config.h"
#include "src/agent/cluster/event_recorder.h"
#include "src/agent/cluster/health_news.h"
#include "src/agent/cluster/node_labels.h"
#include "src/agent/cluster/ordinal_keeper.h"
#include "src/agent/cluster/pod_status.h"
#include "src/attach/nad.h"
#include "src/attach/network_status.h"
#include "src/attach/server.h"
#include "src/base/result.h"
#include "src/kube/api/nad_sources.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/log.h"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace railhead::agent {

// How the API server is reached, and who we are there.
struct ClusterAccess {
  std::function<Result<std::unique_ptr<kube::ApiServer>>()> open;
  std::string node;          // name of the Node object
  std::string ownNamespace;  // of the agent's pod; empty: not known
};

// All outlive it. `access` may be null where the configuration needs no API server.
struct ClusterSeams {
  os::Filesystem& files;
  os::Clock& clock;
  os::Log& log;
  const ClusterAccess* access;
};

class Cluster final : public attach::StatusSink {
 public:
  Cluster(ClusterConfig config, std::string stateFolder, ClusterSeams seams);
  ~Cluster() override;  // stops
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Again is fine. An API server that does not answer is no Error; a configuration that needs one
  // where none can be named is: kEnvironment.
  Result<void> start();
  void stop();  // ends every call under way

  // The node's ordinal by its Lease, among `nodes` (0: not said); null when the configuration does
  // not ask for one. After start(), until stop(); asked for again, it is the same. kEnvironment:
  // the Leases' namespace is not known.
  Result<attach::NodeOrdinal*> ordinal(int nodes);

  // NADs that are known now; null when the configuration takes none.
  attach::NadSource* nads();
  // Answers as `handler` does, and makes an event of each ADD that fails.
  attach::CniHandler reporting(attach::CniHandler handler);
  // What a pod's networks have become (pod_status.h). Nothing happens unless configured.
  void attached(const std::string& podNamespace, const std::string& pod, const std::string& podUid,
                const std::string& status) override;
  // How all devices are now: differences become events.
  void observe(const std::vector<DeviceHealth>& devices);
  void label(Labels labels);

 private:
  class StoredNads;
  Result<void> openApi();
  Result<void> startNads();

  const ClusterConfig config_;
  const std::string stateFolder_;
  const ClusterSeams seams_;
  std::unique_ptr<kube::ApiServer> api_;
  std::unique_ptr<kube::NadStore> store_;
  std::unique_ptr<StoredNads> nads_;
  std::unique_ptr<kube::NadWatch> nadWatch_;
  std::unique_ptr<kube::NadFolder> nadFolder_;
  std::unique_ptr<EventRecorder> events_;
  std::unique_ptr<PodStatusWriter> statuses_;
  std::unique_ptr<NodeLabeler> labels_;
  std::unique_ptr<OrdinalKeeper> ordinal_;
  std::mutex newsMutex_;
  std::optional<HealthNews> news_;
};

}  // namespace railhead::agent
