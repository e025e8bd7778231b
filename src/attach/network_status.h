// The pod annotation k8s.v1.cni.cncf.io/network-status: what a pod's networks have become.
#pragma once

#include "src/attach/journal.h"
#include "src/attach/request.h"
#include "src/attach/result.h"
#include "src/base/result.h"

#include <string>
#include <vector>

namespace railhead::attach {

// Takes the status of a pod when its networks are attached, from the thread of its ADD, which
// waits: whoever writes it to the API server does so later. Thread-safe.
class StatusSink {
 public:
  virtual ~StatusSink() = default;
  // `status`: the annotation's value, a JSON list. May be told the same again.
  virtual void attached(const std::string& podNamespace, const std::string& pod,
                        const std::string& podUid, const std::string& status) = 0;
};

// What a rail is in its pod, told as a result.
NetworkResult resultOf(const RailRecord& rail, const std::string& netnsPath);

// What each network of the attachment gave the pod, in the order of the CNI result: rails, with
// what is chained to them, then the other networks. kCorrupt for a plugin's result of another form.
Result<std::vector<NetworkResult>> resultsOf(const Attachment& attachment);

// The annotation's value: the primary network (the request's prevResult) first and as the default
// one, then an object for each interface that the attachment has in the pod. Errors as above, and
// kInvalidArgument for a prevResult of another form.
Result<std::string> networkStatus(const CniRequest& request, const Attachment& attachment);

}  // namespace railhead::attach
