#include "src/attach/vf_settings.h"

namespace railhead::attach {
namespace {

bool hasVlan(const netlink::VfChange& change) {
  return change.vlan || change.vlanQos || change.vlanProtocol;
}

bool hasRate(const netlink::VfChange& change) { return change.minTxRate || change.maxTxRate; }

}  // namespace

bool isEmpty(const netlink::VfChange& change) {
  return !change.mac && !hasVlan(change) && !change.spoofCheck && !change.trust &&
         !change.linkState && !hasRate(change);
}

netlink::VfChange withWholeGroups(netlink::VfChange change) {
  if (hasVlan(change)) {
    change.vlan = change.vlan.value_or(0);
    change.vlanQos = change.vlanQos.value_or(0);
    change.vlanProtocol = change.vlanProtocol.value_or(0x8100);
  }
  if (hasRate(change)) {
    change.minTxRate = change.minTxRate.value_or(0);
    change.maxTxRate = change.maxTxRate.value_or(0);
  }
  return change;
}

netlink::VfChange selected(const netlink::VfSettings& current, const netlink::VfChange& mask) {
  netlink::VfChange out;
  if (mask.mac) out.mac = current.mac;
  if (mask.vlan) out.vlan = current.vlan;
  if (mask.vlanQos) out.vlanQos = current.vlanQos;
  if (mask.vlanProtocol) out.vlanProtocol = current.vlanProtocol;
  if (mask.spoofCheck) out.spoofCheck = current.spoofCheck;
  if (mask.trust) out.trust = current.trust;
  if (mask.linkState) out.linkState = current.linkState;
  if (mask.minTxRate) out.minTxRate = current.minTxRate;
  if (mask.maxTxRate) out.maxTxRate = current.maxTxRate;
  return out;
}

netlink::VfChange missing(const netlink::VfSettings& current, const netlink::VfChange& wanted) {
  netlink::VfChange out = wanted;
  const auto differs = [](const auto& want, const auto& have) { return want && *want != have; };
  if (!differs(wanted.vlan, current.vlan) && !differs(wanted.vlanQos, current.vlanQos) &&
      !differs(wanted.vlanProtocol, current.vlanProtocol)) {
    out.vlan.reset();
    out.vlanQos.reset();
    out.vlanProtocol.reset();
  }
  if (!differs(wanted.minTxRate, current.minTxRate) &&
      !differs(wanted.maxTxRate, current.maxTxRate)) {
    out.minTxRate.reset();
    out.maxTxRate.reset();
  }
  if (!differs(wanted.mac, current.mac)) out.mac.reset();
  if (!differs(wanted.spoofCheck, current.spoofCheck)) out.spoofCheck.reset();
  if (!differs(wanted.trust, current.trust)) out.trust.reset();
  if (!differs(wanted.linkState, current.linkState)) out.linkState.reset();
  return out;
}

}  // namespace railhead::attach
