#include "src/agent/cluster/node_labels.h"

#include "src/base/text.h"
#include "src/json/json.h"

#include <vector>

#include <nlohmann/json.hpp>

namespace railhead::agent {
namespace {

using json::member;
using Json = json::Value;

constexpr const char* kOurs = "railhead.io/labels";
constexpr std::size_t kMaxOurs = 16U << 10;

}  // namespace

Result<std::string> labelPatch(std::string_view node, const Labels& labels) {
  auto object = json::parseObject(node, "the node");
  if (!object.has_value()) return Error(ErrorCode::kCorrupt, object.error().message);
  const Json* metadata = member(*object, "metadata");
  if (metadata == nullptr) return Error(ErrorCode::kCorrupt, "the node has no metadata");
  const Json* there = member(*metadata, "labels");
  const Json* annotations = member(*metadata, "annotations");
  const std::string before =
      annotations == nullptr ? "" : json::textMember(*annotations, kOurs, kMaxOurs).value_or("");
  Json changes = Json::object();
  for (const auto name : split(before, ',')) {
    if (!name.empty() && labels.count(std::string(name)) == 0) changes[std::string(name)] = nullptr;
  }
  std::vector<std::string> names;
  for (const auto& [name, value] : labels) {
    names.push_back(name);
    const Json* present = there == nullptr ? nullptr : member(*there, name);
    if (present == nullptr || *present != value) changes[name] = value;
  }
  const std::string after = join(names, ",");
  if (changes.empty() && before == after) return std::string();
  return json::dump(
      Json{{"metadata", {{"labels", std::move(changes)}, {"annotations", {{kOurs, after}}}}}});
}

Result<std::unique_ptr<NodeLabeler>> NodeLabeler::start(kube::ApiServer& api, os::Log& log,
                                                        std::string node,
                                                        kube::PauseLimits pauses) {
  RAILHEAD_TRY_ASSIGN(kube::Cancel cancel, kube::Cancel::create());
  return std::unique_ptr<NodeLabeler>(
      new NodeLabeler(api, log, std::move(node), pauses, std::move(cancel)));
}

NodeLabeler::NodeLabeler(kube::ApiServer& api, os::Log& log, std::string node,
                         kube::PauseLimits pauses, kube::Cancel cancel)
    : api_(api),
      log_(log),
      node_{{"", "v1", "nodes", ""}, std::move(node)},
      pauses_(pauses),
      cancel_(std::move(cancel)),
      thread_([this] { run(); }) {}

NodeLabeler::~NodeLabeler() {
  cancel_.cancel();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void NodeLabeler::set(Labels labels) {
  const std::lock_guard lock(mutex_);
  if (wanted_ == labels) return;
  wanted_ = std::move(labels);
  changed_.notify_all();
}

Result<void> NodeLabeler::write(const Labels& labels) {
  RAILHEAD_TRY_ASSIGN(const std::string node, api_.get(node_, cancel_));
  RAILHEAD_TRY_ASSIGN(const std::string patch, labelPatch(node, labels));
  if (patch.empty()) return {};
  RAILHEAD_TRY(api_.mergePatch(node_, patch, cancel_));
  return {};
}

void NodeLabeler::run() {
  kube::RetryPause pause(pauses_);
  std::string lastFailure;
  for (;;) {
    Labels labels;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || wanted_ != written_; });
      if (stopping_) return;
      labels = *wanted_;
    }
    const auto done = write(labels);
    if (cancel_.cancelled()) return;
    if (done.has_value()) {
      pause.succeeded();
      lastFailure.clear();
      const std::lock_guard lock(mutex_);
      written_ = std::move(labels);
      continue;
    }
    if (done.error().message != lastFailure)
      log_.warning("labels", "not written: " + done.error().describe());
    lastFailure = done.error().message;
    if (cancel_.waitFor(pause.next())) return;
  }
}

}  // namespace railhead::agent
