// Every network a pod can name: the agent's configuration first, then NetworkAttachmentDefinitions.
#pragma once

#include "src/attach/nad.h"
#include "src/attach/networks.h"
#include "src/os/filesystem.h"

#include <string>

namespace railhead::attach {

// Thread-safe as its parts are, which outlive it.
class LayeredCatalog final : public NetworkCatalog {
 public:
  // `nads` may be null. A NAD without spec.config stands for the file in `cniConfigFolder` whose
  // configuration has its name, as with Multus.
  LayeredCatalog(const ConfiguredNetworks& configured, NadSource* nads, os::Filesystem& files,
                 std::string cniConfigFolder)
      : configured_(configured), nads_(nads), files_(files), folder_(std::move(cniConfigFolder)) {}

  Result<Network> find(const std::string& networkNamespace, const std::string& name) override;
  // Whether a network of this resource, configured or a NAD, makes soft-RoCE devices. NADs that
  // cannot be used are passed over.
  bool useSoftRoce(const std::string& resource);

 private:
  Result<std::string> fileFor(const std::string& name);
  Error unknown(const std::string& networkNamespace, const std::string& name);

  const ConfiguredNetworks& configured_;
  NadSource* nads_;
  os::Filesystem& files_;
  const std::string folder_;
};

}  // namespace railhead::attach
