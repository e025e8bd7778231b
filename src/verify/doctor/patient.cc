#include "src/verify/doctor/patient.h"

#include "src/base/text.h"
#include "src/discover/attributes.h"
#include "src/discover/discover.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace railhead::verify::doctor {
namespace {

using discover::Attributes;

constexpr std::size_t kMaxPorts = 256;
constexpr std::size_t kMaxGids = 256;
constexpr std::size_t kMaxConfigFiles = 128;
constexpr std::size_t kMaxConfigBytes = 256 << 10;
constexpr std::string_view kNoGid = "0000:0000:0000:0000:0000:0000:0000:0000";
constexpr int kCapIpcLock = 14;

std::vector<GidLine> readGids(const Attributes& port) {
  std::vector<GidLine> gids;
  for (const auto& name : port.entries("gids", kMaxGids)) {
    const auto index = parseUnsigned(name);
    GidLine line;
    line.gid = port.text("gids/" + name);
    if (!index || *index > 65535 || line.gid.empty() || line.gid == kNoGid) continue;
    line.index = static_cast<unsigned>(*index);
    line.type = port.text("gid_attrs/types/" + name);
    gids.push_back(std::move(line));
  }
  std::sort(gids.begin(), gids.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  return gids;
}

void readPorts(os::Filesystem& files, const os::HostPaths& paths, Patient& patient) {
  const Attributes all(files, paths.sys + "/class/infiniband");
  for (const auto& device : all.entries("", kMaxPorts)) {
    Port port;
    port.device = device;
    const Attributes folder = all.below(device);
    const Attributes first = folder.below("ports/1");
    port.active = first.text("state").ends_with("ACTIVE");
    port.gids = readGids(first);
    const auto* function = functionOf(patient, device);
    port.netdev = function != nullptr ? function->netdev : folder.text("parent");
    if (!port.netdev.empty()) {
      const Attributes netdev(files, paths.sys + "/class/net/" + port.netdev);
      port.up = (netdev.number("flags").value_or(0) & 1) != 0;
    }
    patient.ports.push_back(std::move(port));
  }
}

void readNetdevs(os::Filesystem& files, const os::HostPaths& paths, Patient& patient) {
  for (const auto& port : patient.ports) {
    if (port.netdev.empty()) continue;
    const Attributes netdev(files, paths.sys + "/class/net/" + port.netdev);
    const auto up = netdev.number("carrier_up_count");
    const auto down = netdev.number("carrier_down_count");
    if (up && down) patient.carriers[port.netdev] = {*up, *down};
    const std::string bond = netdev.linkName("master");
    if (!bond.empty()) patient.bonds[port.netdev] = bond;
  }
}

// "Max locked memory         8388608              8388608              bytes"
void readLockLimit(std::string_view limits, MemoryState& memory) {
  const std::string_view key = "Max locked memory";
  for (std::string_view line : split(limits, '\n')) {
    if (!line.starts_with(key)) continue;
    line = trim(line.substr(key.size()));
    const std::string_view soft = line.substr(0, line.find(' '));
    memory.lockUnlimited = soft == "unlimited";
    memory.lockLimit = parseUnsigned(soft);
  }
}

// "CmaTotal:         65536 kB", in bytes.
std::optional<std::uint64_t> kilobytes(std::string_view table, std::string_view key) {
  for (std::string_view line : split(table, '\n')) {
    if (!line.starts_with(key)) continue;
    line = trim(line.substr(key.size()));
    const auto value = parseUnsigned(line.substr(0, line.find(' ')));
    if (value && *value < (1ULL << 50)) return *value * 1024;
  }
  return std::nullopt;
}

void readMemory(os::Filesystem& files, const os::HostPaths& paths, MemoryState& memory) {
  if (const auto limits = files.readFile(paths.proc + "/self/limits", 65536); limits.has_value()) {
    readLockLimit(*limits, memory);
  }
  if (const auto status = files.readFile(paths.proc + "/self/status", 65536); status.has_value()) {
    for (const std::string_view line : split(*status, '\n')) {
      if (!line.starts_with("CapEff:")) continue;
      const auto mask = parseHex(trim(line.substr(7)));
      if (mask) memory.ipcLock = (*mask >> kCapIpcLock & 1) != 0;
    }
  }
  if (const auto table = files.readFile(paths.proc + "/meminfo", 65536); table.has_value()) {
    memory.cmaTotal = kilobytes(*table, "CmaTotal:");
    memory.available = kilobytes(*table, "MemAvailable:");
  }
}

std::map<std::string, std::string> readEnvironment(os::Filesystem& files,
                                                   const os::HostPaths& paths) {
  std::map<std::string, std::string> environment;
  const auto text = files.readFile(paths.proc + "/self/environ");
  if (!text.has_value()) return environment;
  for (const std::string_view entry : split(*text, '\0')) {
    const auto equals = entry.find('=');
    if (!entry.starts_with("NCCL_") || equals == std::string_view::npos) continue;
    environment.insert_or_assign(std::string(entry.substr(0, equals)),
                                 std::string(trim(entry.substr(equals + 1)).substr(0, 256)));
  }
  return environment;
}

bool isConfig(std::string_view name) {
  return name.ends_with(".conf") || name.ends_with(".conflist") || name.ends_with(".json") ||
         name.ends_with(".yaml") || name.ends_with(".yml");
}

void readCni(os::Filesystem& files, const std::string& folder, Patient& patient) {
  const auto names = files.listDirectory(folder);
  if (!names.has_value()) return;
  for (const auto& name : *names) {
    std::string path = folder;
    path.append("/").append(name);
    if (name.ends_with(".cilium_bak")) patient.cniBackups.push_back(path);
    if (!isConfig(name) || patient.cniFiles.size() == kMaxConfigFiles) continue;
    auto text = files.readFile(path, kMaxConfigBytes);
    if (text.has_value()) patient.cniFiles.push_back({std::move(path), std::move(*text)});
  }
}

}  // namespace

bool GidLine::ipv4() const { return gid.starts_with("0000:0000:0000:0000:0000:ffff:"); }

Result<Patient> examine(os::Filesystem& files, const os::HostPaths& paths, Place place,
                        const discover::TwinRules& twins) {
  Patient patient;
  patient.place = place;
  RAILHEAD_TRY_ASSIGN(patient.node, discover::discoverNode(files, paths));
  patient.cages = discover::pairTwins(patient.node, twins);
  readPorts(files, paths, patient);
  readNetdevs(files, paths, patient);
  readMemory(files, paths, patient.memory);
  const Attributes dmi(files, paths.sys + "/class/dmi/id");
  patient.firmware = {dmi.text("sys_vendor"), dmi.text("product_name"), dmi.text("bios_date")};
  patient.environment = readEnvironment(files, paths);
  if (auto text = files.readFile(paths.ncclConf, kMaxConfigBytes); text.has_value()) {
    patient.ncclConf = ConfigFile{paths.ncclConf, std::move(*text)};
  }
  readCni(files, paths.cniConfig, patient);
  readCni(files, paths.nads, patient);
  return patient;
}

std::string label(const Port& port) {
  return port.netdev.empty() ? port.device : port.device + " (" + port.netdev + ")";
}

const Port* portOf(const Patient& patient, const std::string& device) {
  const auto found = std::find_if(patient.ports.begin(), patient.ports.end(),
                                  [&](const Port& port) { return port.device == device; });
  return found == patient.ports.end() ? nullptr : &*found;
}

const discover::PciFunction* functionOf(const Patient& patient, const std::string& device) {
  const auto has = [&](const discover::PciFunction& function) {
    return std::any_of(function.rdma.begin(), function.rdma.end(),
                       [&](const auto& each) { return each.name == device; });
  };
  for (const auto& pf : patient.node.pfs) {
    if (has(pf)) return &pf;
    for (const auto& vf : pf.vfs) {
      if (has(vf)) return &vf;
    }
  }
  for (const auto& nic : patient.node.otherNics) {
    if (has(nic)) return &nic;
  }
  return nullptr;
}

std::vector<const Port*> railsInUse(const Patient& patient) {
  // Behind a cage with VFs the VFs are the rails.
  std::set<PciAddress> givenAway;
  for (const auto& cage : patient.cages.cages) {
    const bool any = std::any_of(cage.pfs.begin(), cage.pfs.end(), [&](const auto& address) {
      const auto* pf = discover::findPf(patient.node, address);
      return pf != nullptr && pf->numVfs > 0;
    });
    if (any) givenAway.insert(cage.pfs.begin(), cage.pfs.end());
  }
  std::vector<const Port*> rails;
  for (const auto& port : patient.ports) {
    if (port.netdev.empty() || !port.up || !port.active) continue;
    const auto* function = functionOf(patient, port.device);
    if (function == nullptr || !givenAway.contains(function->pci)) rails.push_back(&port);
  }
  return rails;
}

}  // namespace railhead::verify::doctor
