// The seam onto the kernel's netlink: only the calls Railhead uses. The real clients are behind
// openKernel(); tests use tests/support/fake_kernel.h. Both pass tests/support/netlink_contract.h.
// A client works in the network namespace it was opened for, for its whole life. Not thread-safe:
// one thread at a time per client. Every call ends within kAnswerDeadline.
#pragma once

#include "src/base/result.h"
#include "src/netlink/types.h"
#include "src/os/netns.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace railhead::netlink {

inline constexpr std::chrono::seconds kAnswerDeadline{10};

class LinkClient {
 public:
  virtual ~LinkClient() = default;

  virtual Result<std::vector<Link>> links() = 0;
  virtual Result<Link> link(const std::string& name) = 0;  // kNotFound
  virtual Result<void> change(int index, const LinkChange& change) = 0;
  // Moves the link into `target`, taking `name` there. It arrives down, without addresses.
  // kAlreadyExists: the name is taken there, and nothing moved.
  virtual Result<void> move(int index, const os::Netns& target, const std::string& name) = 0;

  virtual Result<std::vector<VfSettings>> vfs(int pfIndex) = 0;  // by VF index; empty without VFs
  // Of those VFs that the driver counts; the kernel gives zeros for a driver that does not, so a VF
  // that never carried anything is left out as well.
  virtual Result<std::vector<VfTraffic>> vfTraffic(int pfIndex) = 0;
  virtual Result<void> changeVf(int pfIndex, int vf, const VfChange& change) = 0;

  virtual Result<std::vector<Address>> addresses(int linkIndex) = 0;
  virtual Result<void> addAddress(int linkIndex, const IpPrefix& address) = 0;     // kAlreadyExists
  virtual Result<void> removeAddress(int linkIndex, const IpPrefix& address) = 0;  // kNotFound

  // Unicast routes of both families in every table but the kernel's "local"; multipath routes are
  // left out.
  virtual Result<std::vector<Route>> routes() = 0;
  // The link must be up, and the gateway on one of its subnets. kAlreadyExists: the table has a
  // route to the destination with this priority, over whichever link.
  virtual Result<void> addRoute(const Route& route) = 0;
  virtual Result<void> removeRoute(const Route& route) = 0;  // kNotFound

  virtual Result<std::vector<Rule>> rules() = 0;          // those by one source address
  virtual Result<void> addRule(const Rule& rule) = 0;     // kAlreadyExists
  virtual Result<void> removeRule(const Rule& rule) = 0;  // kNotFound
};

class RdmaClient {
 public:
  virtual ~RdmaClient() = default;

  virtual Result<std::vector<RdmaDevice>> devices() = 0;
  virtual Result<std::vector<RdmaPort>> ports() = 0;
  // A software RoCE device `name` on `netdev` of this namespace ("rxe" link type).
  virtual Result<void> addSoftRoce(const std::string& name, const std::string& netdev) = 0;
  virtual Result<void> removeSoftRoce(std::uint32_t deviceIndex) = 0;
  virtual Result<void> move(std::uint32_t deviceIndex,
                            const os::Netns& target) = 0;  // exclusive mode only
  virtual Result<RdmaNetnsMode> netnsMode() = 0;
};

// Opens clients. `netns` nullptr: the namespace of the calling thread.
class NetlinkOpener {
 public:
  virtual ~NetlinkOpener() = default;
  virtual Result<std::unique_ptr<LinkClient>> openLinks(const os::Netns* netns) = 0;
  // kUnsupported when the kernel has no RDMA (ib_core not loaded).
  virtual Result<std::unique_ptr<RdmaClient>> openRdma(const os::Netns* netns) = 0;
};

std::unique_ptr<NetlinkOpener> openKernel();

}  // namespace railhead::netlink
