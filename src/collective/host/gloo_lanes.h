// Lanes over Gloo (libgloo): TCP, or RDMA by ibverbs, on one rail. Gloo stays inside.
#pragma once

#include "src/base/result.h"
#include "src/collective/host/lanes.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace railhead::collective {

// The rail of this rank: its TCP address, or its RDMA device.
struct HostRail {
  enum class Kind { kTcp, kVerbs };
  Kind kind = Kind::kTcp;
  std::string address;           // numeric, of an interface of this machine
  std::string device;            // of verbs: "rxe0", "rocep1s0f0"
  int port = 1;                  // of the device
  int gidIndex = 0;              // as it is now; it changes when addresses do
  std::string toString() const;  // "verbs rxe0", "tcp 10.100.0.1"
};

// Gives this rank's text to all ranks and returns everybody's, in order (Group::gather).
using Gather = std::function<Result<std::vector<std::string>>(const std::string& own)>;

struct LaneSettings {
  std::size_t pieceBytes = 256 << 10;  // of what is sent at once; a multiple of 64
  // For one piece. An exchange that waits for one when close() comes may return no earlier: Gloo
  // does not wake who waits.
  std::chrono::milliseconds patience{10'000};
};

class GlooLanes final : public Lanes {
 public:
  // Connects to every other rank. Collective: all ranks call it for the same rail.
  // kEnvironment: no such device or address, or Gloo was built without ibverbs.
  static Result<std::unique_ptr<GlooLanes>> connect(int rank, int ranks, const HostRail& rail,
                                                    const LaneSettings& settings,
                                                    const Gather& gather);
  ~GlooLanes() override;

  int rank() const override;
  int ranks() const override;
  Result<void> exchange(const Exchange& exchange) override;
  // Lets an exchange that is running fail at its next step, from any thread, and every later one.
  void close();
  // An exchange waits for a peer now. Once close() was called it touches the caller's memory no
  // more, whenever it returns.
  bool waits() const;

 private:
  class Mesh;
  explicit GlooLanes(std::unique_ptr<Mesh> mesh);
  std::unique_ptr<Mesh> mesh_;
};

}  // namespace railhead::collective
