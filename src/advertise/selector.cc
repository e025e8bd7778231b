#include "src/advertise/selector.h"

#include "src/base/text.h"

#include <algorithm>

namespace railhead::advertise {
namespace {

constexpr std::uint64_t kMaxIndex = 65535;
constexpr std::size_t kMaxRanges = 64;

template <typename T, typename Value>
bool oneOf(const std::vector<T>& allowed, const Value& value) {
  return allowed.empty() || std::find(allowed.begin(), allowed.end(), value) != allowed.end();
}

bool inRanges(const std::vector<VfRange>& ranges, std::string_view pf, int index) {
  return ranges.empty() || std::any_of(ranges.begin(), ranges.end(), [&](const VfRange& range) {
           return range.pf == pf && range.holds(index);
         });
}

Error badRange(std::string_view text) {
  return Error(
      ErrorCode::kInvalidArgument,
      inQuotes(text) + ": after '#' come VF indexes and ranges of them, like 0-3,6; first <= last");
}

}  // namespace

Result<VfRange> VfRange::parse(std::string_view text) {
  VfRange range;
  const auto hash = text.find('#');
  range.pf = std::string(text.substr(0, hash));
  if (range.pf.empty()) {
    return Error(ErrorCode::kInvalidArgument, inQuotes(text) + ": names no PF");
  }
  if (hash == std::string_view::npos) return range;
  for (const auto& part : split(text.substr(hash + 1), ',')) {
    const auto dash = part.find('-');
    const auto first = parseUnsigned(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parseUnsigned(part.substr(dash + 1));
    if (!first || !last || *first > *last || *last > kMaxIndex || range.vfs.size() == kMaxRanges) {
      return badRange(text);
    }
    range.vfs.emplace_back(static_cast<int>(*first), static_cast<int>(*last));
  }
  return range;
}

bool VfRange::holds(int index) const {
  return vfs.empty() || std::any_of(vfs.begin(), vfs.end(), [&](const auto& range) {
           return range.first <= index && index <= range.second;
         });
}

bool isAway(const discover::Vf& vf) { return vf.netdev.empty() && !vf.driver.empty(); }

bool selects(const Selector& selector, const discover::Pf& pf, const discover::Vf& vf, int twin) {
  return oneOf(selector.vendors, vf.vendor) && oneOf(selector.devices, vf.device) &&
         oneOf(selector.drivers, vf.driver) && oneOf(selector.pciAddresses, vf.pci) &&
         oneOf(selector.linkTypes, pf.linkType) && oneOf(selector.ports, pf.physPortName) &&
         inRanges(selector.pfNames, pf.netdev, vf.index) &&
         inRanges(selector.rootDevices, pf.pci.toString(), vf.index) &&
         (!selector.twin || *selector.twin == twin) &&
         (!selector.isRdma || !vf.rdma.empty() || isAway(vf));
}

}  // namespace railhead::advertise
