// What a rank of `railhead tune` is, and how it takes choices.
#pragma once

#include "apps/railhead/rank_session.h"
#include "src/collective/compute.h"
#include "src/collective/host/host_communicator.h"
#include "src/tune/setting.h"
#include "src/tune_run/facts.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace railhead::app {

// Why NCCL cannot be told its choices by this plugin; empty: it can.
std::string hindersChoices(const std::string& plugin);

tune::RankFacts rankFacts(RankSession& session, const collective::World& world,
                          const std::string& plugin);

// What computes beside the rank's calls: its GPU, or the cores that its node's ranks share. Every
// rank calls it.
Result<std::unique_ptr<collective::Compute>> computeBeside(RankSession& session);

// The knob as a number; nothing for its default. kInvalidArgument.
Result<std::optional<std::size_t>> countOf(const tune::Setting& setting, std::string_view knob);

// The host backend's choices by size.
class HostChoices {
 public:
  explicit HostChoices(collective::HostCommunicator* host)  // null: NCCL's, never asked
      : host_(host), usual_(host == nullptr ? 0 : host->directUpTo()) {}
  Result<void> choose(const tune::Setting& choice);

 private:
  collective::HostCommunicator* host_;
  std::size_t usual_;
};

}  // namespace railhead::app
