#include "src/agent/cluster/pod_status.h"

#include "src/json/json.h"

#include <set>
#include <utility>

#include <nlohmann/json.hpp>

namespace railhead::agent {
namespace {

using json::member;
using Json = json::Value;

constexpr const char* kNetworkStatus = "k8s.v1.cni.cncf.io/network-status";
constexpr const char* kMirror = "kubernetes.io/config.mirror";
constexpr std::size_t kMaxStatus = 200U << 10;  // of the 256 KiB that annotations may have

std::string interfaceOf(const Json& entry) {
  return json::textMember(entry, "interface", 64).value_or("");
}

bool mayWorkLater(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kDeadlineExceeded ||
         code == ErrorCode::kBusy;
}

}  // namespace

Result<std::string> mergedNetworkStatus(std::string_view present, std::string_view ours) {
  RAILHEAD_TRY_ASSIGN(const Json mine, json::parse(ours, "the pod's network status"));
  if (!mine.is_array())
    return Error(ErrorCode::kInvalidArgument, "the pod's network status is no JSON list");
  std::set<std::string> named;
  for (const Json& entry : mine) named.insert(interfaceOf(entry));
  Json merged = Json::array();
  const auto others = json::parse(present, "the annotation");
  if (others.has_value() && others->is_array()) {
    for (const Json& entry : *others) {
      const std::string interface = interfaceOf(entry);
      if (!interface.empty() && named.count(interface) == 0) merged.push_back(entry);
    }
  }
  for (const Json& entry : mine) merged.push_back(entry);
  std::string text = json::dump(merged);
  if (text.size() > kMaxStatus) {
    return Error(ErrorCode::kExhausted, "the pod's network status has " +
                                            std::to_string(text.size()) +
                                            " bytes; allowed: " + std::to_string(kMaxStatus));
  }
  return text;
}

Result<std::unique_ptr<PodStatusWriter>> PodStatusWriter::start(kube::ApiServer& api, os::Log& log,
                                                                PodStatusLimits limits) {
  RAILHEAD_TRY_ASSIGN(kube::Cancel cancel, kube::Cancel::create());
  return std::unique_ptr<PodStatusWriter>(new PodStatusWriter(api, log, limits, std::move(cancel)));
}

PodStatusWriter::PodStatusWriter(kube::ApiServer& api, os::Log& log, PodStatusLimits limits,
                                 kube::Cancel cancel)
    : api_(api),
      log_(log),
      limits_(limits),
      cancel_(std::move(cancel)),
      queue_(limits.waiting),
      thread_([this] { run(); }) {}

PodStatusWriter::~PodStatusWriter() {
  cancel_.cancel();
  queue_.close();
  thread_.join();
}

void PodStatusWriter::attached(const std::string& podNamespace, const std::string& pod,
                               const std::string& podUid, const std::string& status) {
  Work work{podNamespace, pod, podUid, status};
  if (queue_.push(work)) return;
  log_.warning("network-status", "left out for pod " + work.name() + ": " +
                                     std::to_string(limits_.waiting) + " pods are waiting");
}

Result<void> PodStatusWriter::write(const Work& work) {
  const kube::ObjectName name{{"", "v1", "pods", work.podNamespace}, work.pod};
  RAILHEAD_TRY_ASSIGN(const std::string text, api_.get(name, cancel_));
  RAILHEAD_TRY_ASSIGN(const Json pod, json::parseObject(text, "the pod"));
  const Json* metadata = member(pod, "metadata");
  if (metadata == nullptr) return Error(ErrorCode::kCorrupt, "the pod has no metadata");
  RAILHEAD_TRY_ASSIGN(const std::string uid, json::textMember(*metadata, "uid", 128));
  RAILHEAD_TRY_ASSIGN(const std::string version,
                      json::textMember(*metadata, "resourceVersion", 128));
  std::string present;
  std::string mirrored;  // of a static pod: the UID that its node, and so the runtime, knows
  if (const Json* annotations = member(*metadata, "annotations")) {
    // One that is too long or no text is written over.
    present = json::textMember(*annotations, kNetworkStatus, kMaxStatus).value_or("");
    mirrored = json::textMember(*annotations, kMirror, 128).value_or("");
  }
  if (!work.uid.empty() && uid != work.uid && mirrored != work.uid)
    return Error(ErrorCode::kNotFound, "another pod of that name is there");
  RAILHEAD_TRY_ASSIGN(const std::string merged, mergedNetworkStatus(present, work.status));
  if (merged == present) return {};
  // With the version that was read: what another CNI plugin writes meanwhile is not lost.
  const Json patch{
      {"metadata",
       {{"uid", uid}, {"resourceVersion", version}, {"annotations", {{kNetworkStatus, merged}}}}}};
  // By the status, whose right cannot touch what the pod runs; annotations are taken there too.
  RAILHEAD_TRY(api_.mergePatch(name, json::dump(patch), cancel_, "status"));
  return {};
}

void PodStatusWriter::run() {
  while (const auto work = queue_.pop()) {
    kube::RetryPause pause(limits_.pauses);
    auto written = write(*work);
    for (int left = limits_.tries - 1;
         !written.has_value() && left > 0 && mayWorkLater(written.error().code); --left) {
      if (cancel_.waitFor(pause.next())) return;
      written = write(*work);
    }
    if (cancel_.cancelled()) return;
    // A pod that is gone needs none.
    if (!written.has_value() && written.error().code != ErrorCode::kNotFound)
      log_.warning("network-status",
                   "not written for pod " + work->name() + ": " + written.error().describe());
  }
}

}  // namespace railhead::agent
