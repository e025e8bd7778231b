#include "tests/support/fake_nvml/state.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

namespace railhead::testing_support {
namespace {

std::unique_ptr<abi::DeviceOpaque> makeDevice(const Json& answers, unsigned index,
                                              abi::DeviceOpaque* parent) {
  auto device = std::make_unique<abi::DeviceOpaque>();
  device->answers = answers;
  device->recorded = answers;
  device->index = index;
  device->parent = parent;
  return device;
}

std::string afterWords(const std::string& line, int words) {
  std::istringstream in(line);
  std::string skipped;
  while (words-- > 0) in >> skipped;
  std::string rest;
  std::getline(in >> std::ws, rest);
  return rest;
}

}  // namespace

FakeNvmlState& fakeNvml() {
  // The library's state, as the real one has it: NVML is a C interface without a context. Never
  // destroyed, because a client's thread may still call while the process ends.
  static auto* state = new FakeNvmlState;
  return *state;
}

const Json* answer(const Json& answers, const char* call, abi::Return& code) {
  const auto found = answers.find(call);
  code = abi::kNotSupported;
  if (found == answers.end() || found->is_null()) return nullptr;
  if (found->is_object()) {
    const auto refusal = found->find("return");
    if (refusal != found->end()) {
      code = refusal->is_number_integer() ? refusal->get<int>() : abi::kUnknown;
      return nullptr;
    }
  }
  code = abi::kSuccess;
  return &*found;
}

std::optional<unsigned long long> number(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<unsigned long long>();
}

std::string FakeNvmlState::load(const std::string& path) {
  if (sessions > 0) return "a session is open: another fixture can only be loaded without one";
  std::ifstream in(path);
  if (!in) return "cannot read the fixture " + path;
  const Json fixture = Json::parse(in, nullptr, false);
  if (!fixture.is_object() || !fixture.contains("system") || !fixture["system"].is_object() ||
      !fixture.contains("gpus") || !fixture["gpus"].is_array())
    return path + " is no fixture: expected an object with \"system\" and \"gpus\"";
  std::vector<std::unique_ptr<abi::DeviceOpaque>> devices;
  for (const auto& item : fixture["gpus"]) {
    if (!item.is_object()) return path + ": a GPU must be an object of answers";
    auto gpu = makeDevice(item, static_cast<unsigned>(devices.size()), nullptr);
    for (const auto& mig : item.value("migDevices", Json::array())) {
      if (!mig.is_object()) return path + ": a MIG device must be an object of answers";
      gpu->migs.push_back(makeDevice(mig, static_cast<unsigned>(gpu->migs.size()), gpu.get()));
    }
    devices.push_back(std::move(gpu));
  }
  gpus = std::move(devices);
  system = fixture["system"];
  loaded = true;
  return {};
}

std::vector<abi::Device> FakeNvmlState::present() const {
  std::vector<abi::Device> devices;
  for (const auto& gpu : gpus) {
    if (gpu->plugged) devices.push_back(gpu.get());
  }
  return devices;
}

abi::EventSetOpaque* FakeNvmlState::find(abi::EventSet set) const {
  for (const auto& each : eventSets) {
    if (each.get() == set) return each.get();
  }
  return nullptr;
}

void FakeNvmlState::deliver(const abi::EventData& event) {
  for (const auto& set : eventSets) {
    for (const auto& registration : set->registrations) {
      if (registration.device == event.device && (registration.types & event.eventType) != 0) {
        set->queue.push_back(event);
        break;
      }
    }
  }
  changed.notify_all();
}

std::string FakeNvmlState::command(const std::string& line) {
  std::istringstream in(line);
  std::string verb;
  in >> verb;
  if (verb == "load") return load(afterWords(line, 1));
  if (verb == "fail-init") {
    in >> failInit;
    return in ? "" : "fail-init needs a code";
  }
  unsigned index = 0;
  if (!(in >> index) || index >= gpus.size()) return "no such GPU in: " + line;
  auto& gpu = *gpus[index];
  if (verb == "xid" || verb == "event") {
    abi::EventData event{&gpu, abi::kEventXid, 0, abi::kNoInstance, abi::kNoInstance};
    if (verb == "event" && !(in >> event.eventType)) return "event needs a type";
    if (!(in >> event.eventData) && verb == "xid") return "xid needs a number";
    unsigned instance = 0;  // a failed read would set it to 0, which is an instance too
    if (in >> instance) event.gpuInstanceId = instance;
    if (in >> instance) event.computeInstanceId = instance;
    deliver(event);
  } else if (verb == "lose") {
    gpu.lost = true;
  } else if (verb == "unplug") {
    gpu.plugged = false;
  } else if (verb == "reset") {
    if (sessions > 0) return "the GPU is in use: a session is open";
    gpu.lost = false;
    gpu.plugged = true;
    gpu.answers = gpu.recorded;
  } else if (verb == "set" || verb == "set-mig") {
    const bool ofMig = verb == "set-mig";
    std::size_t mig = 0;
    if (ofMig && (!(in >> mig) || mig >= gpu.migs.size())) return "no such MIG device in: " + line;
    std::string call;
    in >> call;
    auto value = Json::parse(afterWords(line, ofMig ? 4 : 3), nullptr, false);
    if (value.is_discarded()) return "no JSON in: " + line;
    (ofMig ? *gpu.migs[mig] : gpu).answers[call] = std::move(value);
  } else {
    return "unknown command: " + line;
  }
  changed.notify_all();
  return {};
}

namespace {
const char* controlFile() {
  return std::getenv("RAILHEAD_FAKE_NVML_CONTROL");  // NOLINT(concurrency-mt-unsafe)
}
}  // namespace

bool FakeNvmlState::hasControlFile() { return controlFile() != nullptr; }

void FakeNvmlState::readControlFile() {
  if (!hasControlFile()) return;
  std::ifstream in(controlFile());
  in.seekg(static_cast<std::streamoff>(controlRead));
  std::string line;
  while (std::getline(in, line) && !in.eof()) {  // a line without its end is still being written
    controlRead += line.size() + 1;
    const std::string problem = line.empty() ? "" : command(line);
    if (!problem.empty()) std::fprintf(stderr, "fake NVML: %s\n", problem.c_str());
  }
}

}  // namespace railhead::testing_support
