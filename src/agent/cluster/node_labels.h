// Keeps labels on the Node object, from a thread of its own. The names that are ours stand in the
// annotation railhead.io/labels of the node, so that the next agent removes those that no longer
// hold; labels of others stay.
#pragma once

#include "src/base/result.h"
#include "src/kube/api/api_server.h"
#include "src/kube/api/retry_pause.h"
#include "src/os/log.h"

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace railhead::agent {

using Labels = std::map<std::string, std::string>;

class NodeLabeler {
 public:
  // Both outlive it.
  static Result<std::unique_ptr<NodeLabeler>> start(kube::ApiServer& api, os::Log& log,
                                                    std::string node,
                                                    kube::PauseLimits pauses = {});
  ~NodeLabeler();  // ends the call under way, joins; labels stay
  NodeLabeler(const NodeLabeler&) = delete;
  NodeLabeler& operator=(const NodeLabeler&) = delete;

  // All that the node is to have of ours. Written soon when it differs from the last; a failure is
  // tried again after growing pauses. Never waits. Thread-safe.
  void set(Labels labels);

 private:
  NodeLabeler(kube::ApiServer& api, os::Log& log, std::string node, kube::PauseLimits pauses,
              kube::Cancel cancel);
  void run();
  Result<void> write(const Labels& labels);

  kube::ApiServer& api_;
  os::Log& log_;
  const kube::ObjectName node_;
  const kube::PauseLimits pauses_;
  kube::Cancel cancel_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::optional<Labels> wanted_;
  std::optional<Labels> written_;
  std::thread thread_;
};

// The merge patch that brings `node` (JSON text) to these labels; empty when nothing is different.
// kCorrupt. Pure.
Result<std::string> labelPatch(std::string_view node, const Labels& labels);

}  // namespace railhead::agent
