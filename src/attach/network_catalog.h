// Every network a pod can name: the agent's configuration first, then NetworkAttachmentDefinitions.
#pragma once

#include "src/attach/nad.h"
#include "src/attach/networks.h"
#include "src/os/filesystem.h"

#include <string>
#include <vector>

namespace railhead::attach {

// Thread-safe as its parts are, which outlive it.
class LayeredCatalog final : public NetworkCatalog {
 public:
  // `nads` may be null. A NAD without spec.config stands for the file in `multusFolder`, or else in
  // `cniConfigFolder`, whose configuration has its name, as with Multus. Neither need exist.
  LayeredCatalog(const ConfiguredNetworks& configured, NadSource* nads, os::Filesystem& files,
                 std::string cniConfigFolder, std::string multusFolder)
      : configured_(configured),
        nads_(nads),
        files_(files),
        folders_{std::move(multusFolder), std::move(cniConfigFolder)} {}

  Result<Network> find(const std::string& networkNamespace, const std::string& name) override;
  // Whether a network of this resource, configured or a NAD, makes soft-RoCE devices. NADs that
  // cannot be used are passed over.
  bool useSoftRoce(const std::string& resource);

 private:
  Result<std::string> fileFor(const std::string& name);
  Result<std::string> fileIn(const std::string& folder, const std::string& name);
  Error unknown(const std::string& networkNamespace, const std::string& name);

  const ConfiguredNetworks& configured_;
  NadSource* nads_;
  os::Filesystem& files_;
  const std::vector<std::string> folders_;  // of files for NADs without a configuration
};

}  // namespace railhead::attach
