#include "src/agent/config_gpus.h"

#include "src/agent/config_resources.h"

#include <utility>

namespace railhead::agent {
namespace {

using advertise::GpuListStrategy;
using config::Field;
using gpu::MigStrategy;

template <typename T>
Result<void> readChoice(const Field& field, const char* allowed,
                        std::initializer_list<std::pair<const char*, T>> choices, T& into) {
  if (!field.present()) return {};
  RAILHEAD_TRY_ASSIGN(const std::string text, field.text(allowed));
  for (const auto& [word, value] : choices) {
    if (text == word) {
      into = value;
      return {};
    }
  }
  return field.complainAllowed(allowed);
}

Result<void> readXids(const Field& field, std::set<std::uint64_t>& into) {
  if (!field.present()) return {};
  RAILHEAD_TRY_ASSIGN(const auto entries, field.list(0, kMaxIgnoredXids));
  for (const auto& entry : entries) {
    RAILHEAD_TRY_ASSIGN(const auto xid, entry.number(1, kMaxXid));
    into.insert(xid);
  }
  return {};
}

}  // namespace

Result<GpusConfig> readGpus(const Field& field) {
  GpusConfig gpus;
  if (!field.present()) return gpus;
  RAILHEAD_TRY(field.checkKeys({"resource", "strategy", "replicas", "mig", "deviceNodes",
                                "ignoreXids", "quietSeconds", "labelsFile"}));
  if (const Field name = field.child("resource"); name.present()) {
    RAILHEAD_TRY_ASSIGN(gpus.resource.name, readResourceName(name));
  }
  RAILHEAD_TRY(readChoice<GpuListStrategy>(field.child("strategy"), "env, volume, cdi",
                                           {{"env", GpuListStrategy::kEnv},
                                            {"volume", GpuListStrategy::kVolume},
                                            {"cdi", GpuListStrategy::kCdi}},
                                           gpus.resource.strategy));
  if (const Field replicas = field.child("replicas"); replicas.present()) {
    RAILHEAD_TRY_ASSIGN(const auto count, replicas.number(1, kMaxReplicas));
    gpus.resource.replicas = static_cast<unsigned>(count);
  }
  RAILHEAD_TRY(readChoice<MigStrategy>(field.child("mig"), "none, single, mixed",
                                       {{"none", MigStrategy::kNone},
                                        {"single", MigStrategy::kSingle},
                                        {"mixed", MigStrategy::kMixed}},
                                       gpus.resource.mig));
  if (const Field nodes = field.child("deviceNodes"); nodes.present()) {
    RAILHEAD_TRY_ASSIGN(gpus.resource.deviceNodes, nodes.flag());
    if (gpus.resource.deviceNodes && gpus.resource.strategy == GpuListStrategy::kCdi) {
      return nodes.complain(
          "is true, but with strategy cdi the specification has the device nodes; allowed: false");
    }
  }
  RAILHEAD_TRY(readXids(field.child("ignoreXids"), gpus.ignoreXids));
  if (const Field quiet = field.child("quietSeconds"); quiet.present()) {
    RAILHEAD_TRY_ASSIGN(const auto seconds, quiet.number(0, kMaxQuietSeconds));
    gpus.quiet = std::chrono::seconds(seconds);
  }
  if (const Field file = field.child("labelsFile"); file.present()) {
    const char* allowed = "an absolute path of a file, without '..'";
    RAILHEAD_TRY_ASSIGN(gpus.labelsFile, file.text(allowed));
    if (gpus.labelsFile.front() != '/' || gpus.labelsFile.back() == '/' ||
        gpus.labelsFile.find("/../") != std::string::npos) {
      return file.complainAllowed(allowed);
    }
  }
  return gpus;
}

}  // namespace railhead::agent
