// A kubelet stand-in in a folder of its own, for tests of anything that talks to kubelet. Pods get
// plain files instead of network namespaces, so no privilege is needed; CNI plugins are real
// programs that the test puts in place.
#pragma once

#include "lab/kubelet/direct_runtime.h"
#include "lab/kubelet/kubelet.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/os/process.h"

#include <memory>
#include <string>

namespace railhead::lab {

// Stateful: a sandbox is a file that exists until it is removed.
class FileSandboxes final : public SandboxMaker {
 public:
  explicit FileSandboxes(std::string folder) : folder_(std::move(folder)) {}
  Result<std::string> make(const std::string& name) override;
  Result<void> remove(const std::string& path) override;

 private:
  std::string folder_;
};

class KubeletRig {
 public:
  // Makes the folders in a new temporary folder, removed with the rig; starts nothing.
  static Result<std::unique_ptr<KubeletRig>> make(KubeletOptions options = {});
  ~KubeletRig();
  KubeletRig(const KubeletRig&) = delete;
  KubeletRig& operator=(const KubeletRig&) = delete;

  Kubelet& kubelet() { return *kubelet_; }
  const std::string& root() const { return root_; }
  std::string pluginsFolder() const { return root_ + "/plugins"; }
  std::string podResourcesSocket() const { return root_ + "/pods/" + os::kKubeletSocket; }
  std::string cniConfigFolder() const { return root_ + "/net.d"; }
  std::string cniBinFolder() const { return root_ + "/bin"; }
  std::string netnsFolder() const { return root_ + "/netns"; }
  // A program in the CNI bin folder that runs `script` with /bin/sh.
  Result<void> installPlugin(const std::string& type, const std::string& script);
  Result<void> writeFile(const std::string& path, const std::string& text);

 private:
  explicit KubeletRig(std::string root) : root_(std::move(root)), sandboxes_(netnsFolder()) {}

  std::string root_;
  std::unique_ptr<os::Filesystem> files_;
  os::SystemProcessRunner processes_;
  os::SystemClock clock_;
  FileSandboxes sandboxes_;
  std::unique_ptr<CniRuntime> cni_;
  std::unique_ptr<DirectRuntime> runtime_;
  std::unique_ptr<Kubelet> kubelet_;
};

}  // namespace railhead::lab
