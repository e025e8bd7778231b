// What the agent costs its node: the shipped program, with the kubelet stand-in, on a node of 64
// rail sets (128 VFs) whose sysfs is a folder. Prints JSON, beside its peers and its goals.
//
// Anonymous and file pages are told apart: file pages are the program's own text, shared by every
// process that runs it and given up under pressure.
#include "bench/environment_json.h"
#include "bench/node_tree.h"
#include "bench/process_cost.h"
#include "lab/kubelet/rig.h"
#include "src/os/process.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <unistd.h>

namespace railhead::bench_programs {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using SteadyClock = std::chrono::steady_clock;

constexpr const char* kResource = "nvidia.com/cx7_qsfp";
constexpr const char* kGpuResource = "nvidia.com/gpu";
constexpr int kGpus = 8;  // of tests/fixtures/nvml/h100-eight.json, through the fake driver library
constexpr int kStarts = 7;
constexpr int kScrapes = 20;
// After a start the agent looks again; from then on every two minutes, once in the time measured.
constexpr std::chrono::seconds kUntilIdle{5};
constexpr std::chrono::seconds kIdle{120};
constexpr std::uint16_t kPort = 19477;

std::string agentConfig(const NodeShape& shape) {
  return "version: 1\nfunctions: {provision: false}\n"
         "provision: {pfs: [{vfs: " +
         std::to_string(shape.railSets) +
         "}]}\ntwins: [[rail0, rail1]]\n"
         "resources: [{name: " +
         kResource +
         "}]\ngpus: {quietSeconds: 0}\nmetrics: {listen: \"127.0.0.1:" + std::to_string(kPort) +
         "\"}\n";
}

// Bytes of the answer to GET /metrics; 0 when there is none.
std::size_t scrape() {
  const os::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(kPort);
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof in) != 0) return 0;
  const std::string_view request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return 0;
  std::size_t bytes = 0;
  char buffer[65536];
  for (ssize_t count = 0; (count = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;) {
    bytes += static_cast<std::size_t>(count);
  }
  return bytes;
}

Json costJson(const ProcessCost& cost) {
  return {{"rss_kib", cost.rssKiB},
          {"anonymous_kib", cost.anonymousKiB},
          {"file_kib", cost.fileKiB},
          {"threads", cost.threads}};
}

Result<std::uintmax_t> strippedSize(const std::string& folder) {
  const std::string stripped = folder + "/railhead-agent.stripped";
  RAILHEAD_TRY_ASSIGN(
      const auto ran,
      os::SystemProcessRunner().run({.argv = {RAILHEAD_STRIP, "-o", stripped, RAILHEAD_AGENT}}));
  std::error_code failed;
  const auto size = fs::file_size(stripped, failed);
  if (ran.exitCode != 0 || failed) return Error(ErrorCode::kIo, "strip: " + ran.errorOutput);
  return size;
}

class Bench {
 public:
  Bench(std::string folder, lab::KubeletRig& rig) : folder_(std::move(folder)), rig_(rig) {}

  Result<void> prepare() {
    for (const char* below : {"/root", "/state"}) fs::create_directories(folder_ + below);
    RAILHEAD_TRY(writeNode(shape_, folder_ + "/root"));
    std::ofstream(folder_ + "/agent.yaml") << agentConfig(shape_);
    // Loaded by the name that the driver gives it.
    fs::create_directories(folder_ + "/lib");
    fs::create_symlink(RAILHEAD_FAKE_NVML_LIBRARY, folder_ + "/lib/libnvidia-ml.so.1");
    ::setenv("LD_LIBRARY_PATH", (folder_ + "/lib").c_str(), 1);
    ::setenv("RAILHEAD_FAKE_NVML", RAILHEAD_SOURCE "/tests/fixtures/nvml/h100-eight.json", 1);
    return rig_.kubelet().start();
  }

  // Starts the agent and returns when kubelet has its whole list; `milliseconds` from the start.
  Result<StartedProgram> startAgent(double& milliseconds) {
    const auto seen = rig_.kubelet().status().registrations;
    const auto began = SteadyClock::now();
    RAILHEAD_TRY_ASSIGN(auto agent,
                        StartedProgram::start(
                            {RAILHEAD_AGENT, "run", "--config", folder_ + "/agent.yaml", "--root",
                             folder_ + "/root", "--state", folder_ + "/state", "--kubelet-plugins",
                             rig_.pluginsFolder(), "--pod-resources", rig_.root() + "/pods"},
                            folder_ + "/agent.log"));
    const auto has = [](const lab::KubeletStatus& status, const char* resource, int devices) {
      const auto found = status.resources.find(resource);
      return found != status.resources.end() && found->second.connected &&
             found->second.devices.size() == static_cast<std::size_t>(devices);
    };
    const bool came = rig_.kubelet().waitFor(
        [&](const lab::KubeletStatus& status) {
          return status.registrations >= seen + 2 && has(status, kResource, shape_.railSets) &&
                 has(status, kGpuResource, kGpus);
        },
        SteadyClock::now() + std::chrono::seconds(20));
    milliseconds = std::chrono::duration<double, std::milli>(SteadyClock::now() - began).count();
    if (came) return agent;
    std::ifstream log(folder_ + "/agent.log");
    return Error(ErrorCode::kDeadlineExceeded,
                 "the agent did not register its devices:\n" +
                     std::string(std::istreambuf_iterator<char>(log), {}));
  }

  Result<Json> measure() {
    std::vector<double> starts(kStarts);
    for (int i = 0; i + 1 < kStarts; ++i) {
      RAILHEAD_TRY_ASSIGN(const auto once, startAgent(starts[static_cast<std::size_t>(i)]));
    }
    RAILHEAD_TRY_ASSIGN(const auto agent, startAgent(starts.back()));
    std::sort(starts.begin(), starts.end());
    std::this_thread::sleep_for(kUntilIdle);
    RAILHEAD_TRY_ASSIGN(const auto before, readCost(agent.pid()));
    std::this_thread::sleep_for(kIdle);
    RAILHEAD_TRY_ASSIGN(const auto idle, readCost(agent.pid()));
    std::size_t bytes = 0;
    for (int i = 0; i < kScrapes; ++i) bytes = scrape();
    if (bytes == 0) return Error(ErrorCode::kUnavailable, "the agent does not answer /metrics");
    RAILHEAD_TRY_ASSIGN(const auto scraped, readCost(agent.pid()));
    RAILHEAD_TRY_ASSIGN(const auto size, strippedSize(folder_));
    Json json;
    json["start_to_registered_ms"] = {
        {"median", starts[starts.size() / 2]}, {"least", starts.front()}, {"most", starts.back()}};
    json["idle"] = costJson(idle);
    json["idle_cpu_percent_of_a_core"] =
        (idle.cpuSeconds - before.cpuSeconds) / std::chrono::duration<double>(kIdle).count() * 100;
    json["scraped"] = costJson(scraped);
    json["scrape_cpu_ms"] = (scraped.cpuSeconds - idle.cpuSeconds) * 1000 / kScrapes;
    json["scrape_bytes"] = bytes;
    json["stripped_bytes"] = size;
    return json;
  }

 private:
  const NodeShape shape_;
  const std::string folder_;
  lab::KubeletRig& rig_;
};

Result<Json> run() {
  RAILHEAD_TRY_ASSIGN(const auto rig, lab::KubeletRig::make());
  Bench bench(rig->root() + "/agent", *rig);
  RAILHEAD_TRY(bench.prepare());
  RAILHEAD_TRY_ASSIGN(const Json agent, bench.measure());
  Json json;
  json["schema"] = "railhead.agent-cost/1";
  json["environment"] = environmentJson();
  json["node"] = {
      {"rail_sets", NodeShape().railSets}, {"vfs", NodeShape().railSets * 2}, {"gpus", kGpus}};
  json["agent"] = agent;
  json["goals"] = {{"rss_kib", 15 * 1024},
                   {"idle_cpu_percent_of_a_core", 0.1},
                   {"start_to_registered_ms", 200},
                   {"stripped_bytes", 20'000'000}};
  json["peers"] = {{"sriov-network-device-plugin", {{"rss_mib", "37-39"}, {"devices", 1}}},
                   {"nvidia-device-plugin", {{"rss_mib", 22.9}, {"gpus", 0}}},
                   {"measured_with", "kubelet 1.36 on a host"}};
  return json;
}

}  // namespace
}  // namespace railhead::bench_programs

int main() {
  const auto json = railhead::bench_programs::run();
  if (!json.has_value()) {
    std::cerr << "agent_cost: " << json.error().describe() << '\n';
    return static_cast<int>(railhead::exitCodeFor(json.error().code));
  }
  std::cout << json->dump(2) << '\n';
  return 0;
}
