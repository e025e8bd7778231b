// What NCCL is told, and which NCCL it is.
#include "src/base/text.h"
#include "src/verify/doctor/checks.h"

#include <algorithm>
#include <array>

namespace railhead::verify::doctor {
namespace {

// Released versions of 2.18 to 2.30; one among them that is not here was built from a branch.
constexpr std::array<std::string_view, 31> kReleases{
    "2.18.1", "2.18.3", "2.18.5", "2.18.6", "2.19.1", "2.19.3", "2.19.4", "2.20.3",
    "2.20.5", "2.21.5", "2.22.3", "2.23.4", "2.24.3", "2.25.1", "2.26.2", "2.26.3",
    "2.26.5", "2.26.6", "2.27.3", "2.27.5", "2.27.6", "2.27.7", "2.28.3", "2.28.7",
    "2.28.9", "2.29.2", "2.29.3", "2.29.7", "2.30.3", "2.30.4", "2.30.7"};

// A setting of the process or, when it has none, of the file that every NCCL reads.
struct Setting {
  std::string value, where;
};

std::vector<std::pair<std::string_view, std::string_view>> confLines(const Patient& patient) {
  std::vector<std::pair<std::string_view, std::string_view>> lines;
  if (!patient.ncclConf) return lines;
  for (std::string_view line : split(patient.ncclConf->text, '\n')) {
    line = trim(line);
    const auto equals = line.find('=');
    if (line.starts_with('#') || equals == std::string_view::npos) continue;
    lines.emplace_back(trim(line.substr(0, equals)), trim(line.substr(equals + 1)));
  }
  return lines;
}

std::optional<Setting> settingOf(const Patient& patient, const std::string& name) {
  const auto own = patient.environment.find(name);
  if (own != patient.environment.end()) return Setting{own->second, "the environment"};
  for (const auto& [key, value] : confLines(patient)) {
    if (key == name) return Setting{std::string(value), patient.ncclConf->path};
  }
  return std::nullopt;
}

// "2.28.9" of "2.28.9+cuda13.0"; what follows the three numbers comes as `suffix`.
std::string_view numbersOf(std::string_view version, std::string_view& suffix) {
  version = version.substr(0, version.find('+'));
  std::size_t dots = 0;
  std::size_t end = 0;
  for (; end < version.size(); ++end) {
    const char c = version[end];
    if (c == '.') {
      if (++dots == 3) break;
    } else if (c < '0' || c > '9') {
      break;
    }
  }
  suffix = version.substr(end);
  return version.substr(0, end);
}

bool withinKnown(std::string_view numbers) {
  const auto parts = split(numbers, '.');
  const auto minor = parts.size() == 3 ? parseUnsigned(parts[1]) : std::nullopt;
  const auto patch = parts.size() == 3 ? parseUnsigned(parts[2]) : std::nullopt;
  if (!minor || !patch || parts[0] != "2" || *minor < 18) return false;
  return *minor < 30 || (*minor == 30 && *patch <= 7);
}

std::string needsChannels(const Patient& patient) {
  if (auto lacks = needsLog(patient); !lacks.empty()) return lacks;
  const auto& told = patient.log->statistics();
  if (told.channelLines > 0) return "";
  if (told.oldLines > 0) {
    return "the log is of an NCCL before 2.7, whose lines 'Ring 00 : 0 -> 1 via' are not read: use "
           "2.18 or later";
  }
  if (told.damaged > 0) {
    return "none of the log's " + std::to_string(told.damaged) +
           " channel lines is whole and of a known form; the first: " +
           inQuotes(told.firstDamaged, 160);
  }
  return "the log has no channel lines: NCCL_DEBUG=INFO gives them, unless NCCL_DEBUG_SUBSYS "
         "leaves "
         "INIT out";
}

}  // namespace

std::string needsLog(const Patient& patient) {
  if (patient.log == nullptr) return "no NCCL log: run with NCCL_DEBUG=INFO and give it";
  return patient.log->statistics().messages == 0 ? "what was given as a log has no line of NCCL's"
                                                 : "";
}

std::string needsDevices(const Patient& patient) {
  if (auto lacks = needsLog(patient); !lacks.empty()) return lacks;
  const auto& processes = patient.log->processes();
  const bool told = std::any_of(processes.begin(), processes.end(),
                                [](const auto& process) { return !process.devices.empty(); });
  return told ? "" : "the log names no RDMA device";
}

std::string needsChannelsAndRails(const Patient& patient) {
  if (auto lacks = needsChannels(patient); !lacks.empty()) return lacks;
  return needsRailsInUse(patient);
}

std::string needsVersion(const Patient& patient) {
  if (auto lacks = needsLog(patient); !lacks.empty()) return lacks;
  return patient.log->versions().empty() ? "the log does not name NCCL's version" : "";
}

std::string needsGpu(const Patient& patient) {
  return patient.gpu && patient.gpu->gpuDirectRdma ? "" : "the CUDA driver was not asked";
}

std::string needsPod(const Patient& patient) {
  return patient.place == Place::kPod ? "" : "only a pod is given some of its node's devices";
}

std::vector<Finding> pinnedGid(const Patient& patient) {
  const auto pinned = settingOf(patient, "NCCL_IB_GID_INDEX");
  if (!pinned || pinned->value == "-1") return {};
  const auto index = parseUnsigned(pinned->value);
  Finding finding{
      Severity::kNotice, "NCCL_IB_GID_INDEX", "set to " + pinned->value + " in " + pinned->where,
      "the table drifts with every address that comes and goes; a wrong index is silent "
      "sockets or a hang",
      "unset it: NCCL chooses by RoCE version and address (NCCL_IB_ADDR_RANGE)"};
  for (const auto* port : railsInUse(patient)) {
    const auto at = std::find_if(port->gids.begin(), port->gids.end(),
                                 [&](const auto& gid) { return index && gid.index == *index; });
    if (at != port->gids.end() && at->ipv4() && at->type == "RoCE v2") continue;
    finding.severity = Severity::kBroken;
    finding.evidence += "; on " + label(*port) + " that is " +
                        (at == port->gids.end() ? "no GID" : at->type + " " + at->gid);
  }
  return {finding};
}

std::vector<Finding> unchosenDevices(const Patient& patient) {
  if (settingOf(patient, "NCCL_IB_HCA")) return {};
  std::vector<std::string> foreign;
  for (const auto& port : patient.ports) {
    if (port.active && port.netdev.empty()) foreign.push_back(port.device);
  }
  const auto own = railsInUse(patient);
  if (own.empty() || foreign.empty()) return {};
  std::vector<std::string> names;
  for (const auto* port : own) names.push_back(port->device);
  return {{Severity::kBroken, "NCCL_IB_HCA",
           "unset, and " + join(foreign, ", ") + " can be seen whose netdevs are elsewhere",
           "NCCL opens devices of the host or of other pods, finds no address on them and fails or "
           "takes sockets",
           "set NCCL_IB_HCA=" + join(names, ",") + " (Railhead's agent does)"}};
}

std::vector<Finding> uselessGdrLevel(const Patient& patient) {
  const auto level = settingOf(patient, "NCCL_NET_GDR_LEVEL");
  if (!level || patient.gpu->gpuDirectRdma != false) return {};
  return {{Severity::kNotice, "NCCL_NET_GDR_LEVEL",
           "set to " + level->value + " in " + level->where +
               ", and the GPU says CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED 0",
           "none: NCCL gives up on the GPU's attribute before it reads the level; on this GPU all "
           "RDMA is staged in host memory, at link rate",
           "leave it out"}};
}

std::vector<Finding> staleNcclConf(const Patient& patient) {
  std::vector<std::string> names;
  for (const auto& [name, value] : confLines(patient)) {
    if (name.starts_with("NCCL_") && names.size() < 16) names.emplace_back(name.substr(0, 64));
  }
  if (names.empty()) return {};
  return {{Severity::kNotice, patient.ncclConf->path, "it sets " + join(names, ", "),
           "every NCCL reads it unless the environment says otherwise; stale ones made jobs hang",
           "remove it from the image, or keep settings in a file that NCCL_CONF_FILE names"}};
}

std::vector<Finding> developmentBuild(const Patient& patient) {
  std::vector<Finding> findings;
  for (const auto& version : patient.log->versions()) {
    std::string_view suffix;
    const std::string_view numbers = numbersOf(version, suffix);
    const bool released =
        suffix.empty() && (!withinKnown(numbers) || std::find(kReleases.begin(), kReleases.end(),
                                                              numbers) != kReleases.end());
    if (released) continue;
    findings.push_back({Severity::kDegraded, "NCCL " + version,
                        suffix.empty() ? "no release has this number"
                                       : "its version ends in '" + std::string(suffix) + "'",
                        "two Sparks reached 3.04 GB/s with a development build and 23.74 with a "
                        "release",
                        "use a released NCCL, 2.28.9 or later"});
  }
  return findings;
}

}  // namespace railhead::verify::doctor
