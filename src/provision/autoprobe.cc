#include "src/provision/autoprobe.h"

namespace railhead::provision {

Autoprobe::Autoprobe(os::Filesystem& files, const os::HostPaths& paths, const PciAddress& pf)
    : files_(files),
      stateFolder_(paths.state),
      record_(paths.state + "/autoprobe-" + pf.toString()),
      attribute_(paths.pciDevice(pf.toString()) + "/sriov_drivers_autoprobe") {}

Result<std::optional<bool>> Autoprobe::before() {
  auto value = files_.readUnsigned(record_);
  if (value.has_value()) return std::optional<bool>(*value != 0);
  if (value.error().code == ErrorCode::kNotFound) return std::optional<bool>();
  return std::move(value).error().withRemedy(
      "write into it the value that sriov_drivers_autoprobe had before, 0 or 1, or remove it");
}

Result<void> Autoprobe::set(bool on) {
  RAILHEAD_TRY_ASSIGN(auto found, before());
  if (!found) {
    RAILHEAD_TRY_ASSIGN(const auto now, files_.readUnsigned(attribute_));
    found = now != 0;
    RAILHEAD_TRY(files_.makeDirectories(stateFolder_, 0700));
    RAILHEAD_TRY(files_.replaceFile(record_, *found ? "1" : "0", 0600));
  }
  RAILHEAD_TRY(files_.writeFile(attribute_, on ? "1" : "0"));
  return on == *found ? files_.remove(record_) : Result<void>();
}

Result<void> Autoprobe::restore() {
  RAILHEAD_TRY_ASSIGN(const auto found, before());
  return found ? set(*found) : Result<void>();
}

}  // namespace railhead::provision
