// Which networks a pod asks for, and what they are.
#pragma once

#include "src/attach/config.h"
#include "src/base/mac.h"

#include <memory>
#include <mutex>
#include <optional>
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
  // All below: checked, empty when the annotation has none.
  std::vector<std::string> ips;  // addresses, with or without a prefix length
  std::string mac;
  std::string infinibandGuid;
  std::string deviceId;                 // for plugins of a network without a resource
  std::vector<IpAddress> defaultRoute;  // gateways; at most one of each family
  // JSON text for plugins, as the annotation has it.
  std::string bandwidth;
  std::string portMappings;
  std::string cniArguments;
  std::vector<std::string> ignored;  // keys without effect, as Multus takes them: worth a warning

  std::string qualifiedName() const { return networkNamespace + "/" + name; }
};

// Parses the short form "ns/name@ifname, ..." and the JSON list form. An empty annotation is an
// empty list. kInvalidArgument names the element, the field, its value and what is allowed. Pure.
Result<std::vector<NetworkSelection>> parseNetworks(std::string_view annotation,
                                                    const std::string& podNamespace);

// kInvalidArgument names the one that is no address, with or without a prefix length.
Result<void> checkIps(const std::vector<std::string>& ips);

// A MAC that one interface can have, its bytes joined by ':' or, as Go's net.ParseMAC takes it,
// too, by '-'. kInvalidArgument names `field`, the text and what is allowed.
Result<Mac> parseInterfaceMac(std::string_view text, std::string_view field);

// One CNI plugin as a network's author configured it.
struct PluginConfig {
  std::string type;    // name of the executable
  std::string config;  // JSON object with name, cniVersion and type
};

// What a name stands for: rails of ours, CNI plugins that are executed, or rails with plugins
// chained behind them.
struct Network {
  std::optional<NetworkDefinition> rails;
  std::string cniVersion;             // the plugins'
  std::string resourceName;           // whose devices it uses; empty: none
  std::vector<PluginConfig> plugins;  // in the order of ADD
  // The list's disableCheck and disableGC: its author wants no such calls.
  bool checkDisabled = false;
  bool gcDisabled = false;
};

// Looks networks up by name. Implementations are thread-safe.
class NetworkCatalog {
 public:
  virtual ~NetworkCatalog() = default;
  // kNotFound names the network and what there is; kUnavailable while it cannot be told.
  virtual Result<Network> find(const std::string& networkNamespace, const std::string& name) = 0;
};

// The networks written in the agent's configuration. Thread-safe.
class ConfiguredNetworks final {
 public:
  explicit ConfiguredNetworks(std::vector<NetworkDefinition> networks)
      : networks_(std::move(networks)) {}
  void replace(std::vector<NetworkDefinition> networks);  // requests under way keep the old ones
  // The one for this namespace, else the one for every namespace.
  std::optional<NetworkDefinition> find(const std::string& networkNamespace,
                                        const std::string& name) const;
  std::vector<std::string> names() const;  // "namespace/name", "*/name" for every namespace
  bool useSoftRoce(const std::string& resource) const;  // whether one of this resource does

 private:
  mutable std::mutex mutex_;
  std::vector<NetworkDefinition> networks_;
};

}  // namespace railhead::attach
