// Which way NCCL's log says that a direction goes.
#include "src/base/text.h"
#include "src/verify/facts.h"

#include <algorithm>
#include <bit>

namespace railhead::verify {
namespace {

Way wayOf(const ChannelPath& path) {
  if (path.medium == Medium::kP2p || path.medium == Medium::kShm) return Way::kLocal;
  if (path.carrier == "Socket") return Way::kSockets;
  if (path.gdr) return Way::kGdr;
  return isVerbs(path.carrier) ? Way::kHost : Way::kOther;
}

Way wayOf(const EndPaths& end) {
  if (end.paths.empty()) return Way::kUntold;
  const Way first = wayOf(end.paths.front());
  const bool alike = std::all_of(end.paths.begin(), end.paths.end(),
                                 [&](const auto& path) { return wayOf(path) == first; });
  return alike ? first : Way::kMixed;
}

std::uint64_t channelsOf(const EndPaths& end) {
  std::uint64_t channels = 0;
  for (const auto& path : end.paths) channels |= path.channels;
  return channels;
}

std::string processName(const NcclLog& log, const EndPaths& end) {
  if (!end.process) return "";
  const auto& process = log.processes()[*end.process];
  return process.host + ":" + std::to_string(process.pid);
}

std::string pathText(const NcclLog& log, const EndPaths& end, const ChannelPath& path) {
  std::string text = path.carrier;
  if (path.device >= 0) text += "/" + std::to_string(path.device);
  if (end.process) {
    const auto devices = log.devicesOf(*end.process, path);
    if (!devices.empty()) text += " (" + join(devices, "+") + ")";
  }
  if (path.proxyRank >= 0) text += " by rank " + std::to_string(path.proxyRank);
  if (path.gdr) text += path.gdrOverPci ? " GDRDMA(PCI)" : " GDRDMA";
  return text + ": " + std::to_string(std::popcount(path.channels)) + " channels";
}

void addPaths(const NcclLog& log, const LoggedPair& pair, const EndPaths& end, const char* which,
              LineFacts& facts) {
  for (const auto& path : end.paths) {
    facts.evidence.push_back({EvidenceSource::kChannelLines,
                              "rank " + std::to_string(pair.from) + " -> rank " +
                                  std::to_string(pair.to) + ", " + which + " end",
                              "NCCL log of " + processName(log, end), supportOf(wayOf(path)),
                              pathText(log, end, path)});
  }
}

// What the process of an end says beside its channels; none of it decides.
void addAsides(const NcclLog& log, const EndPaths& end, LineFacts& facts) {
  if (!end.process) return;
  const auto& process = log.processes()[*end.process];
  const std::string where = "NCCL log of " + processName(log, end);
  const auto add = [&](EvidenceSource source, const std::string& what, const std::string& value) {
    facts.evidence.push_back({source, what, where, Supports::kNothing, value});
  };
  if (!process.networks.empty()) {
    add(EvidenceSource::kNetwork, "network", join(process.networks, ", "));
  }
  if (process.ringGdr) {
    add(EvidenceSource::kRingSummary, "rings of all ranks", *process.ringGdr ? "GDR 1" : "GDR 0");
  }
  const auto addClaims = [&](EvidenceSource source, const char* what, const LoggedClaims& claims) {
    for (const auto* claim : {&claims.enabled, &claims.disabled}) {
      if (!claim->empty()) add(source, what, *claim);
    }
  };
  addClaims(EvidenceSource::kNicClaim, "speaks of the NIC alone, proves nothing",
            process.nicClaims);
  addClaims(EvidenceSource::kGpuClaim, "reworded from version to version, decides nothing",
            process.gpuClaims);
}

// Settings by which an operator keeps NCCL from GDR.
void addCauses(const NcclLog& log, const EndPaths& end, LineFacts& facts) {
  if (!end.process) return;
  const auto& process = log.processes()[*end.process];
  for (const auto& [name, value] : process.settings) {
    const bool level = name == "NCCL_NET_GDR_LEVEL" && value != "SYS" && value != "5";
    const bool off = (name == "NCCL_DMABUF_ENABLE" || name == "NCCL_NET_GDR_READ") && value == "0";
    if (!level && !off) continue;
    const std::string cause =
        process.host + ": " + name + "=" + value + " keeps NCCL from GPU memory: unset it";
    if (std::find(facts.causes.begin(), facts.causes.end(), cause) == facts.causes.end()) {
      facts.causes.push_back(cause);
    }
  }
}

void addRails(const NcclLog& log, const EndPaths& end, LineFacts& facts) {
  const auto addOnce = [](std::vector<std::string>& names, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  if (!end.process) return;
  for (const auto& path : end.paths) {
    for (const auto& name : log.devicesOf(*end.process, path)) addOnce(facts.rails, name);
  }
  for (const auto& device : log.processes()[*end.process].devices) {
    for (const auto& name : device.names) addOnce(facts.railsAvailable, name);
  }
}

// Paths that a "/GDRDMA" would make direct ones.
bool anyWithoutGdr(const EndPaths& end) {
  return std::any_of(end.paths.begin(), end.paths.end(), [](const ChannelPath& path) {
    return wayOf(path) == Way::kHost || wayOf(path) == Way::kOther;
  });
}

Way bothEnds(const NcclLog& log, const LoggedPair& pair, const LoggedCommunicator& communicator,
             LineFacts& facts) {
  const auto partial = [&](const std::string& reason) {
    facts.partialReason = reason;
    if (log.statistics().repeated > 0) {
      facts.partialReason += "; Ray left lines out as repetitions: set RAY_DEDUP_LOGS=0";
    }
    return Way::kPartial;
  };
  if (facts.send == Way::kUntold && facts.receive == Way::kUntold) return Way::kUntold;
  if (communicator.ambiguous) {
    return partial("a process has several communicators and the lines do not say which is meant");
  }
  if (pair.send.cut || pair.receive.cut) return partial("it has more paths than are kept");
  if (facts.send == Way::kLocal && facts.receive == Way::kUntold) return Way::kLocal;
  if (facts.receive == Way::kUntold) return partial("the receiving end says nothing");
  if (facts.send == Way::kUntold) return partial("the sending end says nothing");
  if (log.statistics().tornFlags > 0 && (anyWithoutGdr(pair.send) || anyWithoutGdr(pair.receive))) {
    return partial("the log has a torn-off /GDRDMA, which any line without one may have lost");
  }
  if (channelsOf(pair.send) != channelsOf(pair.receive)) {
    return partial("the ends tell of different channels (" +
                   std::to_string(log.statistics().damaged) + " lines of the log are damaged)");
  }
  return facts.send == facts.receive ? facts.send : Way::kMixed;
}

}  // namespace

Supports supportOf(Way way) {
  switch (way) {
    case Way::kGdr:
      return Supports::kGdr;
    case Way::kHost:
      return Supports::kHostStaged;
    case Way::kSockets:
      return Supports::kSockets;
    case Way::kLocal:
      return Supports::kLocal;
    default:
      return Supports::kNothing;
  }
}

LineFacts linesOf(const NcclLog& log, const LoggedPair& pair,
                  const LoggedCommunicator& communicator) {
  LineFacts facts;
  facts.send = wayOf(pair.send);
  facts.receive = wayOf(pair.receive);
  facts.both = bothEnds(log, pair, communicator, facts);
  addPaths(log, pair, pair.send, "sending", facts);
  addPaths(log, pair, pair.receive, "receiving", facts);
  for (const auto* end : {&pair.send, &pair.receive}) {
    addAsides(log, *end, facts);
    if (anyWithoutGdr(*end)) addCauses(log, *end, facts);
  }
  addRails(log, pair.send, facts);
  return facts;
}

}  // namespace railhead::verify
