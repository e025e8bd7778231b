// All links of a lab and the thread that runs them. Thread-safe.
#pragma once

#include "lab/wire/link.h"
#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace railhead::lab {

// The two ends of one patch cable: a frame is a datagram. Their buffers are small, so that a sender
// soon feels the pace of the link.
struct WirePatch {
  os::UniqueFd wireSide;  // non-blocking, for Wire
  os::UniqueFd nodeSide;  // for the emulated NIC
};
Result<WirePatch> makeWirePatch();

struct LinkPlan {
  std::string name;
  LinkSettings settings;
  std::vector<os::UniqueFd> ends;  // wire sides, 2 to 16
};

// What to change; what is absent stays.
struct LinkChange {
  std::optional<bool> cut;
  std::optional<BitRate> rate;
  std::optional<double> lossPercent;
};

struct LinkState {
  std::string name;
  LinkSettings settings;
  std::vector<DirectionCounters> fromEnd;  // in the order of the ends
};

class Wire {
 public:
  static Result<std::unique_ptr<Wire>> start(std::vector<LinkPlan> plans, std::uint64_t seed = 1);
  ~Wire();  // stops the thread
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // In force when it returns. kNotFound for an unknown link.
  Result<LinkSettings> change(std::string_view link, const LinkChange& change);
  std::vector<LinkState> state() const;

 private:
  struct Watch {  // one end as epoll knows it
    std::size_t link;
    std::size_t end;
    std::uint32_t events;
  };

  Wire() = default;
  Result<void> open(std::vector<LinkPlan> plans, std::uint64_t seed);
  void run();
  void serve(const std::vector<bool>& awake);
  void updateWatches();
  void armTimer();

  mutable std::mutex mutex_;
  std::vector<Link> links_;     // guarded by mutex_
  std::vector<Watch> watches_;  // the thread's own
  std::vector<bool> pumpNow_;   // guarded by mutex_: links changed since the thread looked
  bool stopping_ = false;       // guarded by mutex_
  os::UniqueFd epoll_;
  os::UniqueFd timer_;
  os::UniqueFd wake_;
  std::thread thread_;
};

}  // namespace railhead::lab
