// Where NetworkAttachmentDefinitions come from: the API server, or a folder of manifests. Each
// fills a NadStore from a thread of its own.
#pragma once

#include "src/base/result.h"
#include "src/kube/api/api_server.h"
#include "src/kube/api/nad_store.h"
#include "src/kube/api/retry_pause.h"
#include "src/os/filesystem.h"

#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace railhead::kube {

// Gets a line for each definition that cannot be used and for each failure, from the thread.
using NadProblem = std::function<void(const Error&)>;

// k8s.cni.cncf.io/v1, in every namespace. Where the cluster has no such kind there are none.
class NadWatch {
 public:
  // `api` and `store` outlive it.
  static Result<std::unique_ptr<NadWatch>> start(ApiServer& api, NadStore& store,
                                                 NadProblem problem, PauseLimits pauses = {});
  ~NadWatch();  // ends the call under way, joins
  NadWatch(const NadWatch&) = delete;
  NadWatch& operator=(const NadWatch&) = delete;

 private:
  NadWatch(ApiServer& api, NadStore& store, NadProblem problem, PauseLimits pauses, Cancel cancel);

  Cancel cancel_;
  std::thread thread_;
};

// *.yaml, *.yml and *.json of one folder, not of folders in it; links (a mounted ConfigMap) are
// followed. Read again when something changes there, at the latest after 30 s. A file that cannot
// be read or parsed is a problem and leaves the others alone; of two definitions of one name the
// one of the later file name holds. A folder that does not exist yet is waited for.
class NadFolder {
 public:
  static constexpr std::size_t kMaxFiles = 256;

  // Has read the folder once when it returns. `files` and `store` outlive it.
  static Result<std::unique_ptr<NadFolder>> start(os::Filesystem& files, std::string folder,
                                                  NadStore& store, NadProblem problem);
  ~NadFolder();
  NadFolder(const NadFolder&) = delete;
  NadFolder& operator=(const NadFolder&) = delete;

 private:
  NadFolder(os::Filesystem& files, std::string folder, NadStore& store, NadProblem problem,
            Cancel cancel);
  void run();
  void look();

  os::Filesystem& files_;
  const std::string folder_;
  NadStore& store_;
  const NadProblem problem_;
  Cancel cancel_;
  std::string lastProblems_;  // told once
  std::thread thread_;
};

}  // namespace railhead::kube
