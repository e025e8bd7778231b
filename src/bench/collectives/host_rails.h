// Which rails the host backend gets: those that every rank has and that carry, or TCP for all.
#pragma once

#include "src/base/result.h"
#include "src/collective/group.h"
#include "src/collective/host/gloo_lanes.h"
#include "src/collective/world.h"

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace railhead::bench {

struct HostRailWish {
  std::string transport = "auto";  // "verbs", "tcp", or "auto": verbs where every rank has a rail
  std::vector<std::string> rails;  // "rxe0", "rxe0@10.100.0.5", of tcp an address; empty: all
  std::chrono::milliseconds resolve{60'000};  // of rank 0's name, for tcp
};

struct HostRails {
  bool verbs = false;
  std::vector<collective::HostRail> rails;
};

// Collective: all ranks call it. What was left out, and why, is added to `notes`: a rail that does
// not carry, RDMA that one rank lacks. kEnvironment: a rank has no rail and TCP may not stand in;
// kCheckFailed: one that was asked for does not carry.
Result<HostRails> agreeOnHostRails(const HostRailWish& wish, const collective::World& world,
                                   const collective::Gather& gather,
                                   std::vector<std::string>& notes);

// Tells when the rails of `pairs` rank pairs are not connected in time: Gloo's connecting cannot be
// called off, so whoever is told ends the process. Its end calls it off.
class ConnectWatch {
 public:
  ConnectWatch(std::size_t pairs, std::function<void(const Error&)> late);

 private:
  std::jthread thread_;
};

}  // namespace railhead::bench
