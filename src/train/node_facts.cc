#include "src/train/node_facts.h"

#include "src/base/text.h"
#include "src/gpu/gpu.h"
#include "src/nccl/library.h"
#include "src/train/json_fields.h"
#include "src/train/manifest_fields.h"

#include <nlohmann/json.hpp>
#include <sys/utsname.h>

namespace railhead::train {
namespace {

// As lines of progress begin (src/launch/gang.h): no rank's last word.
constexpr std::string_view kFactsMark = "railhead-progress facts ";
constexpr std::size_t kMaxFactsLine = 4000;
constexpr std::size_t kMaxFactEntries = 32;

std::string readWord(os::Filesystem& files, const std::string& path) {
  const auto text = files.readTrimmed(path);
  return text.has_value() ? *text : std::string();
}

void addProcessor(os::Filesystem& files, const os::HostPaths& paths, NodeFacts& out) {
  const auto text = files.readFile(paths.proc + "/cpuinfo", 8 << 20);
  if (!text.has_value()) return;
  for (const auto line : split(*text, '\n')) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const auto name = trim(line.substr(0, colon));
    if (name == "processor") ++out.cpus;
    if (name == "model name" && out.cpu.empty()) out.cpu = trim(line.substr(colon + 1));
  }
}

void addGpus(os::Filesystem& files, const os::HostPaths& paths, NodeFacts& out) {
  gpu::GpuLibraryOptions options;
  options.sys = paths.sys;
  gpu::GpuLibrary library(options, &files);
  const auto inventory = library.inventory();
  if (!inventory.has_value()) return;
  out.driver = inventory->driver.version;
  if (inventory->driver.cudaMajor > 0) {
    out.cuda = std::to_string(inventory->driver.cudaMajor) + "." +
               std::to_string(inventory->driver.cudaMinor);
  }
  for (const auto& gpu : inventory->gpus) {
    if (out.gpus.size() == kMaxFactEntries) break;
    out.gpus.push_back(gpu.name);
    out.topology.push_back("gpu" + std::to_string(gpu.index) + " " + gpu.pci.toString() +
                           (gpu.numaNode ? " numa " + std::to_string(*gpu.numaNode) : ""));
  }
}

void addNics(os::Filesystem& files, const os::HostPaths& paths, NodeFacts& out) {
  const std::string folder = paths.sys + "/class/infiniband";
  const auto names = files.listDirectory(folder);
  if (!names.has_value()) return;
  for (const auto& name : *names) {
    if (out.nics.size() == kMaxFactEntries) break;
    const std::string device = folder + "/" + name;
    std::string line = name;
    for (const char* attribute : {"/hca_type", "/fw_ver"}) {
      const std::string word = readWord(files, device + attribute);
      if (!word.empty()) line += " " + word;
    }
    out.nics.push_back(line);
    const auto function = files.linkName(device + "/device");
    const std::string numa = readWord(files, device + "/device/numa_node");
    out.topology.push_back(name + (function.has_value() ? " " + *function : "") +
                           (numa.empty() ? "" : " numa " + numa));
  }
}

}  // namespace

NodeFacts nodeFacts(os::Filesystem& files, const os::HostPaths& paths, const std::string& node) {
  NodeFacts out;
  out.node = node;
  utsname name{};
  if (::uname(&name) == 0) {
    out.kernel = name.release;
    out.architecture = name.machine;
  }
  addProcessor(files, paths, out);
  addGpus(files, paths, out);
  addNics(files, paths, out);
  const auto nccl = nccl::Library::open();
  if (nccl.has_value()) out.nccl = (*nccl)->versionText();
  return out;
}

std::string factsLine(const NodeFacts& facts) {
  NodeFacts shown = facts;
  for (;;) {
    Json json;
    FieldWriter writer(json);
    visitFields(writer, shown);
    std::string line = std::string(kFactsMark) + json::dump(json);
    if (line.size() <= kMaxFactsLine) return line;
    auto& longest = shown.topology.size() > shown.nics.size() ? shown.topology : shown.nics;
    if (longest.empty()) return "";
    longest.pop_back();
  }
}

std::optional<NodeFacts> parseFactsLine(std::string_view line) {
  if (!line.starts_with(kFactsMark)) return std::nullopt;
  const auto json = parseObject(line.substr(kFactsMark.size()), "facts");
  if (!json.has_value()) return std::nullopt;
  NodeFacts out;
  FieldReader reader(*json, "facts");
  visitFields(reader, out);
  if (!reader.result().has_value()) return std::nullopt;
  return out;
}

}  // namespace railhead::train
