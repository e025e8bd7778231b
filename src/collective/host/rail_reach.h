// Whether each rail carries, asked before Gloo is given it: its ibverbs transport waits without end
// on a queue pair whose packets are lost.
#pragma once

#include "src/base/result.h"
#include "src/collective/host/gloo_lanes.h"

#include <chrono>
#include <string>
#include <vector>

namespace railhead::collective {

// "rank 1 has 1 rails, this one 2", with what to do.
Error unequalRails(std::size_t peer, std::size_t theirs, std::size_t ours);

// Every rank tries the next one over TCP, between the rails' own addresses. Collective: all ranks
// call it, with as many rails in the same order. For each rail why it does not carry between some
// two ranks, the same text on all of them; empty: it carries.
// kCheckFailed: the ranks have different numbers of rails.
Result<std::vector<std::string>> railHindrances(int rank, int ranks,
                                                const std::vector<HostRail>& rails,
                                                std::chrono::milliseconds patience,
                                                const Gather& gather);

}  // namespace railhead::collective
