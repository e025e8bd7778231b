#include "src/bench/rail_choice.h"

#include "src/base/text.h"
#include "src/verbs/gid_choice.h"

#include <algorithm>
#include <tuple>

namespace railhead::bench {
namespace {

constexpr std::string_view kRemedy =
    "the pod or shell needs an RDMA device whose interface has an IPv4 address in its own network "
    "namespace (`rdma link`, `ip address`), and /dev/infiniband";

// Why this device cannot carry a rail here, and on which address it could; empty reason: it can.
struct Usability {
  std::string reason;
  verbs::GidEntry gid;
};

Usability usability(const verbs::DeviceInfo& device) {
  if (!device.problem.empty()) return {device.problem, {}};
  if (device.state != verbs::PortState::kActive) {
    return {"its port is " + std::string(portStateName(device.state)), {}};
  }
  const auto gids = verbs::localIpv4Gids(device);
  if (!gids.empty()) return {"", gids.front()};
  const bool elsewhere =
      std::any_of(device.gids.begin(), device.gids.end(), [](const verbs::GidEntry& entry) {
        return entry.type == verbs::GidType::kRoceV2 && !entry.gid.ip().v6;
      });
  return {elsewhere ? "its interface is in another network namespace"
                    : "no RoCE v2 GID with an IPv4 address",
          {}};
}

Result<RailChoice> chooseOne(const std::vector<verbs::DeviceInfo>& devices,
                             const RailRequest& request) {
  std::vector<std::string> names;
  for (const auto& device : devices) {
    names.push_back(device.name);
    if (device.name != request.device) continue;
    if (request.address && device.problem.empty()) {
      const auto gid = verbs::gidForAddress(device, *request.address);
      if (!gid.has_value()) {
        return Error(ErrorCode::kEnvironment, gid.error().message, gid.error().remedy);
      }
      return RailChoice{device, *gid};
    }
    const Usability usable = usability(device);
    if (usable.reason.empty()) return RailChoice{device, usable.gid};
    return Error(ErrorCode::kEnvironment, "rail " + device.name + ": " + usable.reason,
                 std::string(kRemedy));
  }
  return Error(ErrorCode::kEnvironment,
               "no RDMA device " + inQuotes(request.device) +
                   " (there are: " + (names.empty() ? "none" : join(names, ", ")) + ")",
               names.empty() ? std::string(kRemedy)
                             : "name one of these, or leave --rail out to use every one");
}

Result<std::vector<RailChoice>> chooseAll(const std::vector<verbs::DeviceInfo>& devices) {
  std::vector<RailChoice> out;
  std::vector<std::string> reasons;
  for (const auto& device : devices) {
    const Usability usable = usability(device);
    if (usable.reason.empty()) {
      out.push_back({device, usable.gid});
    } else {
      reasons.push_back(device.name + ": " + usable.reason);
    }
  }
  if (out.empty()) {
    return Error(ErrorCode::kEnvironment,
                 devices.empty() ? "there is no RDMA device"
                                 : "no RDMA device is usable here (" + join(reasons, "; ") + ")",
                 std::string(kRemedy));
  }
  if (out.size() > kMaxRails) {
    return Error(ErrorCode::kInvalidArgument,
                 std::to_string(out.size()) + " RDMA devices are usable, at most " +
                     std::to_string(kMaxRails) + " can be tested at once",
                 "name the ones to test with --rail");
  }
  std::sort(out.begin(), out.end(), [](const RailChoice& a, const RailChoice& b) {
    return std::tie(a.gid.netdev, a.device.name) < std::tie(b.gid.netdev, b.device.name);
  });
  return out;
}

}  // namespace

Result<RailRequest> RailRequest::parse(std::string_view text) {
  const auto at = text.find('@');
  RailRequest out;
  out.device = std::string(text.substr(0, at));
  const bool plain = out.device.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
                         "XYZ0123456789_-.") == std::string::npos;
  if (out.device.empty() || out.device.size() > 63 || !plain) {
    return Error(ErrorCode::kInvalidArgument, "rail " + inQuotes(text) +
                                                  ": expected DEVICE or DEVICE@ADDRESS, like "
                                                  "rocep1s0f0@10.100.0.5");
  }
  if (at == std::string_view::npos) return out;
  RAILHEAD_TRY_ASSIGN(out.address,
                      IpAddress::parse(text.substr(at + 1)).addContext("rail " + inQuotes(text)));
  return out;
}

Result<std::vector<RailChoice>> chooseRails(verbs::Verbs& verbs,
                                            const std::vector<RailRequest>& requests) {
  RAILHEAD_TRY_ASSIGN(const auto devices, verbs.listDevices());
  if (requests.empty()) return chooseAll(devices);
  if (requests.size() > kMaxRails) {
    return Error(ErrorCode::kInvalidArgument, std::to_string(requests.size()) +
                                                  " rails asked for: at most " +
                                                  std::to_string(kMaxRails) + " are allowed");
  }
  std::vector<RailChoice> out;
  for (const auto& request : requests) {
    RAILHEAD_TRY_ASSIGN(RailChoice choice, chooseOne(devices, request));
    for (const auto& earlier : out) {
      if (earlier.device.name != choice.device.name) continue;
      return Error(ErrorCode::kInvalidArgument, "rail " + choice.device.name + " is named twice");
    }
    out.push_back(std::move(choice));
  }
  return out;
}

Result<std::vector<verbs::DeviceInfo>> devicesHere(verbs::Verbs& verbs) {
  RAILHEAD_TRY_ASSIGN(auto devices, verbs.listDevices());
  std::erase_if(devices, [](const verbs::DeviceInfo& device) {
    return std::none_of(device.gids.begin(), device.gids.end(),
                        [](const verbs::GidEntry& gid) { return !gid.netdev.empty(); });
  });
  return devices;
}

}  // namespace railhead::bench
