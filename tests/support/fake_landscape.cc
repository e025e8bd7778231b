#include "tests/support/fake_landscape.h"

#include "src/base/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>

namespace railhead::testing_support {

using tune::Setting;
using tune::Size;

namespace {

constexpr double kMicrosecond = 1e-6;
constexpr double kGigabyte = 1e9;

double numberOf(const Setting& setting, std::string_view knob, double otherwise) {
  return static_cast<double>(
      parseUnsigned(setting.value(knob)).value_or(static_cast<std::uint64_t>(otherwise)));
}

// 1 at the best value, less by `slope` for each doubling away from it.
double peak(double value, double best, double slope) {
  return 1 / (1 + slope * std::abs(std::log2(value / best)));
}

// What the default chooses: LL too far up, so that 32 KB and 64 KB are weak.
Setting stockChoice(const Size& size, bool isSimple) {
  Setting choice;
  choice.set("algorithm", size.operation == "allreduce" && size.bytes < 16384 ? "tree" : "ring");
  choice.set("protocol", isSimple                  ? "simple"
                         : size.bytes <= 131072    ? "ll"
                         : size.bytes < (4U << 20) ? "ll128"
                                                   : "simple");
  return choice;
}

tune::Space only(const std::vector<std::string>& names) {
  tune::Platform platform;
  platform.rails = 2;
  platform.hcas = {"rocep1s0f0", "roceP2p1s0f0"};
  platform.isIntegratedGpu = true;
  tune::Space space = tune::ncclSpace(platform);
  std::erase_if(space.knobs, [&](const tune::Knob& knob) {
    return std::find(names.begin(), names.end(), knob.name) == names.end();
  });
  return space;
}

}  // namespace

struct FakeLandscape::Wire {
  double latency = 0;    // seconds on top of the protocol's
  double bandwidth = 0;  // bytes per second
};

FakeLandscape::FakeLandscape(LandscapeOptions options) : options_(std::move(options)) {}

tune::Space FakeLandscape::space() {
  return only({"algorithm", "protocol", "channels", "NCCL_IB_QPS_PER_CONNECTION",
               "NCCL_IB_SPLIT_DATA_ON_QPS", "NCCL_BUFFSIZE", "NCCL_NTHREADS", "NCCL_IB_HCA"});
}

tune::Space FakeLandscape::smallSpace() {
  tune::Space space = only(
      {"algorithm", "protocol", "NCCL_IB_QPS_PER_CONNECTION", "NCCL_BUFFSIZE", "NCCL_NTHREADS"});
  for (tune::Knob& knob : space.knobs) {
    if (knob.name == "NCCL_IB_QPS_PER_CONNECTION") knob.values = {"2", "4", "8", "16"};
    if (knob.name == "NCCL_NTHREADS") knob.values = {"128", "256", "512"};
  }
  return space;
}

std::vector<Size> FakeLandscape::sizes() {
  std::vector<Size> sizes;
  for (const std::uint64_t bytes : {4096U, 32768U, 65536U, 524288U, 4U << 20, 64U << 20}) {
    sizes.push_back({"allreduce", bytes, false});
  }
  sizes.push_back({"allgather", 65536, false});
  sizes.push_back({"allgather", 16U << 20, false});
  return sizes;
}

FakeLandscape::Wire FakeLandscape::wireOf(const Setting& setting) const {
  // A knob left alone is one doubling or more beside its best, differently in each variant.
  const double bestQps = std::array{4.0, 8.0, 2.0, 16.0}[options_.variant % 4];
  const double bestBuffer = std::array{8.0, 2.0, 16.0}[options_.variant % 3] * (1 << 20);
  const double bestThreads = std::array{512.0, 256.0}[options_.variant % 2];
  const double qps = numberOf(setting, "NCCL_IB_QPS_PER_CONNECTION", 1);
  const bool split = setting.value("NCCL_IB_SPLIT_DATA_ON_QPS") == "1";
  const std::string_view hca = setting.value("NCCL_IB_HCA");
  const bool oneTwin = hca != tune::kDefault && hca.find(',') == std::string_view::npos;
  Wire wire;
  wire.bandwidth = (oneTwin ? 11.6 : 23.1) * kGigabyte;
  wire.bandwidth *= peak(qps, bestQps, split ? 0.05 : 0.08);
  wire.bandwidth *= peak(numberOf(setting, "NCCL_BUFFSIZE", 4 << 20), bestBuffer, 0.04);
  wire.bandwidth *= peak(numberOf(setting, "NCCL_NTHREADS", 128), bestThreads, 0.03);
  wire.latency = (split ? 0.06 * std::log2(qps) : 0.02 * std::log2(qps)) * kMicrosecond;
  return wire;
}

double FakeLandscape::trueSeconds(const Setting& setting, const Size& size) const {
  const bool chosen = setting.value("algorithm") != tune::kDefault;
  const Setting choice = chosen ? setting : stockChoice(size, options_.stockIsSimple);
  const std::string_view protocol = choice.value("protocol");
  const std::string_view algorithm = choice.value("algorithm");
  const Wire wire = wireOf(setting);
  double latency = 27 * kMicrosecond;
  double bandwidth = wire.bandwidth;
  if (protocol == "ll") {
    latency = 22 * kMicrosecond;
    bandwidth = std::min(bandwidth, 1.5 * kGigabyte);
  } else if (protocol == "ll128") {
    latency = 24 * kMicrosecond;
    bandwidth = std::min(0.9 * bandwidth, 20 * kGigabyte);
  }
  if (algorithm == "tree") {
    latency *= 0.93;
    bandwidth *= 0.9;
  } else if (algorithm == "pat") {
    latency *= 0.9;
    bandwidth *= 0.8;
  }
  const double bestChannels = size.bytes < (1U << 20) ? 2 : options_.variant % 2 == 0 ? 8 : 16;
  const double channels = numberOf(setting, "channels", 4);
  bandwidth *= peak(channels, bestChannels, 0.05);
  return latency + wire.latency + static_cast<double>(size.bytes) / bandwidth;
}

bool FakeLandscape::isFaulty(const Setting& setting, const Size& size) const {
  return std::any_of(options_.faults.begin(), options_.faults.end(), [&](const auto& fault) {
    return size.bytes >= fault.fromBytes && setting.contains(fault.part);
  });
}

double FakeLandscape::noiseFactor(SplitMix& random) const {
  const auto uniform = [&] { return (static_cast<double>(random.next() >> 11) + 0.5) * 0x1p-53; };
  const double normal =
      std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform());
  const double spike = uniform() < options_.spikes ? 3 : 1;
  return spike * std::exp(options_.noise * normal);
}

Result<tune::Measurement> FakeLandscape::measure(const Setting& setting,
                                                 std::span<const Size> sizes, int repetitions) {
  ++calls_;
  constexpr double kNewRanks = 2;
  constexpr double kDeadline = 15;
  Setting environment = setting;
  for (const char* knob : {"algorithm", "protocol", "channels"}) {
    environment.set(knob, tune::kDefault);
  }
  if (environment != last_) elapsed_ += kNewRanks;
  last_ = std::move(environment);
  for (const PlantedFault& fault : options_.faults) {
    const bool strikes = setting.contains(fault.part) &&
                         std::any_of(sizes.begin(), sizes.end(), [&](const Size& size) {
                           return size.bytes >= fault.fromBytes;
                         });
    if (!strikes) continue;
    elapsed_ += kDeadline;
    return tune::Measurement{fault.outcome, "planted: " + fault.part.text(), {}};
  }
  SplitMix random(options_.seed * 0x9e3779b97f4a7c15ULL + calls_);
  const double drift = std::exp(options_.driftPerCall * static_cast<double>(calls_));
  tune::Measurement out;
  for (const Size& size : sizes) {
    const double truth = trueSeconds(setting, size) * drift;
    auto& series = out.seconds.emplace_back();
    for (int i = 0; i < repetitions; ++i) series.push_back(truth * noiseFactor(random));
    for (const double seconds : series) elapsed_ += seconds;
  }
  return out;
}

}  // namespace railhead::testing_support
