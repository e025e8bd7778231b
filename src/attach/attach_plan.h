// From a request to the records of its attachment: names, addresses, MTU, RDMA, and what plugins
// are called with. Reads nothing from the node. Pure but for the interfaces it asks.
#pragma once

#include "src/attach/config.h"
#include "src/attach/devices.h"
#include "src/attach/journal.h"
#include "src/attach/request.h"

#include <string>
#include <vector>

namespace railhead::attach {

// Which networks the request is for and the device of each: the annotation's, or for a delegate the
// one network with the device it was called with.
Result<std::vector<NetworkChoice>> chooseNetworks(const CniRequest& request,
                                                  NetworkCatalog& networks, PodDevices& devices,
                                                  RailCatalog& catalog);

// Names the rails of one choice, `first` for rail 0: "net1" gives net1, net2; "roce" gives roce,
// roce2. kInvalidArgument when a name gets too long.
Result<std::vector<std::string>> railNames(const std::string& first, std::size_t rails);

// Fills the attachment's rails, ipam, delegates and defaultRoutes, without what only the host or a
// plugin can tell. `taken`: names that exist in the pod. kAlreadyExists when a wanted name is one
// of them; unnamed networks take the next free netN.
Result<void> planAttachment(const CniRequest& request, const std::vector<NetworkChoice>& choices,
                            const AttachConfig& config, std::vector<std::string> taken,
                            Attachment& attachment);

// Where plugins keep their files (PluginArguments::files).
std::string pluginFiles(const AttachConfig& config);

// After the IPAM plugins ran: their addresses and routes for the rails, and each default route on
// the rail whose subnet has the gateway. kInvalidArgument when none has, or when two rails of one
// rail set got one address; kCorrupt for a result without any.
Result<void> takeIpamResults(Attachment& attachment);

}  // namespace railhead::attach
