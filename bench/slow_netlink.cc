#include "bench/slow_netlink.h"

#include <thread>
#include <utility>

namespace railhead::bench_programs {
namespace {

using netlink::LinkClient;
using netlink::RdmaClient;
using Clock = std::chrono::steady_clock;

class SlowLinks final : public LinkClient {
 public:
  SlowLinks(SlowNetlink& pace, std::unique_ptr<LinkClient> inner)
      : pace_(pace), inner_(std::move(inner)) {}

  Result<std::vector<netlink::Link>> links() override { return read().links(); }
  Result<netlink::Link> link(const std::string& name) override { return read().link(name); }
  Result<void> change(int index, const netlink::LinkChange& what) override {
    return change().change(index, what);
  }
  Result<void> move(int index, const os::Netns& target, const std::string& name) override {
    return change().move(index, target, name);
  }
  Result<std::vector<netlink::VfSettings>> vfs(int pf) override { return read().vfs(pf); }
  Result<std::vector<netlink::VfTraffic>> vfTraffic(int pf) override {
    return read().vfTraffic(pf);
  }
  Result<void> changeVf(int pf, int vf, const netlink::VfChange& what) override {
    return change().changeVf(pf, vf, what);
  }
  Result<std::vector<netlink::Address>> addresses(int link) override {
    return read().addresses(link);
  }
  Result<void> addAddress(int link, const IpPrefix& address) override {
    return change().addAddress(link, address);
  }
  Result<void> removeAddress(int link, const IpPrefix& address) override {
    return change().removeAddress(link, address);
  }
  Result<std::vector<netlink::Route>> routes() override { return read().routes(); }
  Result<void> addRoute(const netlink::Route& route) override { return change().addRoute(route); }
  Result<void> removeRoute(const netlink::Route& route) override {
    return change().removeRoute(route);
  }
  Result<std::vector<netlink::Rule>> rules() override { return read().rules(); }
  Result<void> addRule(const netlink::Rule& rule) override { return change().addRule(rule); }
  Result<void> removeRule(const netlink::Rule& rule) override { return change().removeRule(rule); }

 private:
  LinkClient& read() {
    pace_.passRead();
    return *inner_;
  }
  LinkClient& change() {
    pace_.passChange();
    return *inner_;
  }

  SlowNetlink& pace_;
  std::unique_ptr<LinkClient> inner_;
};

class SlowRdma final : public RdmaClient {
 public:
  SlowRdma(SlowNetlink& pace, std::unique_ptr<RdmaClient> inner)
      : pace_(pace), inner_(std::move(inner)) {}

  Result<std::vector<netlink::RdmaDevice>> devices() override { return read().devices(); }
  Result<std::vector<netlink::RdmaPort>> ports() override { return read().ports(); }
  Result<void> addSoftRoce(const std::string& name, const std::string& netdev) override {
    return change().addSoftRoce(name, netdev);
  }
  Result<void> removeSoftRoce(std::uint32_t device) override {
    return change().removeSoftRoce(device);
  }
  Result<void> move(std::uint32_t device, const os::Netns& target) override {
    return change().move(device, target);
  }
  Result<netlink::RdmaNetnsMode> netnsMode() override { return read().netnsMode(); }

 private:
  RdmaClient& read() {
    pace_.passRead();
    return *inner_;
  }
  RdmaClient& change() {
    pace_.passChange();
    return *inner_;
  }

  SlowNetlink& pace_;
  std::unique_ptr<RdmaClient> inner_;
};

}  // namespace

void SlowNetlink::forget() {
  reads_ = changes_ = 0;
  lasted_ = queued_ = 0;
}

void SlowNetlink::last(std::chrono::microseconds time) {
  const auto begun = Clock::now();
  std::this_thread::sleep_for(time);
  lasted_ += (Clock::now() - begun).count();
}

void SlowNetlink::passRead() {
  ++reads_;
  last(times_.read);
}

void SlowNetlink::passChange() {
  ++changes_;
  if (!times_.oneChangeAtATime) return last(times_.change);
  const auto begun = Clock::now();
  const std::lock_guard lock(kernelLock_);
  queued_ += (Clock::now() - begun).count();
  last(times_.change);
}

Result<std::unique_ptr<LinkClient>> SlowNetlink::openLinks(const os::Netns* netns) {
  RAILHEAD_TRY_ASSIGN(auto inner, inner_.openLinks(netns));
  return std::unique_ptr<LinkClient>(std::make_unique<SlowLinks>(*this, std::move(inner)));
}

Result<std::unique_ptr<RdmaClient>> SlowNetlink::openRdma(const os::Netns* netns) {
  RAILHEAD_TRY_ASSIGN(auto inner, inner_.openRdma(netns));
  return std::unique_ptr<RdmaClient>(std::make_unique<SlowRdma>(*this, std::move(inner)));
}

}  // namespace railhead::bench_programs
