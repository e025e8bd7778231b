#include "lab/demo/demo.h"

#include "lab/demo/host_picture.h"
#include "lab/demo/measure.h"
#include "lab/demo/node_shell.h"
#include "lab/demo/picture.h"
#include "lab/demo/scenario.h"
#include "lab/demo/stage.h"
#include "lab/demo/training.h"
#include "src/base/text.h"
#include "src/report/model/verdict.h"

#include <algorithm>
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
           step("Write over RDMA and check every byte", [this] { return measure(); }) &&
           step("Measure the same path with ib_write_bw", [this] { return perftest(); }) &&
           (options_.trainingFolder.empty() ||
            step("Train, kill a rank on the way, compare", [this] { return train(); }));
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

  Result<std::string> boot() {
    std::string kernel;
    LabOptions lab = options_.lab;
    if (!options_.trainingFolder.empty()) {
      RAILHEAD_TRY(prepareTraining(trainingPlan(), topology_));
      lab.share = options_.trainingFolder;
    }
    auto started = BoundLab::start(topology_, lab, [&](const BootEvent& event) {
      if (event.kind == BootEvent::Kind::kNodeReady) kernel = event.kernel;
    });
    if (!started.has_value()) return std::move(started).error();
    lab_.emplace(std::move(*started));
    report_.environment.guestKernel = kernel;
    return "Linux " + kernel + ", " + std::to_string(topology_.links.size()) + " links";
  }

  Stage stage() const { return {lab_->client(), topology_}; }

  Result<std::string> provision() {
    RAILHEAD_TRY(stage().startAgents());
    return "VFs stand, twins are paired";
  }

  Result<std::string> advertise() {
    RAILHEAD_TRY(stage().awaitRailSets());
    return std::to_string(topology_.nodes.front().pfs.front().vfs) + " × " + kDemoResource +
           " on each node";
  }

  Result<std::string> attach() {
    RAILHEAD_TRY_ASSIGN(auto staged, stage().attachPods());
    std::vector<std::string> addresses;
    for (auto& each : staged) {
      for (const auto& interface : each.pod.interfaces) addresses.push_back(interface.address);
      report_.nodes.push_back(std::move(each.node));
      report_.pods.push_back(std::move(each.pod));
    }
    return join(addresses, ", ");
  }

  Result<MeasurePlan> plan(std::size_t writer) const {
    RAILHEAD_TRY_ASSIGN(auto rates,
                        lineRates(topology_, writer, report_.nodes[writer], report_.pods[writer]));
    return MeasurePlan{std::move(rates), options_.seconds, 64 * 1024};
  }
  PodEnd end(std::size_t i) const { return {shell(topology_.nodes[i].name), report_.pods[i]}; }

  Result<std::string> measure() {
    if (topology_.nodes.size() < 2) return std::string("one node: nobody to write to");
    const auto pairs = measuredPairs(topology_);
    if (pairs.empty()) {
      return Error(ErrorCode::kInvalidArgument, "no two nodes are joined on every rail",
                   "plug the PFs of one rail of both nodes into one link of the topology");
    }
    // One after the other: they would share the host's CPUs and the switches.
    std::vector<report::Rdma> measured;
    for (const NodePair& pair : pairs) {
      RAILHEAD_TRY_ASSIGN(const MeasurePlan plan, this->plan(pair.from));
      report::Rdma one;
      auto done = measureRdma(end(pair.from), end(pair.to), plan, one);
      if (done.has_value() || !one.perRail.empty()) measured.push_back(std::move(one));
      if (!measured.empty()) report_.rdma = joinPairs(measured);
      if (!done.has_value()) {
        report_.rdma.verified = false;
        return std::move(done).error();
      }
    }
    const auto& rdma = report_.rdma;
    std::string detail = formatBytes(rdma.bytesChecked) + " right";
    if (pairs.size() > 1) detail += " between " + std::to_string(pairs.size()) + " pairs, slowest";
    if (rdma.oneRailGbps) detail += ", one rail " + report::formatGbps(*rdma.oneRailGbps);
    if (rdma.bothRailsGbps) detail += ", all rails " + report::formatGbps(*rdma.bothRailsGbps);
    return detail;
  }

  Result<std::string> perftest() {
    if (topology_.nodes.size() < 2) return std::string("one node: nobody to write to");
    // The pair that the report's figures are from.
    const auto indexOf = [this](const std::string& pod) {
      const auto found = std::find_if(report_.pods.begin(), report_.pods.end(),
                                      [&](const auto& one) { return one.fullName() == pod; });
      return static_cast<std::size_t>(found - report_.pods.begin());
    };
    const std::size_t from = indexOf(report_.rdma.from);
    RAILHEAD_TRY_ASSIGN(const MeasurePlan plan, this->plan(from));
    RAILHEAD_TRY(measurePerftest(end(from), end(indexOf(report_.rdma.to)), plan, report_.rdma));
    return "one rail " + report::formatGbps(*report_.rdma.perftestGbps);
  }

  TrainingPlan trainingPlan() const {
    return {options_.lab.keeper.front(), options_.lab.name, options_.trainingFolder};
  }

  Result<std::string> train() {
    if (topology_.nodes.size() < 2) return std::string("one node: nobody to train with");
    if (!allReachAll(topology_)) return std::string("left out: not every node reaches every other");
    report::Training& training = report_.training;
    RAILHEAD_TRY(trainTwice(trainingPlan(), lab_->client(), report_.pods, training));
    return std::to_string(training.steps) + " steps by RDMA, killed after step " +
           std::to_string(training.killedAfterStep) + ", from step " +
           std::to_string(training.resumedFromStep) + " on again: bitwise equal";
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
