// GC and STATUS of the plugins that networks have. The plugins of a pod's networks get GC. They get
// no STATUS: what one pod's extra network needs must not make the whole node unready.
#include "src/attach/attach_plan.h"
#include "src/attach/attacher.h"
#include "src/attach/failures.h"
#include "src/attach/plugin_config.h"
#include "src/cni/protocol.h"

#include <algorithm>

namespace railhead::attach {
namespace {

// Both commands exist since 1.1.0.
bool hasNetworkCommands(const std::string& version) {
  const auto first = std::find(cni::kVersions.begin(), cni::kVersions.end(), "1.1.0");
  return std::find(first, cni::kVersions.end(), version) != cni::kVersions.end();
}

// "namespace/name", as records have it.
Result<Network> lookUp(NetworkCatalog& networks, const std::string& qualified) {
  const auto slash = qualified.find('/');
  if (slash == std::string::npos) return Error(ErrorCode::kNotFound, "network " + qualified);
  return networks.find(qualified.substr(0, slash), qualified.substr(slash + 1));
}

}  // namespace

void Attacher::collectInPlugins(const CniRequest& request, const Budget& budget,
                                SweepReport& report) {
  if (!knowsAll_) return;  // what a record that cannot be read tells of would pass for stale
  // A plugin gets all that is valid, not only what its own network has: what is none of its
  // business does it no harm, and networks of several names may share one plugin's state.
  std::set<AttachmentId> valid(request.validAttachments.begin(), request.validAttachments.end());
  std::set<std::string> networks;
  for (const Attachment& attachment : table_.all()) {
    for (const auto* chains : {&attachment.ipam, &attachment.delegates}) {
      for (const ChainRecord& chain : *chains) {
        valid.insert({attachment.id.containerId, chain.ifname});
        networks.insert(chain.network);
      }
    }
  }
  const auto note = [&](Result<void> done) {
    if (!done.has_value()) report.failed.push_back(std::move(done).error());
  };
  if (!request.inlineNetwork.ipamType.empty()) {
    note(askIpam("GC", request, budget, &valid));
    return;  // a delegate's one network
  }
  // None takes the time of those after it.
  std::size_t left = networks.size();
  for (const std::string& network : networks) {
    const Budget share(seams_.clock, budget.left() / left--);
    note(collectInNetwork(network, request, share, valid));
  }
}

Result<void> Attacher::collectInNetwork(const std::string& network, const CniRequest& request,
                                        const Budget& budget, const std::set<AttachmentId>& valid) {
  const auto found = lookUp(seams_.networks, network);
  // Of a network that is gone each pod's DEL still calls the plugins.
  if (!found.has_value() || found->gcDisabled || !hasNetworkCommands(found->cniVersion)) return {};
  std::vector<PluginConfig> plugins = found->plugins;
  if (found->rails && !found->rails->ipamType.empty())
    plugins.insert(plugins.begin(), PluginConfig{found->rails->ipamType, found->rails->ipamConfig});
  PluginArguments arguments;
  arguments.files = pluginFiles(config_);
  RAILHEAD_TRY_ASSIGN(const auto inputs,
                      pluginInputs(plugins, arguments).addContext("network " + network));
  Failures failures;
  for (PluginConfig input : inputs) {
    RAILHEAD_TRY_ASSIGN(input.config, withValidAttachments(input.config, valid));
    failures.add(callAboutNetwork(pluginHost(budget), "GC", input, request.cniPath)
                     .addContext("network " + network));
  }
  return failures.outcome();
}

Result<void> Attacher::askIpam(const char* command, const CniRequest& request, const Budget& budget,
                               const std::set<AttachmentId>* valid) {
  const InlineNetwork& own = request.inlineNetwork;
  if (own.ipamType.empty() || !hasNetworkCommands(request.cniVersion)) return {};
  PluginArguments arguments;
  arguments.files = pluginFiles(config_);
  RAILHEAD_TRY_ASSIGN(auto inputs, pluginInputs({{own.ipamType, own.ipamConfig}}, arguments));
  PluginConfig& input = inputs.front();
  if (valid != nullptr) {
    RAILHEAD_TRY_ASSIGN(input.config, withValidAttachments(input.config, *valid));
  }
  return callAboutNetwork(pluginHost(budget), command, input, request.cniPath);
}

}  // namespace railhead::attach
