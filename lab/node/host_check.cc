#include "lab/node/host_check.h"

#include "src/base/text.h"

#include <array>

namespace railhead::lab {
namespace {

constexpr std::uint64_t kMinimumQemu = 8;        // the first that emulates an SR-IOV NIC (igb)
constexpr std::uint64_t kQemuOverheadMib = 100;  // of each node, beside its memory
constexpr std::string_view kGetQemu =
    "./dev setup, or install qemu-system-x86 8 or newer (Debian 12: from bookworm-backports)";

// "QEMU emulator version 10.0.2 (...)" -> "10.0.2"
std::string versionIn(std::string_view text) {
  constexpr std::string_view kBefore = "version ";
  const auto at = text.find(kBefore);
  if (at == std::string_view::npos) return "";
  text.remove_prefix(at + kBefore.size());
  return std::string(text.substr(0, text.find_first_not_of("0123456789.")));
}

}  // namespace

Result<std::string> HostCheck::ask(const std::string& program, std::vector<std::string> arguments) {
  os::ProcessSpec spec;
  spec.argv.push_back(program);
  for (auto& argument : arguments) spec.argv.push_back(std::move(argument));
  auto answer = processes_.run(spec);
  if (!answer) {
    return Error(ErrorCode::kEnvironment, program + " cannot be run: " + answer.error().message,
                 std::string(kGetQemu));
  }
  return answer->output + answer->errorOutput;
}

Result<void> HostCheck::checkQemu(const std::string& program) {
  RAILHEAD_TRY_ASSIGN(const std::string answer, ask(program, {"-version"}));
  const std::string version = versionIn(answer);
  const auto major = parseUnsigned(split(version, '.').front());
  if (!major) {
    return Error(ErrorCode::kEnvironment,
                 program + " does not say which version it is: " + inQuotes(answer),
                 std::string(kGetQemu));
  }
  if (*major < kMinimumQemu) {
    return Error(ErrorCode::kEnvironment,
                 "QEMU is version " + version + ", which has no SR-IOV NIC; allowed: 8 or newer",
                 std::string(kGetQemu));
  }
  RAILHEAD_TRY_ASSIGN(const std::string devices, ask(program, {"-device", "help"}));
  for (const std::string_view device :
       {"igb", "pcie-root-port", "virtserialport", "virtio-blk-pci"}) {
    if (devices.find("name \"" + std::string(device) + "\"") == std::string::npos) {
      return Error(ErrorCode::kEnvironment,
                   "QEMU " + version + " was built without the device " + std::string(device),
                   std::string(kGetQemu));
    }
  }
  return {};
}

Result<void> HostCheck::checkMemory(const Topology& topology) {
  RAILHEAD_TRY_ASSIGN(const std::string text, files_.readFile(paths_.proc + "/meminfo"));
  for (const std::string_view line : split(text, '\n')) {
    if (!line.starts_with("MemAvailable:")) continue;
    std::string_view amount = trim(line.substr(line.find(':') + 1));
    const auto kib = parseUnsigned(amount.substr(0, amount.find(' ')));
    if (!kib) break;
    const std::uint64_t available = *kib / 1024;
    const std::uint64_t needed =
        topology.totalMemoryMib() + kQemuOverheadMib * topology.nodes.size();
    if (needed <= available) return {};
    return Error(
        ErrorCode::kEnvironment,
        "memory is short: " + std::to_string(topology.nodes.size()) + " nodes need " +
            std::to_string(needed) + " MiB and " + std::to_string(available) + " MiB are available",
        "end other programs, or give the nodes less in the topology (memory: 256 to 1024)");
  }
  return Error(ErrorCode::kEnvironment,
               paths_.proc + "/meminfo does not say how much memory is available");
}

Result<void> HostCheck::checkShare(const std::string& folder) {
  const auto status = files_.status(folder);
  if (folder.starts_with('/') && status.has_value() && status->kind == os::FileKind::kDirectory) {
    return {};
  }
  return Error(ErrorCode::kInvalidArgument, "--share " + folder + " is not a folder",
               "name a folder that is there");
}

Result<void> HostCheck::checkAccelerator(const std::string& accelerator) {
  if (accelerator == "tcg") return {};
  if (accelerator != "kvm") {
    return Error(ErrorCode::kInvalidArgument,
                 "accelerator is " + inQuotes(accelerator) + "; allowed: tcg, kvm");
  }
  if (files_.exists(paths_.dev + "/kvm")) return {};
  return Error(ErrorCode::kEnvironment, paths_.dev + "/kvm is missing",
               "leave --accel away: tcg needs nothing");
}

}  // namespace railhead::lab
