#include "src/launch/kubernetes/job.h"

#include "src/base/text.h"

#include <algorithm>
#include <cctype>

#include <yaml-cpp/yaml.h>

namespace railhead::launch {
namespace {

constexpr int kMaxRanks = 4096;

bool isDnsLabel(const std::string& text, std::size_t most) {
  const auto plain = [](unsigned char c) { return std::islower(c) != 0 || std::isdigit(c) != 0; };
  return !text.empty() && text.size() <= most && plain(static_cast<unsigned char>(text.front())) &&
         plain(static_cast<unsigned char>(text.back())) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return c == '-' || plain(static_cast<unsigned char>(c)); });
}

Error bad(const std::string& field, const std::string& value, const std::string& allowed) {
  return Error(ErrorCode::kInvalidArgument,
               field + " " + inQuotes(value) + ": expected " + allowed);
}

// Text that YAML could read as something else stays text: emit() quotes it.
constexpr const char* kText = "!";
YAML::Node text(const std::string& value) {
  YAML::Node node(value);
  node.SetTag(kText);
  return node;
}

void emit(YAML::Emitter& out, const YAML::Node& node) {
  if (node.IsMap()) {
    out << YAML::BeginMap;
    for (const auto& entry : node) {
      out << YAML::Key << entry.first.Scalar() << YAML::Value;
      emit(out, entry.second);
    }
    out << YAML::EndMap;
  } else if (node.IsSequence()) {
    out << YAML::BeginSeq;
    for (const auto& each : node) emit(out, each);
    out << YAML::EndSeq;
  } else {
    if (node.Tag() == kText) out << YAML::DoubleQuoted;
    out << node.Scalar();
  }
}

YAML::Node mapOf(const std::map<std::string, std::string>& values) {
  YAML::Node out(YAML::NodeType::Map);
  for (const auto& [name, value] : values) out[name] = text(value);
  return out;
}

YAML::Node labels(const KubernetesJob& job) {
  YAML::Node out;
  out["app.kubernetes.io/name"] = "railhead";
  out["app.kubernetes.io/component"] = "ranks";
  out["app.kubernetes.io/instance"] = job.name;
  if (!job.run.empty()) out[kRunLabel] = text(job.run);
  return out;
}

YAML::Node metadata(const KubernetesJob& job) {
  YAML::Node out;
  out["name"] = job.name;
  out["namespace"] = job.namespaceName;
  out["labels"] = labels(job);
  return out;
}

YAML::Node service(const KubernetesJob& job) {
  YAML::Node out;
  out["apiVersion"] = "v1";
  out["kind"] = "Service";
  out["metadata"] = metadata(job);
  out["spec"]["clusterIP"] = text("None");
  // The others look for rank 0 while it starts.
  out["spec"]["publishNotReadyAddresses"] = true;
  out["spec"]["selector"]["job-name"] = job.name;
  return out;
}

void addVariable(YAML::Node env, const std::string& name, const std::string& value) {
  YAML::Node variable;
  variable["name"] = name;
  variable["value"] = text(value);
  env.push_back(variable);
}

void addField(YAML::Node env, const std::string& name, const std::string& path) {
  YAML::Node variable;
  variable["name"] = name;
  variable["valueFrom"]["fieldRef"]["fieldPath"] = path;
  env.push_back(variable);
}

YAML::Node environment(const KubernetesJob& job) {
  YAML::Node env(YAML::NodeType::Sequence);
  addField(env, "RANK", "metadata.annotations['batch.kubernetes.io/job-completion-index']");
  addVariable(env, "WORLD_SIZE", std::to_string(job.ranks));
  addVariable(env, "LOCAL_RANK", "0");
  addVariable(env, "MASTER_ADDR", job.name + "-0." + job.name);
  addVariable(env, "MASTER_PORT", std::to_string(job.masterPort));
  addField(env, "RAILHEAD_NODE", "spec.nodeName");
  for (const auto& [name, value] : job.environment) addVariable(env, name, value);
  return env;
}

YAML::Node container(const KubernetesJob& job) {
  YAML::Node out;
  out["name"] = "rank";
  out["image"] = job.image;
  for (const auto& word : job.argv) out["command"].push_back(text(word));
  out["env"] = environment(job);
  out["resources"]["requests"] = mapOf(job.resources);
  out["resources"]["limits"] = mapOf(job.resources);
  // Registering memory for RDMA needs it locked.
  out["securityContext"]["capabilities"]["add"].push_back("IPC_LOCK");
  YAML::Node mount;
  mount["name"] = "shm";
  mount["mountPath"] = "/dev/shm";
  out["volumeMounts"].push_back(mount);
  if (!job.claim.empty()) {
    YAML::Node runs;
    runs["name"] = "runs";
    runs["mountPath"] = job.mountPath;
    if (!job.claimFolder.empty()) runs["subPath"] = job.claimFolder;
    out["volumeMounts"].push_back(runs);
  }
  return out;
}

YAML::Node onePodOnEachNode(const KubernetesJob& job) {
  YAML::Node term;
  term["labelSelector"]["matchLabels"]["job-name"] = job.name;
  term["topologyKey"] = "kubernetes.io/hostname";
  YAML::Node out;
  out["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"].push_back(term);
  return out;
}

YAML::Node podTemplate(const KubernetesJob& job) {
  YAML::Node out;
  out["metadata"]["labels"] = labels(job);
  auto annotations = job.annotations;
  if (job.podGroup == PodGroup::kCoscheduling)
    out["metadata"]["labels"]["scheduling.x-k8s.io/pod-group"] = job.name;
  if (job.podGroup == PodGroup::kVolcano) annotations["scheduling.k8s.io/group-name"] = job.name;
  if (!job.network.empty()) annotations["k8s.v1.cni.cncf.io/networks"] = job.network;
  if (!annotations.empty()) out["metadata"]["annotations"] = mapOf(annotations);
  YAML::Node spec = out["spec"];
  spec["subdomain"] = job.name;
  spec["restartPolicy"] = "Never";
  if (!job.scheduler.empty()) spec["schedulerName"] = job.scheduler;
  if (job.graceSeconds > 0) spec["terminationGracePeriodSeconds"] = job.graceSeconds;
  if (!job.runtimeClass.empty()) spec["runtimeClassName"] = job.runtimeClass;
  spec["affinity"] = onePodOnEachNode(job);
  spec["containers"].push_back(container(job));
  YAML::Node volume;
  volume["name"] = "shm";
  volume["emptyDir"]["medium"] = "Memory";
  spec["volumes"].push_back(volume);
  if (!job.claim.empty()) {
    YAML::Node runs;
    runs["name"] = "runs";
    runs["persistentVolumeClaim"]["claimName"] = job.claim;
    spec["volumes"].push_back(runs);
  }
  return out;
}

YAML::Node podGroup(const KubernetesJob& job) {
  YAML::Node out;
  out["apiVersion"] = job.podGroup == PodGroup::kVolcano ? "scheduling.volcano.sh/v1beta1"
                                                         : "scheduling.x-k8s.io/v1alpha1";
  out["kind"] = "PodGroup";
  out["metadata"] = metadata(job);
  out["spec"]["minMember"] = job.ranks;
  return out;
}

YAML::Node indexedJob(const KubernetesJob& job) {
  YAML::Node out;
  out["apiVersion"] = "batch/v1";
  out["kind"] = "Job";
  out["metadata"] = metadata(job);
  YAML::Node spec = out["spec"];
  spec["completionMode"] = "Indexed";
  spec["completions"] = job.ranks;
  spec["parallelism"] = job.ranks;
  // A gang starts again as a whole or not at all.
  spec["backoffLimit"] = 0;
  if (job.timeLimitSeconds > 0) spec["activeDeadlineSeconds"] = job.timeLimitSeconds;
  spec["template"] = podTemplate(job);
  return out;
}

}  // namespace

Result<void> KubernetesJob::check() const {
  // The pod of rank 4095 still has a name of 63 characters with its random end.
  if (!isDnsLabel(name, 40)) {
    return bad("name", name, "a DNS label of at most 40 lower-case letters, digits and '-'");
  }
  if (!isDnsLabel(namespaceName, 63))
    return bad("--namespace", namespaceName, "at most 63 lower-case letters, digits and '-'");
  if (image.empty() || image.find_first_of(" \n\t") != std::string::npos || image.size() > 1024) {
    return bad("--image", image, "the name of a container image, like registry/railhead:1");
  }
  if (ranks < 1 || ranks > kMaxRanks) return bad("ranks", std::to_string(ranks), "1 to 4096");
  if (argv.empty()) return bad("command", "", "at least one word");
  for (const auto& [variable, value] : environment) {
    const bool plain =
        !variable.empty() && std::all_of(variable.begin(), variable.end(), [](unsigned char c) {
          return std::isalnum(c) != 0 || c == '_';
        });
    if (!plain) return bad("environment", variable, "letters, digits and '_'");
  }
  return {};
}

Result<std::string> renderJob(const KubernetesJob& job) {
  RAILHEAD_TRY(job.check());
  try {
    YAML::Emitter out;
    if (job.podGroup != PodGroup::kNone) {
      out << YAML::BeginDoc;
      emit(out, podGroup(job));
    }
    out << YAML::BeginDoc;
    emit(out, service(job));
    out << YAML::BeginDoc;
    emit(out, indexedJob(job));
    return std::string(out.c_str()) + "\n";
  } catch (const YAML::Exception& error) {
    return Error(ErrorCode::kInternal, std::string("render the Job: ") + error.what());
  }
}

std::string rankSelector(const std::string& job, int rank) {
  return "job-name=" + job + ",batch.kubernetes.io/job-completion-index=" + std::to_string(rank);
}

}  // namespace railhead::launch
