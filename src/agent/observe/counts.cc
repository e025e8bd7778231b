#include "src/agent/observe/counts.h"

#include <algorithm>

namespace railhead::agent {
namespace {

using metrics::Kind;
using SteadyClock = std::chrono::steady_clock;

const std::vector<double> kSeconds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};

double asDouble(const std::atomic<std::uint64_t>& value) {
  return static_cast<double>(value.load());
}

}  // namespace

Counts::Counts() {
  for (auto& one : requests_) {
    one.reset(new Requests{metrics::Histogram(kSeconds), metrics::Histogram(kSeconds)});
  }
}

attach::CniHandler Counts::timed(attach::CniHandler inner) {
  return [this, inner = std::move(inner)](const cni::Call& call) {
    const auto began = SteadyClock::now();
    auto reply = inner(call);
    const std::chrono::duration<double> took = SteadyClock::now() - began;
    const auto* const operation =
        std::find(kOperations.begin(), kOperations.end() - 1, call.command);
    auto& requests = *requests_[static_cast<std::size_t>(operation - kOperations.begin())];
    (reply.exitCode == 0 ? requests.done : requests.failed).observe(took.count());
    return reply;
  };
}

void Counts::swept(const attach::SweepReport& report) {
  repairs_ += report.done.size();
  repairFailures_ += report.failed.size();
}

void Counts::provisioned(const Result<provision::ApplyReport>& report) {
  ++provisionRuns_;
  if (report.has_value()) provisionChanges_ += report->changes.size();
  provisionFailing_ = report.has_value() ? report->failures.size() : 1;
  provisionFailures_ += provisionFailing_;
}

void Counts::turned(std::optional<SteadyClock::time_point> now) {
  lastTurn_ = now ? now->time_since_epoch().count() : 0;
}

std::string Counts::stalled(SteadyClock::time_point now) const {
  const SteadyClock::duration last(lastTurn_.load());
  if (last.count() == 0) return {};
  const auto since = now.time_since_epoch() - last;
  if (since <= kStalledAfter) return {};
  return "the agent has not looked at its node for " +
         std::to_string(std::chrono::duration_cast<std::chrono::seconds>(since).count()) + " s";
}

void Counts::write(metrics::Exposition& out) const {
  out.family(Kind::kHistogram, "railhead_attach_duration_seconds",
             "Time of a CNI request in the agent, by operation and result (done, failed).");
  for (std::size_t i = 0; i < kOperations.size(); ++i) {
    for (const bool done : {true, false}) {
      const auto value = (done ? requests_[i]->done : requests_[i]->failed).value();
      const bool asked = std::any_of(value.counts.begin(), value.counts.end(),
                                     [](std::uint64_t count) { return count > 0; });
      if (!asked && i > 1) continue;  // ADD and DEL are there from the start: rates need a zero
      out.sample({{"operation", std::string(kOperations[i])}, {"result", done ? "done" : "failed"}},
                 value);
    }
  }
  const auto counter = [&](std::string_view name, std::string_view help,
                           const std::atomic<std::uint64_t>& value) {
    out.family(Kind::kCounter, name, help);
    out.sample({}, asDouble(value));
  };
  counter("railhead_repairs_total",
          "VFs and attachments put right: pods that died without DEL, strays, half-done requests.",
          repairs_);
  counter("railhead_repair_failures_total",
          "Repairs that failed; one that fails again is counted when its reason changes.",
          repairFailures_);
  counter("railhead_provision_runs_total", "Times the VFs were held against the goal.",
          provisionRuns_);
  counter("railhead_provision_changes_total", "Steps that changed something on the node.",
          provisionChanges_);
  counter("railhead_provision_failures_total", "PFs that could not be brought to the goal.",
          provisionFailures_);
  out.family(Kind::kGauge, "railhead_provision_failing_pfs",
             "PFs that missed the goal in the last run; they are tried again.");
  out.sample({}, asDouble(provisionFailing_));
}

}  // namespace railhead::agent
