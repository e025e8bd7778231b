#include "tests/support/fake_plugins.h"

#include "src/base/text.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::testing_support {
namespace {

using Json = nlohmann::ordered_json;

os::ProcessResult failed(const std::string& output) { return {1, output, ""}; }

std::string errorText(const std::string& message) {
  return Json{{"cniVersion", "1.0.0"}, {"code", 999}, {"msg", message}}.dump();
}

std::string in(const std::map<std::string, std::string>& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

// As `static` takes them: runtimeConfig before CNI_ARGS, whose last pair of a name holds.
Json addressesAskedFor(const Json& config, const std::string& cniArgs) {
  Json told = Json::array();
  if (config.contains("runtimeConfig") && config["runtimeConfig"].contains("ips")) {
    told = config["runtimeConfig"]["ips"];
  } else {
    for (const std::string_view pair : split(cniArgs, ';')) {
      if (!pair.starts_with("IP=")) continue;
      told = Json::array();
      for (const std::string_view ip : split(pair.substr(3), ',')) told.push_back(std::string(ip));
    }
  }
  Json ips = Json::array();
  for (const Json& ip : told) ips.push_back({{"version", "4"}, {"address", ip}});
  return ips;
}

}  // namespace

void FakePlugins::install(const std::string& type, Kind kind, const std::string& folder) {
  const std::lock_guard lock(mutex_);
  kinds_[type] = kind;
  kernel_.memory().put(folder + "/" + type, "");
}

void FakePlugins::answer(const std::string& type, const std::string& output) {
  const std::lock_guard lock(mutex_);
  answers_[type] = output;
}

void FakePlugins::fail(const std::string& type, const std::string& command,
                       const std::string& output) {
  const std::lock_guard lock(mutex_);
  if (output.empty()) {
    failures_.erase(type + " " + command);
  } else {
    failures_[type + " " + command] = output;
  }
}

void FakePlugins::slow(const std::string& type, const std::string& command, os::Clock& clock,
                       std::chrono::milliseconds duration) {
  const std::lock_guard lock(mutex_);
  slow_[type + " " + command] = {&clock, duration};
}

void FakePlugins::hold(const std::string& type, const std::string& command) {
  const std::lock_guard lock(mutex_);
  holding_ = type + " " + command;
}

void FakePlugins::letGo() {
  const std::lock_guard lock(mutex_);
  holding_.clear();
  changed_.notify_all();
}

bool FakePlugins::waitUntilHeld() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(20), [this] { return waits_; });
}

std::vector<PluginRun> FakePlugins::runs() const {
  const std::lock_guard lock(mutex_);
  return runs_;
}

void FakePlugins::forgetRuns() {
  const std::lock_guard lock(mutex_);
  runs_.clear();
}

std::string FakePlugins::snapshot() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& holder : held_) text += holder + "\n";
  return text;
}

// The lowest free one, as host-local would give it on a subnet of its own.
std::string FakePlugins::address(const std::string& holder) {
  int number = 2;
  const auto taken = [&] {
    return std::any_of(addresses_.begin(), addresses_.end(),
                       [&](const auto& entry) { return entry.second == number; });
  };
  while (taken()) ++number;
  addresses_[holder] = number;
  return "10.200.0." + std::to_string(number) + "/24";
}

// What it holds for attachments that are not valid any more goes.
void FakePlugins::collect(const PluginRun& run) {
  std::set<std::string> valid;
  const Json config = Json::parse(run.input);
  for (const auto& one : config.at("cni.dev/valid-attachments")) {
    valid.insert(run.type + " " + one.at("containerID").get<std::string>() + "/" +
                 one.at("ifname").get<std::string>());
  }
  std::erase_if(held_, [&](const std::string& holder) {
    return holder.starts_with(run.type + " ") && !valid.contains(holder);
  });
}

void FakePlugins::describeDevice(const std::string& configuration) {
  const Json config = Json::parse(configuration);
  if (!config.contains("runtimeConfig")) return;
  const std::string file = config["runtimeConfig"].value("CNIDeviceInfoFile", "");
  if (file.empty() || kernel_.files().exists(file)) return;
  kernel_.memory().put(file, R"({"type":"memif","version":"1.1.0","memif":{"role":"slave"}})");
}

std::string FakePlugins::add(const PluginRun& run, Kind kind) {
  const Json config = Json::parse(run.input);
  const std::string holder = run.type + " " + in(run.environment, "CNI_CONTAINERID") + "/" +
                             in(run.environment, "CNI_IFNAME");
  Json result;
  result["cniVersion"] = config.at("cniVersion");
  const std::string netns = in(run.environment, "CNI_NETNS");
  const std::string ifname = in(run.environment, "CNI_IFNAME");
  if (kind == Kind::kInterface) {
    const std::string own = address(holder);
    if (const auto made = kernel_.addPodLink(netns, ifname, run.type, {*IpPrefix::parse(own)});
        !made.has_value()) {
      return "";
    }
    result["interfaces"] = {{{"name", ifname}, {"mac", "06:00:00:00:00:01"}, {"sandbox", netns}}};
    result["ips"] = {{{"version", "4"}, {"interface", 0}, {"address", own}}};
  } else if (kind == Kind::kIpam) {
    result["ips"] = {{{"version", "4"}, {"address", address(holder)}, {"gateway", "10.200.0.1"}}};
    result["routes"] = {{{"dst", "10.201.0.0/16"}}};
    result["dns"] = {{"nameservers", {"10.200.0.53"}}};
  } else if (kind == Kind::kStatic) {
    result["ips"] = addressesAskedFor(config, in(run.environment, "CNI_ARGS"));
  } else {
    result = config.at("prevResult");
  }
  held_.insert(holder);
  const auto answer = answers_.find(run.type);
  return answer == answers_.end() ? result.dump() : answer->second;
}

Result<os::ProcessResult> FakePlugins::run(const os::ProcessSpec& spec) {
  std::unique_lock lock(mutex_);
  PluginRun run;
  run.type = spec.argv.at(0).substr(spec.argv.at(0).rfind('/') + 1);
  run.environment = spec.environment.value_or(std::map<std::string, std::string>());
  run.command = in(run.environment, "CNI_COMMAND");
  run.input = spec.input;
  runs_.push_back(run);
  const auto kind = kinds_.find(run.type);
  if (kind == kinds_.end()) return Error(ErrorCode::kNotFound, "start " + spec.argv.at(0));
  const std::string call = run.type + " " + run.command;
  if (holding_ == call) {
    waits_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return holding_ != call; });
    waits_ = false;
  }
  if (const auto slow = slow_.find(call); slow != slow_.end()) {
    slow->second.clock->sleepFor(std::min(spec.deadline, slow->second.duration));
    if (spec.deadline < slow->second.duration)
      return Error(ErrorCode::kDeadlineExceeded, spec.argv.at(0) + ": it did not end in time");
  }
  if (const auto failure = failures_.find(run.type + " " + run.command);
      failure != failures_.end()) {
    return failed(failure->second);
  }
  const std::string holder = run.type + " " + in(run.environment, "CNI_CONTAINERID") + "/" +
                             in(run.environment, "CNI_IFNAME");
  if (run.command == "CHECK") {
    return held_.contains(holder) ? os::ProcessResult{} : failed(errorText("not there"));
  }
  if (const auto may = kernel_.act(run.type + " " + run.command); !may.has_value())
    return failed(errorText(may.error().message));
  if (run.command == "STATUS") return os::ProcessResult{};
  if (run.command == "GC") {
    collect(run);
    return os::ProcessResult{};
  }
  if (run.command == "ADD") {
    describeDevice(run.input);
    std::string output = add(run, kind->second);
    return output.empty() ? failed(errorText("no such namespace"))
                          : os::ProcessResult{0, std::move(output), ""};
  }
  if (kind->second == Kind::kInterface)
    kernel_.removePodLink(in(run.environment, "CNI_NETNS"), in(run.environment, "CNI_IFNAME"));
  held_.erase(holder);
  addresses_.erase(holder);
  return os::ProcessResult{};
}

}  // namespace railhead::testing_support
