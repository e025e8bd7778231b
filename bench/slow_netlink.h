// A netlink whose calls take as long as a kernel's: every call of the clients behind it is made to
// last. Calls wait side by side, or, as those that change something do in a kernel, one after the
// other for its one lock. Thread-safe as the opener behind it.
#pragma once

#include "src/netlink/client.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>

namespace railhead::bench_programs {

struct CallTimes {
  std::chrono::microseconds read{0};
  std::chrono::microseconds change{0};
  bool oneChangeAtATime = false;
};

class SlowNetlink final : public netlink::NetlinkOpener {
 public:
  // `inner` outlives it.
  explicit SlowNetlink(netlink::NetlinkOpener& inner) : inner_(inner) {}

  void setTimes(const CallTimes& times) { times_ = times; }  // while nobody calls
  void forget();                                             // what was counted

  void passRead();
  void passChange();
  std::uint64_t reads() const { return reads_; }
  std::uint64_t changes() const { return changes_; }
  // How long calls lasted, all together, and how long changes waited for each other before.
  std::chrono::nanoseconds lasted() const { return std::chrono::nanoseconds(lasted_); }
  std::chrono::nanoseconds queued() const { return std::chrono::nanoseconds(queued_); }

  Result<std::unique_ptr<netlink::LinkClient>> openLinks(const os::Netns* netns) override;
  Result<std::unique_ptr<netlink::RdmaClient>> openRdma(const os::Netns* netns) override;

 private:
  void last(std::chrono::microseconds time);

  netlink::NetlinkOpener& inner_;
  CallTimes times_;
  std::mutex kernelLock_;
  std::atomic<std::uint64_t> reads_ = 0;
  std::atomic<std::uint64_t> changes_ = 0;
  std::atomic<std::int64_t> lasted_ = 0;
  std::atomic<std::int64_t> queued_ = 0;
};

}  // namespace railhead::bench_programs
