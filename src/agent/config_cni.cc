#include "src/agent/config_cni.h"

#include "src/conflist/installer.h"

namespace railhead::agent {
namespace {

using config::Field;

Result<void> readFileName(const Field& field, const char* allowed, bool list, std::string& into) {
  if (!field.present()) return {};
  RAILHEAD_TRY_ASSIGN(into, field.word(253, "._-+"));
  const bool fits = list ? conflist::isListName(into) : conflist::isConfigurationName(into);
  return fits ? Result<void>() : Result<void>(field.complainAllowed(allowed));
}

}  // namespace

Result<CniConfig> readCni(const Field& field) {
  CniConfig cni;
  cni.file = conflist::kDefaultFile;
  if (!field.present()) return cni;
  RAILHEAD_TRY(field.checkKeys({"conflist", "shim", "file", "primary"}));
  if (const Field flag = field.child("conflist"); flag.present()) {
    RAILHEAD_TRY_ASSIGN(cni.conflist, flag.flag());
  }
  cni.shim = cni.conflist;
  if (const Field flag = field.child("shim"); flag.present()) {
    RAILHEAD_TRY_ASSIGN(cni.shim, flag.flag());
    if (cni.conflist && !cni.shim)
      return flag.complainAllowed("true, since the conflist names the program");
  }
  RAILHEAD_TRY(
      readFileName(field.child("file"), "a file name ending in .conflist", true, cni.file));
  RAILHEAD_TRY(readFileName(field.child("primary"),
                            "a file name ending in .conflist, .conf or .json", false, cni.primary));
  if (cni.primary != cni.file) return cni;
  return field.child("primary").complainAllowed("another file than cni.file");
}

}  // namespace railhead::agent
