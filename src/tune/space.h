// What may be set, to what, and where it can matter. Value types, no I/O; thread-safe once built.
#pragma once

#include "src/base/result.h"
#include "src/tune/setting.h"
#include "src/tune/size.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::tune {

enum class Layer {
  kPerSize,  // chosen for each collective and size; a running process can switch it
  kProcess,  // read once when a process starts: a change wants new ranks
};

// With one of `values` (empty: any but the default), another knob must have one of `oneOf` (empty:
// any but the default).
struct Need {
  std::vector<std::string> values;
  std::string knob;
  std::vector<std::string> oneOf;
};

struct Knob {
  std::string name;                 // environment variable, or "algorithm", "protocol", ...
  std::vector<std::string> values;  // legal ones beside "default"
  Layer layer = Layer::kProcess;
  std::vector<Need> needs;
};

// The two as numbers: one times the other is at most `most`; a default counts as 1.
struct ProductLimit {
  std::string first;
  std::string second;
  std::uint64_t most = 0;
};

// The first as a number is not above the second, when both are set.
struct OrderLimit {
  std::string lower;
  std::string upper;
};

// What one of a knob's values can carry; operations not named it cannot.
struct Reach {
  std::string knob;
  std::string value;
  std::vector<std::string> operations;
};

class Space {
 public:
  std::vector<Knob> knobs;
  std::vector<ProductLimit> products;
  std::vector<OrderLimit> orders;
  std::vector<Reach> reaches;  // a value with no entry carries every operation

  const Knob* find(std::string_view name) const;  // nullptr when there is none
  std::vector<const Knob*> ofLayer(Layer layer) const;
  // The part of `setting` that belongs to `layer`.
  Setting part(const Setting& setting, Layer layer) const;

  // kInvalidArgument names the knob, its value and what is allowed.
  Result<void> check(const Setting& setting) const;
  bool isLegal(const Setting& setting) const { return check(setting).has_value(); }
  bool carries(const Setting& setting, std::string_view operation) const;

  // The legal settings one step from `from`: another value of `knob`, along with the values that it
  // needs of other knobs, or without what needed it. Deterministic order.
  std::vector<Setting> steps(const Setting& from, const Knob& knob) const;
  // Every legal setting of one layer, the default first; kExhausted when more than `most`.
  Result<std::vector<Setting>> all(Layer layer, std::size_t most) const;
};

// The hardware and transport a space is for.
struct Platform {
  int ranks = 2;
  int nodes = 2;
  int rails = 1;                  // for each rank: NICs that it can use at once
  std::vector<std::string> hcas;  // RDMA devices of a node, "rocep1s0f0"; empty over sockets
  bool overSockets = false;
  bool hasGdr = false;           // GPU memory reachable by the NIC
  bool hasC2c = false;           // CPU and GPU joined by NVLink C2C
  bool isIntegratedGpu = false;  // no GDR then, whatever else is said
  bool hasNvls = false;          // NVLink SHARP
  bool hasCollnet = false;       // in-network reduction
};

// NCCL's space: per size algorithm × protocol × channels, and the process environment.
// NCCL_CHUNK_SIZE is never in it: some of its values are fast and give wrong data.
Space ncclSpace(const Platform& platform);

// Whether any platform's space has it as a knob of Layer::kProcess: nothing else may stand in the
// environment of a profile, which ends up in pods.
bool isEnvironmentKnob(std::string_view name);

// What a knob of an environment may be set to on some platform. Empty: it is no knob of one, or, as
// NCCL_IB_HCA, one whose values are names of devices.
std::vector<std::string> environmentValues(std::string_view name);

// The host backend's space: transport, algorithm, rails, segment.
Space hostSpace(const Platform& platform);

}  // namespace railhead::tune
