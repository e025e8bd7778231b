// Which networks a pod asks for, and what they are.
#pragma once

#include "src/attach/config.h"

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::attach {

inline constexpr std::size_t kMaxAnnotation = 64 << 10;  // bytes
inline constexpr std::size_t kMaxNetworks = 32;          // in one pod

// One element of the annotation k8s.v1.cni.cncf.io/networks.
struct NetworkSelection {
  std::string networkNamespace;  // the pod's own when the annotation names none
  std::string name;
  std::string interface;  // wanted name of the first rail; empty: the next free netN
  // Parsed and checked; a VF-bound network refuses those it cannot honour.
  std::vector<std::string> ips;
  std::string mac;
  std::string infinibandGuid;
  std::vector<std::string> defaultRoute;
  bool hasCniArguments = false;

  std::string qualifiedName() const { return networkNamespace + "/" + name; }
};

// Parses the short form "ns/name@ifname, ..." and the JSON list form. An empty annotation is an
// empty list. kInvalidArgument names the element, the field, its value and what is allowed. Pure.
Result<std::vector<NetworkSelection>> parseNetworks(std::string_view annotation,
                                                    const std::string& podNamespace);

// Looks networks up by name. Implementations are thread-safe.
class NetworkCatalog {
 public:
  virtual ~NetworkCatalog() = default;
  // kNotFound names the network and what there is.
  virtual Result<NetworkDefinition> find(const std::string& networkNamespace,
                                         const std::string& name) = 0;
};

// The networks written in the agent's configuration.
class ConfiguredNetworks final : public NetworkCatalog {
 public:
  explicit ConfiguredNetworks(std::vector<NetworkDefinition> networks)
      : networks_(std::move(networks)) {}
  void replace(std::vector<NetworkDefinition> networks);  // requests under way keep the old ones
  Result<NetworkDefinition> find(const std::string& networkNamespace,
                                 const std::string& name) override;

 private:
  std::mutex mutex_;
  std::vector<NetworkDefinition> networks_;
};

}  // namespace railhead::attach
