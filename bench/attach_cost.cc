// What 100 pods at once cost the agent: as many ADDs on a faked node with 100 VFs, whose netlink
// calls take their time. Prints JSON. Whether threads wait for each other shows in three figures:
// the time of all ADDs one after the other against the time of all at once; what an ADD took beyond
// its netlink calls and the processor's work; and, where the kernel lets one change at a time, how
// much of the whole was not the kernel's.
#include "bench/environment_json.h"
#include "bench/process_cost.h"
#include "bench/slow_netlink.h"
#include "src/attach/attacher.h"
#include "src/attach/network_catalog.h"
#include "src/attach/server.h"
#include "src/base/statistics.h"
#include "src/os/unix_socket.h"
#include "tests/support/fake_kernel.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <latch>
#include <mutex>
#include <thread>

#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <unistd.h>

namespace railhead::bench_programs {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr int kPfs = 2;
constexpr int kVfs = 50;  // of each
constexpr int kPods = kPfs * kVfs;
constexpr const char* kResource = "example.com/rail";
// Assumed for a busy node, not measured on one: a dump of its links, and a change of one.
constexpr CallTimes kTimes{microseconds(500), microseconds(5000), false};

double milliseconds(std::chrono::nanoseconds time) {
  return static_cast<double>(time.count()) / 1e6;
}

std::chrono::nanoseconds processorTime() {
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  const auto of = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + microseconds(time.tv_usec);
  };
  return of(use.ru_utime) + of(use.ru_stime);
}

std::string pfAddress(int pf) { return "000" + std::to_string(pf) + ":01:00.0"; }
std::string podName(int pod) { return "pod-" + std::to_string(pod); }

// Pod k holds the k-th VF, and nothing else is on the node.
class OneVfEach final : public attach::PodDevices, public attach::RailCatalog {
 public:
  explicit OneVfEach(testing_support::FakeKernel& kernel) {
    for (int pf = 0; pf < kPfs; ++pf) {
      for (int i = 0; i < kVfs; ++i) {
        const std::string link = kernel.paths().pciDevice(pfAddress(pf)) + "/virtfn";
        const auto path = kernel.files().readLink(link + std::to_string(i));
        const std::string vf = path.has_value() ? path->substr(path->rfind('/') + 1) : "";
        const discover::Rail rail{*PciAddress::parse(pfAddress(pf)), *PciAddress::parse(vf), i, 0};
        sets_.push_back({vf, pf * kVfs + i, {rail}});
      }
    }
  }
  Result<Held> heldBy(const std::string&, const std::string& pod) override {
    const auto number = static_cast<std::size_t>(std::atoi(pod.c_str() + pod.rfind('-') + 1));
    return Held{{kResource, {sets_.at(number).id}}};
  }
  std::vector<discover::RailSet> railSets() override { return sets_; }
  std::vector<discover::RailSet> singleRails() override { return sets_; }

 private:
  std::vector<discover::RailSet> sets_;
};

attach::AttachConfig attachConfig(const os::HostPaths& paths) {
  attach::AttachConfig config;
  config.paths = paths;
  config.addresses = {.nodeOrdinal = 0, .railSetsPerNode = kPods, .nodes = 1};
  attach::NetworkDefinition network;
  network.name = "rail";
  network.resourceName = kResource;
  network.railSubnets = {{*IpPrefix::parse("10.100.0.0/16")}};
  network.mtu = 9000;
  config.networks = {std::move(network)};
  return config;
}

// What one ADD took, from its begin to its answer.
struct Sample {
  Clock::time_point begun;
  Clock::time_point ended;
  std::chrono::nanoseconds took() const { return ended - begun; }
};

class Bench {
 public:
  Bench() {
    for (int pf = 0; pf < kPfs; ++pf) {
      testing_support::FakePfSpec spec;
      spec.pci = pfAddress(pf);
      spec.netdev = "rail" + std::to_string(pf);
      spec.mac = "52:54:00:00:0" + std::to_string(pf) + ":00";
      spec.totalVfs = kVfs;
      spec.rdma = true;
      kernel_.addPf(spec);
      const auto path = kernel_.paths().pciDevice(spec.pci) + "/sriov_numvfs";
      if (!kernel_.files().writeFile(path, std::to_string(kVfs)).has_value()) std::abort();
    }
    for (int pod = 0; pod < kPods; ++pod) kernel_.addNetns(podName(pod));
    devices_ = std::make_unique<OneVfEach>(kernel_);
    // Devices move into the pods; their GIDs are out of sight then, as on a real node.
    kernel_.setRdmaMode(netlink::RdmaNetnsMode::kExclusive);
    kernel_.freezeSysfs();
    kernel_.memory().erase(kernel_.paths().sys + "/class/infiniband");
  }

  Result<void> open() {
    RAILHEAD_TRY_ASSIGN(
        attacher_, attach::Attacher::open(config_, {kernel_.files(), kernel_, slow_, clock_,
                                                    catalog_, *devices_, *devices_, plugins_}));
    handler_ = attach::makeCniHandler(*attacher_);
    return {};
  }

  using Ask = std::function<cni::Reply(const cni::Call&)>;

  // `at once`: so many threads, each with its share of the pods.
  Result<Json> run(const std::string& name, int atOnce, const CallTimes& times, const Ask& ask) {
    slow_.setTimes(times);
    slow_.forget();
    std::vector<Sample> samples(kPods);
    const auto before = processorTime();
    const auto begun = Clock::now();
    RAILHEAD_TRY(forAll(atOnce, [&](int pod) -> Result<void> {
      Sample& sample = samples[static_cast<std::size_t>(pod)];
      sample.begun = Clock::now();
      const auto reply = ask(call("ADD", pod));
      sample.ended = Clock::now();
      if (reply.exitCode == 0) return {};
      return Error(ErrorCode::kInternal, name + ": " + podName(pod) + ": " + reply.output);
    }));
    const auto whole = Clock::now() - begun;
    const auto worked = processorTime() - before;
    Json json = describe(name, atOnce, samples, whole, worked);
    slow_.setTimes({});
    RAILHEAD_TRY(forAll(1, [&](int pod) -> Result<void> {
      const auto reply = handler_(call("DEL", pod));
      if (reply.exitCode == 0) return {};
      return Error(ErrorCode::kInternal, "DEL " + podName(pod) + ": " + reply.output);
    }));
    return json;
  }

  // Through the socket, as shims come.
  Result<Json> runServed(const std::string& name, const CallTimes& times) {
    std::string folder = std::filesystem::temp_directory_path().string() + "/attach-cost-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) return Error::fromErrno(errno, "make " + folder);
    attach::CniServerConfig config;
    config.socketPath = folder + "/cni.sock";
    RAILHEAD_TRY_ASSIGN(const auto server, attach::CniServer::start(config, handler_));
    auto json = run(name, kPods, times, [&](const cni::Call& call) {
      auto reply = askServer(config.socketPath, call);
      return reply.has_value() ? std::move(*reply) : cni::Reply{1, reply.error().message};
    });
    server->stop();
    std::filesystem::remove_all(folder);
    if (json.has_value()) (*json)["workers"] = config.workers;
    return json;
  }

  const Ask& direct() const { return handler_; }

 private:
  static Result<cni::Reply> askServer(const std::string& socket, const cni::Call& call) {
    const auto deadline = Clock::now() + std::chrono::seconds(60);
    RAILHEAD_TRY_ASSIGN(const os::UniqueFd fd, os::connectUnix(socket, deadline));
    RAILHEAD_TRY(os::sendFrame(fd.get(), cni::encodeCall(call), deadline));
    RAILHEAD_TRY_ASSIGN(const std::string frame,
                        os::receiveFrame(fd.get(), deadline, cni::kMaxFrame));
    return cni::decodeReply(frame);
  }

  Result<void> forAll(int atOnce, const std::function<Result<void>(int)>& work) {
    std::mutex mutex;
    Result<void> outcome;
    std::latch together(atOnce);
    std::vector<std::thread> threads;
    for (int k = 0; k < atOnce; ++k) {
      threads.emplace_back([&, k] {
        together.arrive_and_wait();
        for (int pod = k; pod < kPods; pod += atOnce) {
          auto done = work(pod);
          const std::lock_guard lock(mutex);
          if (!done.has_value() && outcome.has_value()) outcome = std::move(done);
        }
      });
    }
    for (auto& thread : threads) thread.join();
    return outcome;
  }

  cni::Call call(const std::string& command, int pod) {
    const std::string name = podName(pod);
    return {command,
            {{"CNI_COMMAND", command},
             {"CNI_CONTAINERID", "sandbox-" + name},
             {"CNI_IFNAME", "eth0"},
             {"CNI_NETNS", kernel_.netnsPath(name)},
             {"CNI_PATH", "/opt/cni/bin"},
             {"CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=" + name +
                              ";K8S_POD_UID=uid-" + name}},
            R"({"cniVersion":"1.1.0","name":"cluster","type":"railhead","runtimeConfig":)"
            R"({"io.kubernetes.cri.pod-annotations":{"k8s.v1.cni.cncf.io/networks":"rail"}},)"
            R"("prevResult":{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"/x"}],)"
            R"("ips":[{"interface":0,"address":"10.1.0.7/16"}]}})"};
  }

  Json describe(const std::string& name, int atOnce, const std::vector<Sample>& samples,
                std::chrono::nanoseconds whole, std::chrono::nanoseconds worked) const {
    std::vector<double> took;
    std::chrono::nanoseconds sum{0};
    for (const Sample& sample : samples) {
      took.push_back(milliseconds(sample.took()));
      sum += sample.took();
    }
    std::sort(took.begin(), took.end());
    Json json;
    json["run"] = name;
    json["at_once"] = atOnce;
    json["add_ms"] = {{"median", quantile(took, 0.5)},
                      {"p90", quantile(took, 0.9)},
                      {"p99", quantile(took, 0.99)},
                      {"most", took.back()}};
    json["total_ms"] = milliseconds(whole);
    json["sum_of_adds_ms"] = milliseconds(sum);
    json["processor_ms"] = milliseconds(worked);
    json["netlink"] = {{"reads_per_add", static_cast<double>(slow_.reads()) / kPods},
                       {"changes_per_add", static_cast<double>(slow_.changes()) / kPods},
                       {"in_calls_ms", milliseconds(slow_.lasted())},
                       {"queued_for_the_kernel_ms", milliseconds(slow_.queued())}};
    return json;
  }

  testing_support::FakeKernel kernel_;
  SlowNetlink slow_{kernel_};
  os::SystemClock clock_;
  os::SystemProcessRunner plugins_;
  const attach::AttachConfig config_ = attachConfig(kernel_.paths());
  attach::ConfiguredNetworks networks_{config_.networks};
  attach::LayeredCatalog catalog_{networks_, nullptr, kernel_.files(), kernel_.paths().cniConfig,
                                  kernel_.paths().multusConfig};
  std::unique_ptr<OneVfEach> devices_;
  std::unique_ptr<attach::Attacher> attacher_;
  Ask handler_;
};

// What the runs say about each other.
Json comparison(const Json& serial, const Json& threads, const Json& served, const Json& locked) {
  const double one = serial["total_ms"];
  const double workers = served["workers"];
  const auto unexplained = [](const Json& run) {
    const double sum = run["sum_of_adds_ms"];
    const double inCalls = run["netlink"]["in_calls_ms"];
    const double queued = run["netlink"]["queued_for_the_kernel_ms"];
    const double worked = run["processor_ms"];
    return (sum - inCalls - queued - worked) / kPods;
  };
  const double changes = locked["netlink"]["changes_per_add"];
  const double change = milliseconds(kTimes.change);
  return {{"serial_ms", one},
          {"all_at_once_share_of_serial", threads["total_ms"].get<double>() / one},
          {"served_share_of_serial", served["total_ms"].get<double>() / one},
          {"served_share_if_workers_never_waited", 1 / workers},
          {"all_at_once_wait_per_add_ms", unexplained(threads)},
          {"serial_wait_per_add_ms", unexplained(serial)},
          {"one_change_at_a_time_least_ms", changes * change * kPods},
          {"one_change_at_a_time_total_ms", locked["total_ms"]}};
}

Result<Json> measure() {
  Bench bench;
  RAILHEAD_TRY(bench.open());
  RAILHEAD_TRY_ASSIGN(const ProcessCost before, readCost(::getpid()));
  RAILHEAD_TRY_ASSIGN(const Json serial,
                      bench.run("one after the other", 1, kTimes, bench.direct()));
  RAILHEAD_TRY_ASSIGN(const Json threads, bench.run("all at once", kPods, kTimes, bench.direct()));
  RAILHEAD_TRY_ASSIGN(const Json served,
                      bench.runServed("all at once, through the socket", kTimes));
  CallTimes oneChange = kTimes;
  oneChange.oneChangeAtATime = true;
  RAILHEAD_TRY_ASSIGN(const Json locked,
                      bench.runServed("the same, the kernel lets one change at a time", oneChange));
  RAILHEAD_TRY_ASSIGN(const ProcessCost after, readCost(::getpid()));
  Json json;
  json["schema"] = "railhead.attach-cost/1";
  json["environment"] = environmentJson();
  json["node"] = {{"pfs", kPfs},
                  {"vfs", kPods},
                  {"pods", kPods},
                  {"kernel", "faked"},
                  {"rdma", "exclusive"},
                  {"assumed_call_ms",
                   {{"read", milliseconds(kTimes.read)}, {"change", milliseconds(kTimes.change)}}}};
  json["runs"] = {serial, threads, served, locked};
  json["comparison"] = comparison(serial, threads, served, locked);
  json["memory"] = {
      {"before", {{"rss_kib", before.rssKiB}, {"anonymous_kib", before.anonymousKiB}}},
      {"after", {{"rss_kib", after.rssKiB}, {"anonymous_kib", after.anonymousKiB}}},
      {"with", "the faked kernel and 100 clients in the same process"}};
  return json;
}

}  // namespace
}  // namespace railhead::bench_programs

int main() {
  const auto json = railhead::bench_programs::measure();
  if (!json.has_value()) {
    std::cerr << "attach_cost: " << json.error().describe() << '\n';
    return static_cast<int>(railhead::exitCodeFor(json.error().code));
  }
  std::cout << json->dump(2) << '\n';
  return 0;
}
