#include "src/bench/environment.h"

#include "src/base/text.h"

#include <sys/utsname.h>

namespace railhead::bench {
namespace {

// "32.0 GT/s PCIe" and "4".
std::optional<Ceiling> pcieOf(os::Filesystem& filesystem, const std::string& pciDevice) {
  const auto speed = filesystem.readTrimmed(pciDevice + "/current_link_speed");
  const auto width = filesystem.readUnsigned(pciDevice + "/current_link_width");
  if (!speed.has_value() || !width.has_value() || *width > 32) return std::nullopt;
  const auto gigatransfers = parseDouble(std::string_view(*speed).substr(0, speed->find(' ')));
  if (!gigatransfers) return std::nullopt;
  const auto ceiling = pcieCeiling(static_cast<int>(*width), *gigatransfers);
  if (!ceiling.has_value()) return std::nullopt;
  return *ceiling;
}

}  // namespace

Environment readEnvironment(os::Filesystem& filesystem, const std::string& sys,
                            const std::vector<verbs::DeviceInfo>& devices) {
  Environment out;
  utsname names{};
  if (::uname(&names) == 0) {
    out.hostname = names.nodename;
    out.kernel = names.release;
    out.architecture = names.machine;
  }
  for (const auto& device : devices) {
    DeviceEnvironment each;
    each.device = device.name;
    each.firmware = device.firmware;
    const std::string pciDevice = sys + "/class/infiniband/" + device.name + "/device";
    each.driver = filesystem.linkName(pciDevice + "/driver").value_or("");
    if (each.driver.empty() && device.software) each.driver = "rdma_rxe";  // no PCI device
    each.pcie = pcieOf(filesystem, pciDevice);
    out.devices.push_back(std::move(each));
  }
  return out;
}

}  // namespace railhead::bench
