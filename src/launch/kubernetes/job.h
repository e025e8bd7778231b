// Ranks as pods: an Indexed Job, one pod for each rank, and a headless Service that gives rank 0 a
// name. Rendered as the YAML that `kubectl apply -f` takes. Pure.
//
// The pods have what RDMA and NCCL need and what the reference pod of a DGX Spark cluster asks for:
// the rail network's annotation, one rail set and one GPU, the RuntimeClass, IPC_LOCK with an
// unlimited memlock by it, shared memory without a bound of 64 MiB. One pod on each node.
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace railhead::launch {

// How a scheduler that knows gangs is told of one: all pods are placed together or none.
enum class PodGroup {
  kNone,
  kCoscheduling,  // scheduler-plugins: a PodGroup and a label
  kVolcano,       // a PodGroup and an annotation
};

struct KubernetesJob {
  std::string name;  // of the Job and its Service: a DNS label of at most 40 characters
  std::string namespaceName = "default";
  std::string image;
  int ranks = 2;
  std::vector<std::string> argv;
  std::map<std::string, std::string> environment;
  std::uint16_t masterPort = 29500;
  std::string network = "dgx-qsfp";  // empty: no annotation
  std::map<std::string, std::string> resources = {{"nvidia.com/cx7_qsfp", "1"},
                                                  {"nvidia.com/gpu", "1"}};
  std::string runtimeClass = "nvidia";             // empty: the node's default
  std::map<std::string, std::string> annotations;  // of the pods, beside the network's
  int timeLimitSeconds = 3600;                     // Kubernetes ends what runs longer; 0: no limit
  int graceSeconds = 0;                            // before SIGKILL; 0: Kubernetes' 30
  std::string scheduler;                           // empty: the cluster's default
  PodGroup podGroup = PodGroup::kNone;
  // A PersistentVolumeClaim whose folder `claimFolder` is mounted at `mountPath` in every pod, and
  // made when missing; empty: none.
  std::string claim;
  std::string claimFolder;
  std::string mountPath;
  // A label of all objects, "railhead.io/run": whose they are, where names may be used again.
  // Empty: none.
  std::string run;

  // kInvalidArgument names the field, its value and what is allowed.
  Result<void> check() const;
};

// kubectl reads it back as one Service and one Job, and a PodGroup before them where one is asked
// for.
Result<std::string> renderJob(const KubernetesJob& job);

inline constexpr const char* kRunLabel = "railhead.io/run";

// "job-name=NAME,batch.kubernetes.io/job-completion-index=3".
std::string rankSelector(const std::string& job, int rank);

}  // namespace railhead::launch
