// What the doctor looks at: one node as its namespaces, sysfs, procfs and configuration show it,
// from the host or from inside a pod, and what others know of it. Read once; the checks are pure
// functions over it. Absent: not read, or not to be had here.
#pragma once

#include "src/base/result.h"
#include "src/base/units.h"
#include "src/discover/node.h"
#include "src/discover/twins.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/verify/facts.h"
#include "src/verify/nccl_log.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace railhead::verify::doctor {

enum class Place { kNode, kPod };

struct GidLine {
  unsigned index = 0;
  std::string gid;    // sysfs form
  std::string type;   // "RoCE v2", "IB/RoCE v1"
  bool ipv4() const;  // an IPv4 address stands in it
};

// Port 1 of an RDMA device that this place can see.
struct Port {
  std::string device;
  std::string netdev;  // empty: in another namespace
  bool up = false;     // the netdev, administratively
  bool active = false;
  std::vector<GidLine> gids;  // those that are not zero
};

struct CarrierChanges {
  std::uint64_t up = 0, down = 0;  // since the function was made
};

struct MemoryState {
  std::optional<std::uint64_t> lockLimit;  // of this process, bytes; absent: unlimited or unread
  bool lockUnlimited = false;
  std::optional<bool> ipcLock;  // CAP_IPC_LOCK: no limit applies
  std::optional<std::uint64_t> cmaTotal, available;
};

struct Firmware {
  std::string vendor, product, biosDate;  // "ASUSTeK", "GX10", "04/02/2026"
};

struct ConfigFile {
  std::string path, text;
};

struct Patient {
  Place place = Place::kNode;
  discover::Node node;
  discover::Cages cages;
  std::vector<Port> ports;
  std::map<std::string, CarrierChanges> carriers;  // by netdev
  std::map<std::string, std::string> bonds;        // netdev -> bond it is in
  MemoryState memory;
  Firmware firmware;
  std::map<std::string, std::string> environment;  // NCCL's of this process
  std::optional<ConfigFile> ncclConf;
  std::vector<ConfigFile> cniFiles;     // the runtime's, and NADs kept as files
  std::vector<std::string> cniBackups;  // files that Cilium put out of the way

  // Told by others. The log outlives the patient.
  const NcclLog* log = nullptr;
  std::optional<GpuAttributes> gpu;
  std::optional<std::uint64_t> plannedBytes;               // of all buffers of a test, on this node
  std::vector<std::pair<std::string, BitRate>> railRates;  // measured alone, by RDMA device
  std::optional<std::uint64_t> multusMemoryLimit;          // bytes
};

// `twins`: as somebody configured them, where the PFs do not tell. kNotFound when there is no
// sysfs; everything else that is missing is absent.
Result<Patient> examine(os::Filesystem& files, const os::HostPaths& paths, Place place,
                        const discover::TwinRules& twins = {});

// "rocep1s0f0 (enp1s0f0np0)"
std::string label(const Port& port);
const Port* portOf(const Patient& patient, const std::string& device);  // nullptr: not there
// The function behind an RDMA device; nullptr: none, as for soft-RoCE.
const discover::PciFunction* functionOf(const Patient& patient, const std::string& device);
// The rails that traffic of this place would use: up, active, with a netdev here, and no PF of a
// cage whose VFs are the rails.
std::vector<const Port*> railsInUse(const Patient& patient);

}  // namespace railhead::verify::doctor
