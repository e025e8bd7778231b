// The configuration that a CNI plugin gets on stdin: what a network's author wrote, with what one
// pod adds to it. Pure functions; thread-safe.
#pragma once

#include "src/attach/networks.h"
#include "src/attach/request.h"
#include "src/base/result.h"

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::attach {

// The key of a configuration that names where host-local and tuning keep their files.
inline constexpr const char* kDataFolder = "dataDir";

// The type of our own networks and IPAM.
inline constexpr std::string_view kOwnType = "railhead";

// The name of an executable: letters, digits, '-', '_', '.', not beginning with '.'.
Result<void> checkPluginType(std::string_view type, std::string_view field);

// What a pod's request and the node add; each part only reaches plugins that declare its
// capability, but for ips and mac (CNI_ARGS, too), cniArguments (args.cni), the device of a
// network's first plugin and the folder of files.
struct PluginArguments {
  std::vector<std::string> ips;
  std::string mac;
  std::string infinibandGuid;
  // JSON text, empty when there is none.
  std::string bandwidth;
  std::string portMappings;
  std::string podAnnotations;  // an object: all annotations of the pod
  std::string cniArguments;
  std::string deviceId;        // set as deviceID and pciBusID in the first plugin's configuration
  std::string askedDeviceId;   // the annotation's: deviceID only by capability, without another one
  std::string deviceInfoFile;  // CNIDeviceInfoFile
  // Where plugins that keep files (host-local, tuning) are told to keep them, unless the network
  // says where: their own default is not writable for an agent in a container. Empty: not told.
  std::string files;
};
PluginArguments argumentsOf(const NetworkSelection& selection);

// One JSON object for each plugin, without prevResult. kUnsupported, naming it, for something that
// the pod asks for and no plugin has the capability for.
Result<std::vector<PluginConfig>> pluginInputs(const std::vector<PluginConfig>& plugins,
                                               const PluginArguments& arguments);

// "IP=10.1.0.9/24,fd00::9/64;MAC=02:00:00:00:00:07": what Multus adds to CNI_ARGS of ADD, whatever
// the plugins declare. Empty when the pod asks for neither. `inputs`: as pluginInputs() gave them.
std::string argumentsForAdd(const std::vector<PluginConfig>& inputs,
                            const PluginArguments& arguments);

// CNI_ARGS without its IP, for plugins that are told in argumentsForAdd() which of them is theirs.
std::string withoutIps(const std::string& cniArgs);

// `config` with `ips` in runtimeConfig, if a runtime has put others there; else as it is.
Result<std::string> withIps(const std::string& config, const std::vector<std::string>& ips);

// Whether one of them has the capability CNIDeviceInfoFile.
bool wantDeviceInfo(const std::vector<PluginConfig>& plugins);

// `config` for a GC: with the attachments that are still valid.
Result<std::string> withValidAttachments(const std::string& config,
                                         const std::set<AttachmentId>& valid);

// `config` with prevResult set to the result `previous`; with an empty one it is returned as it is.
Result<std::string> withPrevious(const std::string& config, const std::string& previous);

}  // namespace railhead::attach
