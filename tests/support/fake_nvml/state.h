// The fake's state and its rules; entry_points.cc is the thin layer above. Every member is called
// with `mutex` held.
#pragma once

#include "src/gpu/nvml_abi.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace railhead::gpu::abi {

struct DeviceOpaque {
  nlohmann::json answers;   // by name of the call
  nlohmann::json recorded;  // as in the fixture
  unsigned index = 0;       // among the GPUs, or among its GPU's MIG slots
  bool lost = false;
  bool plugged = true;
  DeviceOpaque* parent = nullptr;  // the GPU of a MIG device
  std::vector<std::unique_ptr<DeviceOpaque>> migs;
  bool isLost() const { return parent != nullptr ? parent->isLost() : lost || !plugged; }
};

struct EventSetOpaque {
  struct Registration {
    Device device = nullptr;
    unsigned long long types = 0;
  };
  std::vector<Registration> registrations;
  std::deque<EventData> queue;
};

}  // namespace railhead::gpu::abi

namespace railhead::testing_support {

namespace abi = gpu::abi;
using Json = nlohmann::json;

struct FakeNvmlState {
  std::mutex mutex;
  std::condition_variable changed;
  bool loaded = false;
  Json system;  // answers that belong to no device
  std::vector<std::unique_ptr<abi::DeviceOpaque>> gpus;
  std::vector<std::unique_ptr<abi::EventSetOpaque>> eventSets;
  int sessions = 0;
  int eventSetsMade = 0;
  abi::Return failInit = abi::kSuccess;
  std::size_t controlRead = 0;  // bytes of the control file already obeyed

  // Empty: done; else why not.
  std::string load(const std::string& path);
  std::string command(const std::string& line);
  static bool hasControlFile();
  void readControlFile();

  std::vector<abi::Device> present() const;  // by index, as nvmlInit saw them: plugged ones
  abi::EventSetOpaque* find(abi::EventSet set) const;
  void deliver(const abi::EventData& event);
};

FakeNvmlState& fakeNvml();

// The answer to `call`: its value, or the code that the device answers instead.
const Json* answer(const Json& answers, const char* call, abi::Return& code);
std::optional<unsigned long long> number(const Json& value);

}  // namespace railhead::testing_support
