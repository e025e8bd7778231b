#include "src/agent/node_view.h"

#include "src/base/text.h"
#include "src/os/host_paths.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

namespace railhead::agent {
namespace {

constexpr std::chrono::seconds kKubeletDeadline{5};

// Whether a kubelet serves here or served: its socket goes when it ends, its checkpoint stays.
bool hasKubelet(const std::string& pluginsFolder) {
  std::error_code failed;
  for (const char* name : {os::kKubeletSocket, os::kKubeletCheckpoint}) {
    if (std::filesystem::exists(pluginsFolder + "/" + name, failed) || failed) return true;
  }
  return false;
}

os::Deadline deadline() { return std::chrono::steady_clock::now() + kKubeletDeadline; }

}  // namespace

Result<KubeletPodDevices::Held> KubeletPodDevices::heldBy(const std::string& podNamespace,
                                                          const std::string& pod) {
  RAILHEAD_TRY_ASSIGN(const auto devices, client_.get(podNamespace, pod, deadline()));
  // Container by container, and within one in the order of its PCIDEVICE_ variable: kubelet may
  // tell the devices of one in several entries, and in any order.
  Held held;
  std::set<std::pair<std::string, std::string>> done;  // resource, container
  for (const auto& first : devices) {
    if (!done.insert({first.resource, first.container}).second) continue;
    auto& ids = held[first.resource];
    const auto begin = static_cast<std::ptrdiff_t>(ids.size());
    for (const auto& entry : devices) {
      if (entry.resource == first.resource && entry.container == first.container)
        ids.insert(ids.end(), entry.ids.begin(), entry.ids.end());
    }
    std::sort(ids.begin() + begin, ids.end());
  }
  return held;
}

Result<std::vector<kube::PodDevices>> KubeletPodDevices::all() { return client_.list(deadline()); }

Result<std::vector<provision::Holder>> NodeVfHolders::holders() {
  std::vector<provision::Holder> holders;
  if (attacher_ != nullptr) {
    for (const auto& attachment : attacher_->attachments()) {
      const std::string pod = attachment.pod.podNamespace + "/" + attachment.pod.name;
      for (const auto& rail : attachment.rails) holders.push_back({pod, rail.vf});
    }
  }
  auto promised = kubelet_.all();
  if (!promised.has_value()) {
    if (promised.error().code == ErrorCode::kNotFound && !hasKubelet(pluginsFolder_))
      return holders;
    return std::move(promised)
        .error()
        .addContext("ask kubelet which pods hold VFs")
        .withRemedy("wait until kubelet serves, or correct --pod-resources");
  }
  for (const auto& entry : *promised) {
    for (const auto& id : entry.ids) {
      for (const auto part : split(id, '+')) {
        const auto vf = PciAddress::parse(part);
        if (vf.has_value()) holders.push_back({entry.podNamespace + "/" + entry.pod, *vf});
      }
    }
  }
  return holders;
}

}  // namespace railhead::agent
