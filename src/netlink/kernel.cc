// The real clients: interface calls to messages, answers to values.
#include "src/netlink/client.h"
#include "src/netlink/socket.h"

#include <cerrno>

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <rdma/rdma_netlink.h>
#include <sys/socket.h>

namespace railhead::netlink {
namespace {

Request linkRequest(int type, int flags, int index, unsigned ifFlags = 0, unsigned ifChange = 0) {
  Request request(type, flags);
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = index;
  header.ifi_flags = ifFlags;
  header.ifi_change = ifChange;
  request.header(&header, sizeof header);
  return request;
}

std::uint32_t linkStateValue(VfLinkState state) {
  switch (state) {
    case VfLinkState::kEnable:
      return IFLA_VF_LINK_STATE_ENABLE;
    case VfLinkState::kDisable:
      return IFLA_VF_LINK_STATE_DISABLE;
    case VfLinkState::kAuto:
      break;
  }
  return IFLA_VF_LINK_STATE_AUTO;
}

class KernelLinks final : public LinkClient {
 public:
  explicit KernelLinks(Socket socket) : socket_(std::move(socket)) {}

  Result<std::vector<Link>> links() override {
    RAILHEAD_TRY_ASSIGN(const auto answers,
                        socket_.query(linkRequest(RTM_GETLINK, NLM_F_DUMP, 0), "list links"));
    std::vector<Link> links;
    for (const auto& answer : answers) {
      RAILHEAD_TRY_ASSIGN(Link parsed, parseLink(answer));
      links.push_back(std::move(parsed));
    }
    return links;
  }

  Result<Link> link(const std::string& name) override {
    RAILHEAD_TRY_ASSIGN(const auto answers, socket_.query(byName(name), "find link " + name));
    if (answers.empty()) return Error(ErrorCode::kNotFound, "find link " + name + ": no answer");
    return parseLink(answers.front());
  }

  Result<void> change(int index, const LinkChange& change) override {
    const std::string what = "change link " + std::to_string(index);
    const bool other = change.mtu || change.mac || change.name || change.alias;
    if (other) {
      Request request = linkRequest(RTM_NEWLINK, 0, index);
      if (change.mtu) request.putU32(IFLA_MTU, static_cast<std::uint32_t>(*change.mtu));
      if (change.mac) request.put(IFLA_ADDRESS, change.mac->bytes.data(), change.mac->bytes.size());
      if (change.name) request.putText(IFLA_IFNAME, *change.name);
      if (change.alias) request.put(IFLA_IFALIAS, change.alias->data(), change.alias->size());
      RAILHEAD_TRY(socket_.change(std::move(request), what));
    }
    if (change.strictArp) RAILHEAD_TRY(setStrictArp(index, *change.strictArp));
    if (change.up) {
      RAILHEAD_TRY(
          socket_.change(linkRequest(RTM_NEWLINK, 0, index, *change.up ? IFF_UP : 0, IFF_UP),
                         (*change.up ? "set up link " : "set down link ") + std::to_string(index)));
    }
    return {};
  }

  // The kernel moves first and renames then: with a taken name it would answer EEXIST and leave the
  // link over there under its old name. So the name is looked up before.
  Result<void> move(int index, const os::Netns& target, const std::string& name) override {
    const std::string what =
        "move link " + std::to_string(index) + " to another namespace as " + name;
    RAILHEAD_TRY_ASSIGN(Socket there, Socket::open(NETLINK_ROUTE, &target));
    if (there.query(byName(name), what).has_value()) return Error::fromErrno(EEXIST, what);
    Request request = linkRequest(RTM_NEWLINK, 0, index);
    request.putU32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(target.fd.get()));
    request.putText(IFLA_IFNAME, name);
    return socket_.change(std::move(request), what);
  }

  Result<std::vector<VfSettings>> vfs(int pfIndex) override {
    // Their counters take the firmware's time.
    RAILHEAD_TRY_ASSIGN(const auto answer,
                        withVfs(pfIndex, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS));
    return parseVfs(answer);
  }

  Result<std::vector<VfTraffic>> vfTraffic(int pfIndex) override {
    RAILHEAD_TRY_ASSIGN(const auto answer, withVfs(pfIndex, RTEXT_FILTER_VF));
    return parseVfTraffic(answer);
  }

  // One message per setting: a driver that lacks one must not lose the others.
  Result<void> changeVf(int pfIndex, int vf, const VfChange& change) override {
    const auto index = static_cast<std::uint32_t>(vf);
    const auto set = [&](std::string_view setting, int attribute,
                         const auto& value) -> Result<void> {
      Request request = linkRequest(RTM_NEWLINK, 0, pfIndex);
      request.open(IFLA_VFINFO_LIST);
      request.open(IFLA_VF_INFO);
      request.putStruct(attribute, value);
      request.close();
      request.close();
      return socket_.change(std::move(request), "set " + std::string(setting) + " of VF " +
                                                    std::to_string(vf) + " on link " +
                                                    std::to_string(pfIndex));
    };
    if (change.mac) {
      ifla_vf_mac mac{};
      mac.vf = index;
      std::copy(change.mac->bytes.begin(), change.mac->bytes.end(), mac.mac);
      RAILHEAD_TRY(set("MAC", IFLA_VF_MAC, mac));
    }
    if (change.vlan || change.vlanQos || change.vlanProtocol)
      RAILHEAD_TRY(setVlan(pfIndex, index, change));
    if (change.spoofCheck) {
      RAILHEAD_TRY(set("spoof check", IFLA_VF_SPOOFCHK,
                       ifla_vf_spoofchk{index, *change.spoofCheck ? 1U : 0U}));
    }
    if (change.trust)
      RAILHEAD_TRY(set("trust", IFLA_VF_TRUST, ifla_vf_trust{index, *change.trust ? 1U : 0U}));
    if (change.linkState) {
      RAILHEAD_TRY(set("link state", IFLA_VF_LINK_STATE,
                       ifla_vf_link_state{index, linkStateValue(*change.linkState)}));
    }
    if (change.minTxRate || change.maxTxRate) {
      RAILHEAD_TRY(set("rate", IFLA_VF_RATE,
                       ifla_vf_rate{index, static_cast<std::uint32_t>(change.minTxRate.value_or(0)),
                                    static_cast<std::uint32_t>(change.maxTxRate.value_or(0))}));
    }
    return {};
  }

  Result<std::vector<Address>> addresses(int linkIndex) override {
    Request request(RTM_GETADDR, NLM_F_DUMP);
    const ifaddrmsg header{};
    request.header(&header, sizeof header);
    RAILHEAD_TRY_ASSIGN(const auto answers, socket_.query(std::move(request), "list addresses"));
    std::vector<Address> addresses;
    for (const auto& answer : answers) {
      RAILHEAD_TRY_ASSIGN(Address parsed, parseAddress(answer));
      if (parsed.linkIndex == linkIndex) addresses.push_back(parsed);
    }
    return addresses;
  }

  Result<void> addAddress(int linkIndex, const IpPrefix& address) override {
    return socket_.change(
        addressRequest(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, linkIndex, address),
        "add address " + address.toString() + " to link " + std::to_string(linkIndex));
  }

  Result<void> removeAddress(int linkIndex, const IpPrefix& address) override {
    auto removed = socket_.change(
        addressRequest(RTM_DELADDR, 0, linkIndex, address),
        "remove address " + address.toString() + " from link " + std::to_string(linkIndex));
    if (!removed.has_value() && removed.error().errnoValue == EADDRNOTAVAIL)
      removed.error().code = ErrorCode::kNotFound;
    return removed;
  }

  Result<std::vector<Route>> routes() override {
    Request request(RTM_GETROUTE, NLM_F_DUMP);
    const rtmsg header{};  // AF_UNSPEC: both families
    request.header(&header, sizeof header);
    RAILHEAD_TRY_ASSIGN(const auto answers, socket_.query(std::move(request), "list routes"));
    std::vector<Route> routes;
    for (const auto& answer : answers) {
      RAILHEAD_TRY_ASSIGN(const auto parsed, parseRoute(answer));
      if (parsed) routes.push_back(*parsed);
    }
    return routes;
  }

  Result<void> addRoute(const Route& route) override {
    return socket_.change(routeRequest(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route),
                          "add " + shown(route));
  }

  Result<void> removeRoute(const Route& route) override {
    return socket_.change(routeRequest(RTM_DELROUTE, 0, route), "remove " + shown(route));
  }

  Result<std::vector<Rule>> rules() override {
    Request request(RTM_GETRULE, NLM_F_DUMP);
    const fib_rule_hdr header{};  // AF_UNSPEC: both families
    request.header(&header, sizeof header);
    RAILHEAD_TRY_ASSIGN(const auto answers, socket_.query(std::move(request), "list rules"));
    std::vector<Rule> rules;
    for (const auto& answer : answers) {
      RAILHEAD_TRY_ASSIGN(const auto parsed, parseRule(answer));
      if (parsed) rules.push_back(*parsed);
    }
    return rules;
  }

  Result<void> addRule(const Rule& rule) override {
    return socket_.change(ruleRequest(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule),
                          "add rule from " + rule.source.toString());
  }

  Result<void> removeRule(const Rule& rule) override {
    return socket_.change(ruleRequest(RTM_DELRULE, 0, rule),
                          "remove rule from " + rule.source.toString());
  }

 private:
  // By netlink and not through /proc/sys, which a container sees read-only.
  Result<void> setStrictArp(int index, bool strict) {
    Request request = linkRequest(RTM_NEWLINK, 0, index);
    request.open(IFLA_AF_SPEC);
    request.open(AF_INET);
    request.open(IFLA_INET_CONF);
    request.putU32(IPV4_DEVCONF_ARP_IGNORE, strict ? 1 : 0);
    request.putU32(IPV4_DEVCONF_ARP_ANNOUNCE, strict ? 2 : 0);
    request.close();
    request.close();
    request.close();
    return socket_.change(std::move(request), "set ARP of link " + std::to_string(index));
  }

  static Request ruleRequest(int type, int flags, const Rule& rule) {
    const std::size_t size = rule.source.v6 ? 16 : 4;
    Request request(type, flags);
    fib_rule_hdr header{};
    header.family = rule.source.v6 ? AF_INET6 : AF_INET;
    header.src_len = static_cast<unsigned char>(size * 8);
    header.table = static_cast<unsigned char>(rule.table < 256 ? rule.table : RT_TABLE_COMPAT);
    header.action = FR_ACT_TO_TBL;
    request.header(&header, sizeof header);
    request.put(FRA_SRC, rule.source.bytes.data(), size);
    request.putU32(FRA_TABLE, rule.table);
    request.putU32(FRA_PRIORITY, rule.priority);
    return request;
  }

  static std::string shown(const Route& route) {
    std::string text = "route " + route.destination.toString();
    if (route.gateway) text += " via " + route.gateway->toString();
    return text + " on link " + std::to_string(route.linkIndex);
  }

  static Request routeRequest(int type, int flags, const Route& route) {
    const bool v6 = route.destination.address.v6;
    const std::size_t size = v6 ? 16 : 4;
    Request request(type, flags);
    rtmsg header{};
    header.rtm_family = v6 ? AF_INET6 : AF_INET;
    header.rtm_dst_len = static_cast<unsigned char>(route.destination.length);
    header.rtm_table =
        static_cast<unsigned char>(route.table < 256 ? route.table : RT_TABLE_COMPAT);
    if (type == RTM_NEWROUTE) {
      header.rtm_protocol = RTPROT_STATIC;
      header.rtm_type = RTN_UNICAST;
      header.rtm_scope = route.gateway || v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    } else {
      header.rtm_scope = RT_SCOPE_NOWHERE;  // whichever it has
    }
    request.header(&header, sizeof header);
    const IpPrefix destination = route.destination.network();
    if (destination.length > 0) request.put(RTA_DST, destination.address.bytes.data(), size);
    if (route.gateway) request.put(RTA_GATEWAY, route.gateway->bytes.data(), size);
    if (route.source) request.put(RTA_PREFSRC, route.source->bytes.data(), size);
    request.putU32(RTA_TABLE, route.table);
    request.putU32(RTA_OIF, static_cast<std::uint32_t>(route.linkIndex));
    if (route.priority != 0) request.putU32(RTA_PRIORITY, route.priority);
    return request;
  }

  Result<std::vector<std::uint8_t>> withVfs(int pfIndex, std::uint32_t filter) {
    Request request = linkRequest(RTM_GETLINK, 0, pfIndex);
    request.putU32(IFLA_EXT_MASK, filter);
    RAILHEAD_TRY_ASSIGN(
        auto answers,
        socket_.query(std::move(request), "read the VFs of link " + std::to_string(pfIndex)));
    if (answers.empty()) return Error(ErrorCode::kNotFound, "read VFs: no answer");
    return std::move(answers.front());
  }

  static Request byName(const std::string& name) {
    Request request = linkRequest(RTM_GETLINK, 0, 0);
    request.putText(IFLA_IFNAME, name);
    return request;
  }

  static Request addressRequest(int type, int flags, int linkIndex, const IpPrefix& address) {
    Request request(type, flags);
    ifaddrmsg header{};
    header.ifa_family = address.address.v6 ? AF_INET6 : AF_INET;
    header.ifa_prefixlen = static_cast<unsigned char>(address.length);
    header.ifa_index = static_cast<unsigned>(linkIndex);
    // A VF-bound address has no duplicate by construction: waiting for DAD would only delay the
    // GID.
    header.ifa_flags = address.address.v6 ? IFA_F_NODAD : 0;
    request.header(&header, sizeof header);
    const std::size_t size = address.address.v6 ? 16 : 4;
    request.put(IFA_LOCAL, address.address.bytes.data(), size);
    request.put(IFA_ADDRESS, address.address.bytes.data(), size);
    if (!address.address.v6 && address.length < 31) {
      const IpAddress broadcast = address.broadcast();
      request.put(IFA_BROADCAST, broadcast.bytes.data(), size);
    }
    return request;
  }

  Result<void> setVlan(int pfIndex, std::uint32_t vf, const VfChange& change) {
    const std::uint16_t protocol = change.vlanProtocol.value_or(0x8100);
    ifla_vf_vlan_info info{};
    info.vf = vf;
    info.vlan = static_cast<std::uint32_t>(change.vlan.value_or(0));
    info.qos = static_cast<std::uint32_t>(change.vlanQos.value_or(0));
    info.vlan_proto = static_cast<std::uint16_t>(protocol << 8 | protocol >> 8);
    Request request = linkRequest(RTM_NEWLINK, 0, pfIndex);
    request.open(IFLA_VFINFO_LIST);
    request.open(IFLA_VF_INFO);
    request.open(IFLA_VF_VLAN_LIST);
    request.putStruct(IFLA_VF_VLAN_INFO, info);
    request.close();
    request.close();
    request.close();
    return socket_.change(std::move(request), "set VLAN of VF " + std::to_string(vf) + " on link " +
                                                  std::to_string(pfIndex));
  }

  Socket socket_;
};

class KernelRdma final : public RdmaClient {
 public:
  explicit KernelRdma(Socket socket) : socket_(std::move(socket)) {}

  Result<std::vector<RdmaDevice>> devices() override {
    RAILHEAD_TRY_ASSIGN(const auto answers,
                        socket_.query(Request(rdmaMessageType(RDMA_NLDEV_CMD_GET), NLM_F_DUMP),
                                      "list RDMA devices"));
    std::vector<RdmaDevice> devices;
    for (const auto& answer : answers) {
      RAILHEAD_TRY_ASSIGN(RdmaDevice parsed, parseRdmaDevice(answer));
      devices.push_back(std::move(parsed));
    }
    return devices;
  }

  Result<std::vector<RdmaPort>> ports() override {
    std::vector<RdmaPort> ports;
    RAILHEAD_TRY_ASSIGN(const auto all, devices());
    for (const auto& device : all) {
      Request request(rdmaMessageType(RDMA_NLDEV_CMD_PORT_GET), NLM_F_DUMP);
      request.putU32(RDMA_NLDEV_ATTR_DEV_INDEX, device.index);
      auto answers = socket_.query(std::move(request), "list the ports of " + device.name);
      if (!answers.has_value()) {
        if (answers.error().code == ErrorCode::kNotFound) continue;  // it went away meanwhile
        return std::move(answers).error();
      }
      for (const auto& answer : *answers) {
        RAILHEAD_TRY_ASSIGN(RdmaPort parsed, parseRdmaPort(answer));
        ports.push_back(std::move(parsed));
      }
    }
    return ports;
  }

  Result<void> addSoftRoce(const std::string& name, const std::string& netdev) override {
    Request request(rdmaMessageType(RDMA_NLDEV_CMD_NEWLINK), 0);
    request.putText(RDMA_NLDEV_ATTR_DEV_NAME, name);
    request.putText(RDMA_NLDEV_ATTR_LINK_TYPE, "rxe");
    request.putText(RDMA_NLDEV_ATTR_NDEV_NAME, netdev);
    return socket_.change(std::move(request), "add soft-RoCE device " + name + " on " + netdev);
  }

  Result<void> removeSoftRoce(std::uint32_t deviceIndex) override {
    Request request(rdmaMessageType(RDMA_NLDEV_CMD_DELLINK), 0);
    request.putU32(RDMA_NLDEV_ATTR_DEV_INDEX, deviceIndex);
    return socket_.change(std::move(request),
                          "remove soft-RoCE device " + std::to_string(deviceIndex));
  }

  Result<void> move(std::uint32_t deviceIndex, const os::Netns& target) override {
    Request request(rdmaMessageType(RDMA_NLDEV_CMD_SET), 0);
    request.putU32(RDMA_NLDEV_ATTR_DEV_INDEX, deviceIndex);
    request.putU32(RDMA_NLDEV_NET_NS_FD, static_cast<std::uint32_t>(target.fd.get()));
    return socket_.change(std::move(request), "move RDMA device " + std::to_string(deviceIndex) +
                                                  " to another namespace");
  }

  Result<RdmaNetnsMode> netnsMode() override {
    RAILHEAD_TRY_ASSIGN(const auto answers,
                        socket_.query(Request(rdmaMessageType(RDMA_NLDEV_CMD_SYS_GET), 0),
                                      "read the RDMA namespace mode"));
    if (answers.empty())
      return Error(ErrorCode::kUnsupported, "read the RDMA namespace mode: no answer");
    return parseRdmaNetnsMode(answers.front());
  }

 private:
  Socket socket_;
};

class Kernel final : public NetlinkOpener {
 public:
  Result<std::unique_ptr<LinkClient>> openLinks(const os::Netns* netns) override {
    RAILHEAD_TRY_ASSIGN(Socket socket, Socket::open(NETLINK_ROUTE, netns));
    return std::unique_ptr<LinkClient>(std::make_unique<KernelLinks>(std::move(socket)));
  }

  Result<std::unique_ptr<RdmaClient>> openRdma(const os::Netns* netns) override {
    auto socket = Socket::open(NETLINK_RDMA, netns);
    if (!socket.has_value()) {
      Error error = std::move(socket).error();
      if (error.errnoValue == EPROTONOSUPPORT) error.code = ErrorCode::kUnsupported;
      return std::move(error).withRemedy("load the kernel module ib_core");
    }
    return std::unique_ptr<RdmaClient>(std::make_unique<KernelRdma>(std::move(*socket)));
  }
};

}  // namespace

std::unique_ptr<NetlinkOpener> openKernel() { return std::make_unique<Kernel>(); }

}  // namespace railhead::netlink
