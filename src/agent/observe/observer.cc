#include "src/agent/observe/observer.h"

#include "src/agent/observe/families.h"

namespace railhead::agent {
namespace {

// A scrape waits no longer for a NIC's firmware.
constexpr std::chrono::milliseconds kCountersBudget{1000};

metrics::HttpAnswer verdict(const std::string& problem) {
  return problem.empty() ? metrics::HttpAnswer{200, "ok\n"}
                         : metrics::HttpAnswer{503, problem + "\n"};
}

std::string whyNotReady(const ObservedState& state) {
  const auto refused = [](const auto& offer) -> std::string {
    if (offer.state.phase == kube::PluginPhase::kRegistered) return {};
    return offer.resource + ": " + std::string(kube::pluginPhaseName(offer.state.phase)) +
           (offer.state.detail.empty() ? "" : ": " + offer.state.detail);
  };
  if (state.offersWanted) {
    for (const auto& offer : state.offers) {
      if (auto problem = refused(offer); !problem.empty()) return problem;
    }
  }
  for (const auto& offer : state.gpus) {
    if (auto problem = refused(offer); !problem.empty()) return problem;
  }
  if (state.cniWanted && !state.cniServed) return "the CNI socket is not served";
  return state.conflistFailure.empty() ? "" : "conflist: " + state.conflistFailure;
}

}  // namespace

std::string Observer::notLive() const {
  const auto now = std::chrono::steady_clock::now();
  const auto stalled = counts_.stalled(now);
  return stalled.empty() ? threads_.stuck(now) : stalled;
}

std::string Observer::notReady() const { return whyNotReady(look_()); }

metrics::HttpAnswer Observer::answer(std::string_view path) const {
  if (path == "/healthz") return verdict(notLive());
  if (path == "/readyz") return verdict(notReady());
  if (path != "/metrics") {
    return {404, "railhead-agent answers /metrics, /healthz and /readyz\n"};
  }
  metrics::Exposition out;
  write(out);
  return {200, out.takeText(), "text/plain; version=0.0.4; charset=utf-8"};
}

void Observer::write(metrics::Exposition& out) const {
  const auto began = std::chrono::steady_clock::now();
  const auto state = look_();
  writeBuild(out);
  writeOffers(out, state.offers, state.gpus, state.node->rails);
  writeProfile(out, state.profile);
  writeAttachments(out, state.attachments);
  counts_.write(out);
  writePfs(out, state.node->node);
  const auto& node = state.node->node;
  const auto vfs = discover::readVfTraffic(netlink_, node, began + kCountersBudget);
  const auto counters = discover::readCounters(files_, paths_, node, began + kCountersBudget);
  writeVfTraffic(out, vfs);
  writeCounters(out, counters);
  writeCut(out, vfs.cut || counters.cut);
  out.family(metrics::Kind::kGauge, "railhead_scrape_duration_seconds",
             "Time the agent took to gather this answer.");
  out.sample({}, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
}

}  // namespace railhead::agent
