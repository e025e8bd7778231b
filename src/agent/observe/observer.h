// What the agent tells whoever watches it: GET /metrics, /healthz and /readyz.
#pragma once

#include "src/agent/delivery/delivery.h"
#include "src/agent/gpu_offers.h"
#include "src/agent/node_view.h"
#include "src/agent/observe/counts.h"
#include "src/agent/observe/threads.h"
#include "src/agent/offers.h"
#include "src/attach/journal.h"
#include "src/metrics/exposition.h"
#include "src/metrics/http_endpoint.h"
#include "src/netlink/client.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace railhead::agent {

struct ObservedState {
  std::shared_ptr<const NodeSnapshot> node;
  std::vector<OfferStatus> offers;
  std::vector<GpuResourceStatus> gpus;
  std::vector<attach::Attachment> attachments;
  bool offersWanted = true;  // functions.rails
  bool cniWanted = true;     // functions.cni
  bool cniServed = false;
  std::string conflistFailure;  // why the runtime cannot be brought to call us; empty: it can
  ProfileStatus profile;
};

// Thread-safe as what it is given.
class Observer {
 public:
  // All of these outlive it.
  Observer(os::Filesystem& files, netlink::NetlinkOpener& netlink, const os::HostPaths& paths,
           const Counts& counts, const WatchedThreads& threads, std::function<ObservedState()> look)
      : files_(files),
        netlink_(netlink),
        paths_(paths),
        counts_(counts),
        threads_(threads),
        look_(std::move(look)) {}

  // Why the agent should be restarted, and why it does not serve; empty when all is well.
  std::string notLive() const;
  std::string notReady() const;

  // /metrics: docs/reference/metrics.md. /healthz: 503 when a loop of the agent stands still or a
  // thread of it hangs.
  // /readyz: 503 until kubelet has accepted every resource and the CNI socket is served.
  metrics::HttpAnswer answer(std::string_view path) const;

  void write(metrics::Exposition& out) const;

 private:
  os::Filesystem& files_;
  netlink::NetlinkOpener& netlink_;
  const os::HostPaths& paths_;
  const Counts& counts_;
  const WatchedThreads& threads_;
  const std::function<ObservedState()> look_;
};

}  // namespace railhead::agent
