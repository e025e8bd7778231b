#include "src/provision/mac_policy.h"

#include "src/base/random.h"

#include <cstdint>
#include <vector>

namespace railhead::provision {
namespace {

// The word in front keeps these apart from any other hash of the same bytes.
Mac fromSeed(std::string_view seed) {
  const std::string text = "railhead vf mac:" + std::string(seed);
  const std::vector<std::uint8_t> bytes(text.begin(), text.end());
  const std::uint64_t mixed = SplitMix(stableHash(bytes)).next();
  Mac mac;
  for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
    mac.bytes[i] = static_cast<std::uint8_t>(mixed >> (8 * i));
  }
  mac.bytes[0] = static_cast<std::uint8_t>((mac.bytes[0] & 0xfc) | 0x02);
  return mac;
}

}  // namespace

Mac stableVfMac(const Mac& pfPermanentMac, int vfIndex) {
  return fromSeed(pfPermanentMac.toString() + "/" + std::to_string(vfIndex));
}

Mac stableVfMac(std::string_view hostname, const PciAddress& pf, int vfIndex) {
  return fromSeed(std::string(hostname) + "/" + pf.toString() + "/" + std::to_string(vfIndex));
}

}  // namespace railhead::provision
