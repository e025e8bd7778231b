// railhead-lab-cni-cost: what CNI calls take on an emulated node, Debian's plugins and ours side by
// side. Each round makes every call once, each time another one first, so that whatever else the
// machine does at a time meets all alike. A call is timed from its fork to its end, as the runtime
// waits for it; what undoes it is not. "driver_up" is no call but what the kernel and the NIC's
// driver take of ours, whoever asks.
#include "lab/cni_cost/driver_up.h"
#include "src/base/statistics.h"
#include "src/base/text.h"
#include "src/os/process.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>

namespace railhead::lab {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string pod;  // as railhead-lab-kubelet run-pod prints it
  std::string network = "dgx-qsfp";
  std::string plugins = "/usr/lib/cni";
  std::string shim = "/opt/cni/bin/railhead-cni";
  std::string state = "/run/railhead-lab-cni-cost";  // host-local's
  int rounds = 40;
  int warmUp = 3;
};

// The pod that is wired again and again; it holds a rail set.
struct PodPlace {
  std::string podNamespace, name, uid, sandbox, netns;
};

Result<PodPlace> readPod(const std::string& file) {
  std::ifstream stream(file);
  if (!stream) return Error(ErrorCode::kNotFound, "pod file " + inQuotes(file, 400));
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  const Json pod = Json::parse(text, nullptr, false);
  PodPlace place;
  for (const auto& [key, into] :
       {std::pair("namespace", &place.podNamespace), std::pair("name", &place.name),
        std::pair("uid", &place.uid), std::pair("sandbox", &place.sandbox),
        std::pair("netns", &place.netns)}) {
    if (!pod.is_object() || !pod.contains(key) || !pod[key].is_string())
      return Error(ErrorCode::kInvalidArgument, file + ": " + key + " is missing");
    *into = pod[key].get<std::string>();
  }
  return place;
}

// One of what is compared.
struct Timed {
  std::string name;  // in the JSON
  std::function<Result<void>()> call;
  std::function<Result<void>()> undo;  // may be empty
  std::vector<double> samples = {};    // ms
};

class Bench {
 public:
  Bench(const Arguments& arguments, PodPlace pod, DriverUp& driver)
      : arguments_(arguments), pod_(std::move(pod)) {
    const std::string hostLocal = arguments_.plugins + "/host-local";
    timed_.push_back(
        {"host_local_start", callOf(hostLocal, "VERSION", "", R"({"cniVersion":"1.0.0"})"), {}});
    add("host_local_add", hostLocal, "cost1", hostLocalConfig());
    add("bridge_add", arguments_.plugins + "/bridge", "cost0", bridgeConfig());
    timed_.push_back({"shim_pass", callOf(arguments_.shim, "ADD", "eth0", shimConfig(false)), {}});
    add("rails_add", arguments_.shim, "eth0", shimConfig(true));
    timed_.push_back({"driver_up", [&driver] { return driver.moveInAndUp(); },
                      [&driver] { return driver.back(); }});
    timed_.push_back({"kernel_part",
                      [&driver]() -> Result<void> {
                        RAILHEAD_TRY(driver.moveInAndUp());
                        return driver.addSoftRoce();
                      },
                      [&driver]() -> Result<void> {
                        RAILHEAD_TRY(driver.removeSoftRoce());
                        return driver.back();
                      }});
  }

  Result<void> measure() {
    for (int round = -arguments_.warmUp; round < arguments_.rounds; ++round) {
      for (std::size_t k = 0; k < timed_.size(); ++k) {
        const auto shift = static_cast<std::size_t>(round + arguments_.warmUp);
        Timed& one = timed_[(k + shift) % timed_.size()];
        const auto begun = std::chrono::steady_clock::now();
        RAILHEAD_TRY(one.call().addContext(one.name));
        const std::chrono::duration<double, std::milli> took =
            std::chrono::steady_clock::now() - begun;
        if (round >= 0) one.samples.push_back(took.count());
        if (one.undo) RAILHEAD_TRY(one.undo().addContext(one.name + ", undone"));
      }
    }
    return {};
  }

  Json toJson() const {
    Json json;
    for (const Timed& one : timed_) {
      std::vector<double> sorted = one.samples;
      std::sort(sorted.begin(), sorted.end());
      json["ms"][one.name] = {{"samples", sorted.size()},
                              {"least", sorted.front()},
                              {"median", quantile(sorted, 0.5)},
                              {"p90", quantile(sorted, 0.9)},
                              {"most", sorted.back()}};
    }
    const auto median = [&](const char* name) { return json["ms"][name]["median"].get<double>(); };
    json["ratios"] = {
        {"shim_pass_to_host_local_start", median("shim_pass") / median("host_local_start")},
        {"rails_add_to_bridge_add", median("rails_add") / median("bridge_add")},
        {"kernel_part_to_bridge_add", median("kernel_part") / median("bridge_add")},
        {"rails_add_less_driver_to_bridge_add",
         (median("rails_add") - median("driver_up")) / median("bridge_add")}};
    return json;
  }

 private:
  void add(const std::string& name, const std::string& program, const std::string& ifname,
           const std::string& config) {
    timed_.push_back(
        {name, callOf(program, "ADD", ifname, config), callOf(program, "DEL", ifname, config)});
  }

  std::function<Result<void>()> callOf(const std::string& program, const std::string& command,
                                       const std::string& ifname, const std::string& config) {
    os::ProcessSpec spec;
    spec.argv = {program};
    spec.environment = std::map<std::string, std::string>{
        {"PATH", "/usr/bin:/usr/sbin"},
        {"CNI_COMMAND", command},
        {"CNI_CONTAINERID", pod_.sandbox},
        {"CNI_NETNS", pod_.netns},
        {"CNI_IFNAME", ifname},
        {"CNI_PATH", arguments_.plugins},
        {"CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=" + pod_.podNamespace +
                         ";K8S_POD_NAME=" + pod_.name + ";K8S_POD_UID=" + pod_.uid}};
    spec.input = config;
    return [this, spec = std::move(spec)]() -> Result<void> {
      RAILHEAD_TRY_ASSIGN(const auto result, processes_.run(spec));
      if (result.exitCode == 0) return {};
      return Error(ErrorCode::kInternal, "it ended with " + std::to_string(result.exitCode) + ": " +
                                             inQuotes(result.output + result.errorOutput, 800));
    };
  }

  std::string ipam(const std::string& subnet) const {
    return R"("ipam":{"type":"host-local","dataDir":")" + arguments_.state +
           R"(","ranges":[[{"subnet":")" + subnet + R"("}]]})";
  }
  std::string hostLocalConfig() const {
    return R"({"cniVersion":"1.0.0","name":"cost-ipam",)" + ipam("10.246.0.0/24") + "}";
  }
  // As the lab's primary network is configured.
  std::string bridgeConfig() const {
    return R"({"cniVersion":"1.0.0","name":"cost","type":"bridge","bridge":"cost0",)"
           R"("isGateway":true,"ipMasq":false,)" +
           ipam("10.245.0.0/24") + "}";
  }
  std::string shimConfig(bool rails) const {
    const std::string annotations =
        rails ? R"({"k8s.v1.cni.cncf.io/networks":")" + arguments_.network + "\"}" : "{}";
    return R"({"cniVersion":"1.0.0","name":"cost","type":"railhead-cni",)"
           R"("capabilities":{"io.kubernetes.cri.pod-annotations":true},)"
           R"("runtimeConfig":{"io.kubernetes.cri.pod-annotations":)" +
           annotations + R"(},"prevResult":{"cniVersion":"1.0.0","interfaces":[{"name":"cost0",)" +
           R"("mac":"02:00:00:00:00:01"},{"name":"eth0","mac":"02:00:00:00:00:02","sandbox":")" +
           pod_.netns + R"("}],"ips":[{"interface":1,"address":"10.245.0.2/24",)" +
           R"("gateway":"10.245.0.1"}],"dns":{}}})";
  }

  const Arguments& arguments_;
  const PodPlace pod_;
  os::SystemProcessRunner processes_;
  std::vector<Timed> timed_;
};

Json environment(const Arguments& arguments) {
  utsname system{};
  ::uname(&system);
  std::string processor;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; processor.empty() && std::getline(info, line);) {
    if (line.starts_with("model name")) processor = line.substr(line.find(':') + 2);
  }
  return {{"kernel", system.release},   {"architecture", system.machine},
          {"processor", processor},     {"processors", std::thread::hardware_concurrency()},
          {"rounds", arguments.rounds}, {"node", "emulated"}};
}

Result<Json> run(const Arguments& arguments) {
  RAILHEAD_TRY_ASSIGN(PodPlace pod, readPod(arguments.pod));
  RAILHEAD_TRY_ASSIGN(DriverUp driver, DriverUp::open(pod.netns));
  Bench bench(arguments, std::move(pod), driver);
  RAILHEAD_TRY(bench.measure());
  Json json;
  json["schema"] = "railhead.attach-lab-cost/1";
  json["environment"] = environment(arguments);
  json.update(bench.toJson());
  return json;
}

}  // namespace
}  // namespace railhead::lab

int main(int argc, char** argv) {
  railhead::lab::Arguments arguments;
  CLI::App app("Times CNI calls on an emulated node", "railhead-lab-cni-cost");
  app.footer(
      "Example:\n  railhead-lab-kubelet run-pod pod.json >made && railhead-lab-cni-cost made");
  app.add_option("pod", arguments.pod, "A pod that holds a rail set but has no rails yet")
      ->required();
  app.add_option("--network", arguments.network, "The rails' network")->capture_default_str();
  app.add_option("--rounds", arguments.rounds, "Samples of each call")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : static_cast<int>(railhead::ExitCode::kUsage);
  }
  const auto json = railhead::lab::run(arguments);
  if (!json.has_value()) {
    std::cerr << "railhead-lab-cni-cost: " << json.error().describe() << '\n';
    return static_cast<int>(railhead::exitCodeFor(json.error().code));
  }
  std::cout << json->dump(2) << '\n';
  return 0;
}
