// NetworkAttachmentDefinitions as the attach module sees them, whoever keeps them: the API watch of
// the agent, files, or a test.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace railhead::attach {

// One object of k8s.cni.cncf.io/v1, as its author wrote it: nothing in it has been checked.
struct Nad {
  std::string podNamespace;  // metadata.namespace
  std::string name;          // metadata.name
  // The annotation k8s.v1.cni.cncf.io/resourceName; empty when it has none.
  std::string resourceName;
  std::string config;  // spec.config: JSON text of a CNI plugin or list; empty is allowed
  bool operator==(const Nad&) const = default;
};

// What NADs there are now. Implementations are thread-safe and answer from memory: a pod's ADD
// waits for no API server.
class NadSource {
 public:
  virtual ~NadSource() = default;
  virtual std::optional<Nad> find(const std::string& podNamespace, const std::string& name) = 0;
  // Whether what is not there does not exist: false until they were listed once.
  virtual bool isComplete() = 0;
  // "namespace/name" of each, in any order: for the error that lists what there is.
  virtual std::vector<std::string> names() = 0;
};

}  // namespace railhead::attach
