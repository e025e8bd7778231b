// One CNI request as typed values. Everything here came from outside and is checked and bounded.
#pragma once

#include "src/attach/inline_network.h"
#include "src/attach/networks.h"
#include "src/base/result.h"
#include "src/cni/names.h"
#include "src/cni/protocol.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace railhead::attach {

enum class CniCommand { kAdd, kDel, kCheck, kGc, kStatus };
std::string_view cniCommandName(CniCommand command);

// Which pod interface a request is about.
struct AttachmentId {
  std::string containerId;
  std::string ifname;  // CNI_IFNAME: eth0 when chained, the pod's own netN under Multus
  auto operator<=>(const AttachmentId&) const = default;
  std::string toString() const { return containerId + "/" + ifname; }
};

struct PodId {
  std::string podNamespace;
  std::string name;
  std::string uid;
  std::string toString() const { return podNamespace + "/" + name; }
};

struct CniRequest {
  CniCommand command = CniCommand::kAdd;
  std::string cniVersion;
  std::string networkName;  // the configuration's "name"
  AttachmentId id;          // empty for GC and STATUS
  std::string netnsPath;    // may be empty for DEL
  PodId pod;                // empty when the runtime says nothing about pods
  std::string prevResult;   // JSON text, as it came; empty when there is none
  // For plugins that are executed: CNI_ARGS and CNI_PATH as they came, and the pod's annotations as
  // a JSON object when the runtime gives them.
  std::string cniArgs;
  std::string cniPath;
  std::string podAnnotations;
  // Chained: what the annotation asks for, not yet parsed. Empty when nothing is asked for.
  std::string networksAnnotation;
  // What the pod asks Multus for as its primary network; here it comes too late.
  std::string defaultNetwork;
  // Delegate (called by Multus): the device chosen for us. Empty when chained.
  std::string deviceId;
  InlineNetwork inlineNetwork;                 // delegate: what the configuration itself says
  std::vector<AttachmentId> validAttachments;  // GC
  // How long whoever asks still waits for the answer; nothing: not said.
  std::optional<std::chrono::milliseconds> patience;
};

struct CniRefusal {
  cni::CniError error;
  std::string cniVersion;  // to answer in; empty when it is not known
};

// A refused call comes back as the CNI error to print.
tl::expected<CniRequest, CniRefusal> parseRequest(const cni::Call& call);

using cni::checkInterfaceName;
using cni::checkSpecName;

}  // namespace railhead::attach
