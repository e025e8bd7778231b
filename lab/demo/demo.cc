#include "lab/demo/demo.h"

#include "lab/demo/host_picture.h"
#include "lab/demo/measure.h"
#include "lab/demo/node_setup.h"
#include "lab/demo/node_shell.h"
#include "lab/demo/picture.h"
#include "lab/demo/scenario.h"
#include "src/base/text.h"
#include "src/report/model/verdict.h"

#include <future>
#include <optional>

namespace railhead::lab {
namespace {

constexpr std::size_t kLogLines = 12;

class Demo {
 public:
  Demo(const DemoOptions& options, report::StepPrinter& printer, os::Clock& clock)
      : options_(options), topology_(options.topology), printer_(printer), clock_(clock) {}

  DemoResult run() {
    const auto begun = clock_.now();
    report_.toolVersion = options_.toolVersion;
    report_.started = timestamp(clock_.wallTime());
    report_.environment = hostPicture(options_.lab);
    report_.topology = topologyPicture(topology_);
    report_.result.ok = journey();
    if (lab_ && options_.hold) options_.hold(lab_->client());
    lab_.reset();
    report_.seconds = std::chrono::duration<double>(clock_.now() - begun).count();
    return {std::move(report_), failure_};
  }

 private:
  using Body = std::function<Result<std::string>()>;  // what to print behind a step that went well

  bool journey() {
    const std::string count = std::to_string(topology_.nodes.size());
    return step("Boot " + count + " nodes", [this] { return boot(); }) &&
           step("Start the agent: create VFs and pair twins", [this] { return provision(); }) &&
           step("Offer rail sets to kubelet", [this] { return advertise(); }) &&
           step("Attach a pod on each node", [this] { return attach(); }) &&
           step("Write over RDMA" + pair() + " and check every byte",
                [this] { return measure(); }) &&
           step("Measure the same path with ib_write_bw", [this] { return perftest(); });
  }

  bool step(const std::string& name, const Body& body) {
    printer_.begin(name);
    auto done = body();
    if (done.has_value()) {
      report_.steps.push_back(printer_.succeed(*done));
      return true;
    }
    failure_ = done.error().code;
    report::StepFailure failure{done.error(), {}, {}};
    if (failure.error.remedy.empty()) {
      failure.error.remedy =
          "run again with --hold and look around with: railhead lab exec --lab " +
          options_.lab.name + " " + topology_.nodes.front().name + " -- sh";
    }
    findLog(failure);
    report_.steps.push_back(printer_.fail(failure));
    report_.result = {false,           name,        failure.error.message, failure.error.remedy,
                      failure.logNode, failure.logs};
    return false;
  }

  // The node that the error names, else the first: its agent's last lines.
  void findLog(report::StepFailure& failure) {
    if (!lab_) return;
    const NodeSpec* blamed = &topology_.nodes.front();
    for (const auto& node : topology_.nodes) {
      if (failure.error.message.starts_with(node.name + ":")) blamed = &node;
    }
    failure.logNode = blamed->name;
    failure.logs = shell(blamed->name).lastLines("agent", kLogLines);
  }

  NodeShell shell(const std::string& node) const { return {lab_->client(), node}; }

  // One call for each node, all at once; the first failure is told.
  template <typename Function>
  Result<void> onEveryNode(const Function& function) {
    std::vector<std::future<Result<void>>> running;
    for (std::size_t i = 0; i < topology_.nodes.size(); ++i) {
      running.push_back(std::async(std::launch::async, [&function, i] { return function(i); }));
    }
    Result<void> all;
    for (auto& one : running) {
      auto done = one.get();
      if (!done.has_value() && all.has_value()) all = std::move(done);
    }
    return all;
  }

  Result<std::string> boot() {
    std::string kernel;
    auto started = BoundLab::start(topology_, options_.lab, [&](const BootEvent& event) {
      if (event.kind == BootEvent::Kind::kNodeReady) kernel = event.kernel;
    });
    if (!started.has_value()) return std::move(started).error();
    lab_.emplace(std::move(*started));
    report_.environment.guestKernel = kernel;
    return "Linux " + kernel + ", " + std::to_string(topology_.links.size()) + " links";
  }

  Result<std::string> provision() {
    RAILHEAD_TRY(onEveryNode([this](std::size_t i) -> Result<void> {
      const NodeShell node = shell(topology_.nodes[i].name);
      RAILHEAD_TRY(installFiles(node, topology_, i));
      RAILHEAD_TRY(startKubelet(node));
      return startAgent(node);
    }));
    return "VFs stand, twins are paired";
  }

  Result<std::string> advertise() {
    RAILHEAD_TRY(onEveryNode([this](std::size_t i) {
      return awaitAllocatable(shell(topology_.nodes[i].name), topology_.nodes[i].pfs.front().vfs);
    }));
    return std::to_string(topology_.nodes.front().pfs.front().vfs) + " × " + kDemoResource +
           " on each node";
  }

  Result<std::string> attach() {
    std::vector<std::string> made(topology_.nodes.size());
    RAILHEAD_TRY(onEveryNode([this, &made](std::size_t i) -> Result<void> {
      auto pod =
          shell(topology_.nodes[i].name).run({"railhead-lab-kubelet", "run-pod", "-"}, podSpec(i));
      if (!pod.has_value()) return std::move(pod).error();
      made[i] = std::move(*pod);
      return {};
    }));
    std::vector<std::string> addresses;
    for (std::size_t i = 0; i < topology_.nodes.size(); ++i) {
      const std::string& name = topology_.nodes[i].name;
      RAILHEAD_TRY_ASSIGN(const std::string agent, shell(name).run({"railhead-agent", "status"}));
      RAILHEAD_TRY_ASSIGN(const std::string kubelet,
                          shell(name).run({"railhead-lab-kubelet", "status"}));
      RAILHEAD_TRY_ASSIGN(report::Node node, nodePicture(name, agent, kubelet));
      RAILHEAD_TRY_ASSIGN(report::Pod pod,
                          podPicture(name, kDemoNamespace, podName(i), agent, made[i]));
      if (pod.interfaces.size() != railsPerSet(topology_)) {
        return Error(ErrorCode::kCheckFailed, name + ": pod " + pod.fullName() + " has " +
                                                  std::to_string(pod.interfaces.size()) +
                                                  " rails, expected " +
                                                  std::to_string(railsPerSet(topology_)));
      }
      for (const auto& interface : pod.interfaces) addresses.push_back(interface.address);
      report_.nodes.push_back(std::move(node));
      report_.pods.push_back(std::move(pod));
    }
    return join(addresses, ", ");
  }

  // One pair is measured, whatever the number of nodes.
  std::string pair() const {
    if (topology_.nodes.size() <= 2) return {};
    return " from " + topology_.nodes[0].name + " to " + topology_.nodes[1].name;
  }

  MeasurePlan plan() const { return {topology_.links.front().rate, options_.seconds, 64 * 1024}; }
  PodEnd end(std::size_t i) const { return {shell(topology_.nodes[i].name), report_.pods[i]}; }

  Result<std::string> measure() {
    if (topology_.nodes.size() < 2) return std::string("one node: nobody to write to");
    RAILHEAD_TRY_ASSIGN(report_.rdma, measureRdma(end(0), end(1), plan()));
    const auto& rdma = report_.rdma;
    std::string detail = formatBytes(rdma.bytesChecked) + " right";
    if (rdma.oneRailGbps) detail += ", one rail " + report::formatGbps(*rdma.oneRailGbps);
    if (rdma.bothRailsGbps) detail += ", all rails " + report::formatGbps(*rdma.bothRailsGbps);
    return detail;
  }

  Result<std::string> perftest() {
    if (topology_.nodes.size() < 2) return std::string("one node: nobody to write to");
    RAILHEAD_TRY(measurePerftest(end(0), end(1), plan(), report_.rdma));
    return "one rail " + report::formatGbps(*report_.rdma.perftestGbps);
  }

  const DemoOptions& options_;
  const Topology& topology_;
  report::StepPrinter& printer_;
  os::Clock& clock_;
  std::optional<BoundLab> lab_;
  report::Report report_;
  std::optional<ErrorCode> failure_;
};

}  // namespace

DemoResult runDemo(const DemoOptions& options, report::StepPrinter& printer, os::Clock& clock) {
  const report::StepTicker ticker(printer);
  return Demo(options, printer, clock).run();
}

}  // namespace railhead::lab
