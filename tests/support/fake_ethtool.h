// Driver counters by hand: what a test sets is what is read. Not thread-safe.
#pragma once

#include "src/netlink/ethtool.h"

#include <map>
#include <string>

namespace railhead::testing_support {

class FakeDriverCounters final : public netlink::DriverCounters {
 public:
  // A link without counters is one whose driver has none.
  void addLink(const std::string& netdev) { links_[netdev]; }
  void set(const std::string& netdev, const std::string& name, std::uint64_t value) {
    links_[netdev][name] = value;
  }

  Result<std::map<std::string, std::uint64_t>> read(const std::string& netdev) override {
    const auto found = links_.find(netdev);
    if (found == links_.end()) return Error(ErrorCode::kNotFound, "no link " + netdev);
    if (found->second.empty()) {
      return Error(ErrorCode::kUnsupported, netdev + ": its driver has no counters");
    }
    return found->second;
  }

 private:
  std::map<std::string, std::map<std::string, std::uint64_t>> links_;
};

}  // namespace railhead::testing_support
