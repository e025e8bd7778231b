// The agent's picture of its node, shared by the parts that ask for it: one snapshot at a time,
// replaced as a whole. Thread-safe.
#pragma once

#include "src/advertise/inventory.h"
#include "src/attach/attacher.h"
#include "src/attach/devices.h"
#include "src/discover/node.h"
#include "src/discover/twins.h"
#include "src/kube/pod_resources_client.h"
#include "src/os/clock.h"
#include "src/provision/provision.h"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace railhead::agent {

struct NodeSnapshot {
  discover::Node node;   // as it is
  discover::Node known;  // as its functions last showed themselves: what follows is made of it
  discover::Cages cages;
  discover::RailSets rails;

  advertise::RailPicture picture() const { return {node, known, rails}; }
};

class NodeView final : public attach::RailCatalog {
 public:
  void replace(NodeSnapshot snapshot) {
    const std::lock_guard lock(mutex_);
    snapshot_ = std::make_shared<const NodeSnapshot>(std::move(snapshot));
  }
  std::shared_ptr<const NodeSnapshot> current() const {
    const std::lock_guard lock(mutex_);
    return snapshot_;
  }
  std::vector<discover::RailSet> railSets() override { return current()->rails.offered; }
  std::vector<discover::RailSet> singleRails() override { return current()->rails.singles; }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const NodeSnapshot> snapshot_ = std::make_shared<const NodeSnapshot>();
};

// kubelet's answer to "which devices does this pod hold". Thread-safe.
class KubeletPodDevices final : public attach::PodDevices {
 public:
  explicit KubeletPodDevices(const std::string& socketPath) : client_(socketPath) {}
  Result<Held> heldBy(const std::string& podNamespace, const std::string& pod) override;
  // Every device of our resources that a pod holds.
  Result<std::vector<kube::PodDevices>> all();

 private:
  kube::PodResourcesClient client_;
};

// Who holds VFs: pods by kubelet's word, whichever plugin handed them out, and attachments by ours.
// A machine that never had a kubelet is no error. One whose kubelet does not answer, or is not
// there now, is: a VF that it promised would look free.
class NodeVfHolders final : public provision::VfHolders {
 public:
  // `pluginsFolder`: kubelet's, for what it leaves there.
  NodeVfHolders(KubeletPodDevices& kubelet, std::string pluginsFolder)
      : kubelet_(kubelet), pluginsFolder_(std::move(pluginsFolder)) {}
  void setAttacher(attach::Attacher* attacher) { attacher_ = attacher; }
  Result<std::vector<provision::Holder>> holders() override;

 private:
  KubeletPodDevices& kubelet_;
  const std::string pluginsFolder_;
  attach::Attacher* attacher_ = nullptr;
};

}  // namespace railhead::agent
