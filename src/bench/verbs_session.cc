#include "src/bench/verbs_session.h"

#include "src/base/text.h"

#include <cstdio>

namespace railhead::bench {
namespace {

IpPrefix subnetOf(const verbs::Gid& gid, int prefixLength) {
  return IpPrefix{gid.ip(), prefixLength}.network();
}

// The one unused own rail in the peer rail's subnet.
std::optional<std::size_t> sameSubnet(const std::vector<RailChoice>& own,
                                      const std::vector<bool>& used, const RailOffer& peer) {
  std::optional<std::size_t> found;
  const IpAddress peerAddress = peer.gid.ip();
  for (std::size_t i = 0; i < own.size(); ++i) {
    const auto& gid = own[i].gid;
    if (used[i] || gid.prefixLength <= 0 || gid.gid.ip().v6 != peerAddress.v6) continue;
    if (!subnetOf(gid.gid, gid.prefixLength).contains(peerAddress)) continue;
    if (found) return std::nullopt;
    found = i;
  }
  return found;
}

MessageHeader headerOf(VerbsOperation operation) {
  if (operation == VerbsOperation::kSend) return kSendHeader;
  return operation == VerbsOperation::kRead ? kReadHeader : MessageHeader{};
}

}  // namespace

std::optional<Ceiling> ceilingOf(const verbs::DeviceInfo& device,
                                 const DeviceEnvironment& environment, int mtu,
                                 const VerbsTargets& targets, std::size_t rail,
                                 std::optional<std::size_t> message) {
  if (targets.ceiling) return Ceiling{*targets.ceiling, "given for this rail"};
  std::vector<Ceiling> known;
  const bool believed = !device.software && device.portRate.bitsPerSecond > 0;
  std::optional<BitRate> line;
  if (believed) line = device.portRate;
  if (targets.lineRates.size() == 1) line = targets.lineRates.front();
  if (targets.lineRates.size() > 1) line = targets.lineRates.at(rail);
  if (line) {
    const auto wire =
        message ? messageCeiling(*line, mtu, *message, {}, headerOf(targets.plan.operation))
                : wireCeiling(*line, mtu);
    if (wire.has_value()) known.push_back(*wire);
  }
  if (environment.pcie) known.push_back(*environment.pcie);
  if (known.empty()) return std::nullopt;
  return lowest(known);
}

Result<std::vector<std::size_t>> pairRails(const std::vector<RailChoice>& own,
                                           const std::vector<RailOffer>& peer) {
  std::vector<std::string> ownNames;
  std::vector<std::string> peerNames;
  for (const auto& rail : own) ownNames.push_back(rail.device.name);
  for (const auto& rail : peer) peerNames.push_back(rail.device);
  if (own.size() != peer.size()) {
    return Error(ErrorCode::kCheckFailed,
                 "the listening end has " + std::to_string(own.size()) + " rails (" +
                     join(ownNames, ", ") + "), the connecting end " + std::to_string(peer.size()) +
                     " (" + join(peerNames, ", ") + ")",
                 "name the same number of rails with --rail on both ends");
  }
  std::vector<std::size_t> order;
  std::vector<bool> used(own.size(), false);
  for (const auto& rail : peer) {
    const auto match = sameSubnet(own, used, rail);
    if (!match) break;
    used[*match] = true;
    order.push_back(*match);
  }
  if (order.size() == own.size()) return order;
  order.clear();
  for (std::size_t i = 0; i < own.size(); ++i) order.push_back(i);
  return order;
}

Error wrongBytes(const std::string& where, const Mismatch& mismatch, std::uint64_t ofBytes) {
  char bytes[64];
  std::snprintf(bytes, sizeof bytes, "0x%02x instead of 0x%02x", mismatch.actual,
                mismatch.expected);
  return Error(ErrorCode::kCheckFailed, where + ": byte " + std::to_string(mismatch.offset) +
                                            " is " + bytes + "; " +
                                            std::to_string(mismatch.wrongBytes) + " of " +
                                            std::to_string(ofBytes) + " bytes are wrong");
}

}  // namespace railhead::bench
