#include "lab/kubelet/rig.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include <sys/stat.h>
#include <unistd.h>

namespace railhead::lab {

Result<std::string> FileSandboxes::make(const std::string& name) {
  const std::string path = folder_ + "/" + name;
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
  RAILHEAD_TRY(files->replaceFile(path, "", 0444));
  return path;
}

Result<void> FileSandboxes::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return Error::fromErrno(errno, "remove " + path);
  }
  return {};
}

Result<std::unique_ptr<KubeletRig>> KubeletRig::make(KubeletOptions options) {
  std::string folder = std::filesystem::temp_directory_path().string() + "/rh-kubelet-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return Error::fromErrno(errno, "make " + folder);
  auto rig = std::unique_ptr<KubeletRig>(new KubeletRig(folder));
  RAILHEAD_TRY_ASSIGN(rig->files_, os::RootedFilesystem::open("/"));
  options.pluginsFolder = rig->pluginsFolder();
  options.podResourcesFolder = folder + "/pods";
  options.logFolder = folder + "/logs";
  for (const auto& made : {options.pluginsFolder, options.podResourcesFolder, options.logFolder,
                           rig->cniConfigFolder(), rig->cniBinFolder(), rig->netnsFolder()}) {
    RAILHEAD_TRY(rig->files_->makeDirectories(made));
  }
  CniRuntime::Places places{rig->cniConfigFolder(), {rig->cniBinFolder()}, {}};
  if (const char* path = std::getenv("PATH")) places.environment["PATH"] = path;
  rig->cni_ = std::make_unique<CniRuntime>(places, *rig->files_, rig->processes_, rig->clock_);
  rig->runtime_ = std::make_unique<DirectRuntime>(*rig->cni_, rig->sandboxes_);
  rig->kubelet_ = std::make_unique<Kubelet>(options, *rig->runtime_);
  return rig;
}

KubeletRig::~KubeletRig() {
  kubelet_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
}

Result<void> KubeletRig::writeFile(const std::string& path, const std::string& text) {
  return files_->replaceFile(path, text, 0644);
}

Result<void> KubeletRig::installPlugin(const std::string& type, const std::string& script) {
  return files_->replaceFile(cniBinFolder() + "/" + type, "#!/bin/sh\n" + script, 0755);
}

}  // namespace railhead::lab
