#include "src/agent/cluster/config.h"

namespace railhead::agent {
namespace {

using config::Field;

Result<void> readFlag(const Field& field, bool& into) {
  if (!field.present()) return {};
  RAILHEAD_TRY_ASSIGN(into, field.flag());
  return {};
}

Result<void> readNads(const Field& field, NadOrigin& origin) {
  if (!field.present()) return {};
  constexpr const char* kAllowed = "api, files, off";
  RAILHEAD_TRY_ASSIGN(const std::string text, field.text(kAllowed));
  if (text == "api") {
    origin = NadOrigin::kApi;
  } else if (text == "files") {
    origin = NadOrigin::kFiles;
  } else if (text == "off") {
    origin = NadOrigin::kOff;
  } else {
    return field.complainAllowed(kAllowed);
  }
  return {};
}

Result<void> readOrdinals(const Field& field, ClusterConfig& cluster) {
  if (!field.present()) return {};
  RAILHEAD_TRY(field.checkKeys({"namespace", "prefix"}));
  if (const Field space = field.child("namespace"); space.present()) {
    RAILHEAD_TRY_ASSIGN(cluster.leaseNamespace, space.word(63, "-"));
  }
  if (const Field prefix = field.child("prefix"); prefix.present()) {
    RAILHEAD_TRY_ASSIGN(cluster.leasePrefix, prefix.word(63, "-"));
  }
  return {};
}

}  // namespace

Result<void> readCluster(const Field& field, ClusterConfig& cluster) {
  if (!field.present()) return {};
  RAILHEAD_TRY(
      field.checkKeys({"nads", "nadFolder", "events", "networkStatus", "labels", "ordinals"}));
  RAILHEAD_TRY(readNads(field.child("nads"), cluster.nads));
  if (const Field folder = field.child("nadFolder"); folder.present()) {
    RAILHEAD_TRY_ASSIGN(cluster.nadFolder, folder.text("an absolute path"));
    if (!cluster.nadFolder.starts_with('/')) return folder.complainAllowed("an absolute path");
  }
  RAILHEAD_TRY(readFlag(field.child("events"), cluster.events));
  RAILHEAD_TRY(readFlag(field.child("networkStatus"), cluster.networkStatus));
  RAILHEAD_TRY(readFlag(field.child("labels"), cluster.labels));
  return readOrdinals(field.child("ordinals"), cluster);
}

}  // namespace railhead::agent
