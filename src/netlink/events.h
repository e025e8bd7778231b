// What the kernel tells by itself: links that change, devices that come, go or change their driver.
// The seam onto it; production: openNodeEvents(), tests: tests/support/told_events.h.
#pragma once

#include "src/base/result.h"
#include "src/netlink/codec.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::netlink {

struct NodeNews {
  std::vector<std::string> what;  // "link enp1s0f0np0: up, no carrier", "pci 0000:01:10.0: unbind"
  bool missedSome = false;        // the kernel's queue overflowed: look for yourself
  bool woken = false;             // wake() was called
  bool empty() const { return what.empty() && !missedSome && !woken; }
};

// When what was told belongs to the same change: a driver that binds, or a pod that gets its rails,
// tells dozens of things in a row.
struct Settling {
  std::chrono::milliseconds quiet{80};  // nothing more came for so long
  std::chrono::milliseconds most{400};  // however much comes, since the first
};

class NodeEvents {
 public:
  static constexpr std::size_t kMaxTold = 64;  // entries of `what` for one wait(); more: missedSome

  virtual ~NodeEvents() = default;
  // Waits until something happened or `until`, then collects what belongs to the same change. One
  // thread at a time.
  virtual NodeNews wait(std::chrono::steady_clock::time_point until, const Settling& settling) = 0;
  // Ends a wait() under way, or else the next one. From any thread.
  virtual void wake() = 0;
};

// Links of the calling thread's network namespace that are hardware (a node's veths come and go all
// day), and uevents of the subsystems pci and infiniband.
Result<std::unique_ptr<NodeEvents>> openNodeEvents();

// What one message of rtnetlink (payload after nlmsghdr of RTM_NEWLINK or RTM_DELLINK) or one
// uevent ("bind@/devices/...\0ACTION=bind\0...") says; nothing when it does not concern us. Pure
// and bounded: fuzzed.
struct UeventNews {
  std::string what;
};
std::optional<std::string> tellLink(bool gone, Bytes payload);
std::optional<UeventNews> tellUevent(Bytes message);

}  // namespace railhead::netlink
