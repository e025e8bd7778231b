// What a decision of the NCCL tuner plugin costs: the built file, loaded as NCCL loads it, with the
// largest table there can be, asked for random sizes. Prints JSON. NCCL asks once for each
// collective it starts.
#include "bench/environment_json.h"
#include "plugins/nccl-tuner/live_table.h"
#include "plugins/nccl-tuner/nccl_tuner_abi.h"
#include "src/base/random.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <malloc.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead::bench_programs {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
namespace abi = nccl_tuner::abi;

constexpr int kLines = 4096;          // all of one communicator and collective: the longest search
constexpr std::size_t kSizes = 4096;  // asked for in turn, so that branches are not learnt
constexpr int kBatches = 2000;        // of kSizes decisions each

std::string writeTable(const std::string& folder, const std::string& hash) {
  const auto path = folder + "/nccl-tuner.table";
  std::ofstream file(path);
  file << "railhead-tuner 1\nhash " << hash << "\n";
  for (int i = 0; i < kLines; ++i) {
    file << "allreduce 2 1 " << i * 1000 << " " << i * 1000 + 899
         << (i % 2 == 0 ? " tree ll 0\n" : " ring simple 8\n");
  }
  return path;
}

std::string writeLive(const std::string& folder) {
  nccl_tuner::LiveTable live{};
  nccl_tuner::writeLive(live, {.algorithm = 1, .protocol = 2, .channels = 8});
  const auto path = folder + "/live.table";
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(&live), sizeof live);
  return path;
}

struct Spread {
  double median = 0, least = 0, percentile99 = 0;
};

Spread spreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front(), values[values.size() * 99 / 100]};
}

// Nanoseconds of one decision, as means over batches; the clock is too coarse for a single one.
Json measure(const abi::TunerV5& tuner, void* context) {
  SplitMix random(1);
  std::vector<std::size_t> sizes(kSizes);
  for (auto& size : sizes) size = random.next() % (kLines * 1000);
  std::vector<double> nanoseconds;
  nanoseconds.reserve(kBatches);
  std::size_t chosen = 0;
  const auto heldBefore = ::mallinfo2().uordblks;
  for (int batch = 0; batch < kBatches; ++batch) {
    const auto start = Clock::now();
    for (const auto size : sizes) {
      float costs[abi::kAlgorithms][abi::kProtocols] = {{9, 9, 9}, {9, 9, 9}};
      int channels = 0;
      tuner.getChoice(context, 4, size, 1, reinterpret_cast<float**>(costs), abi::kAlgorithms,
                      abi::kProtocols, 0, &channels);
      chosen += costs[0][0] == 0.0F || costs[1][2] == 0.0F ? 1 : 0;
    }
    const std::chrono::duration<double, std::nano> took = Clock::now() - start;
    nanoseconds.push_back(took.count() / static_cast<double>(kSizes));
  }
  const auto heldAfter = ::mallinfo2().uordblks;
  const auto spread = spreadOf(std::move(nanoseconds));
  return {{"decision_ns",
           {{"median", spread.median},
            {"least", spread.least},
            {"percentile_99", spread.percentile99}}},
          {"decisions", kBatches * kSizes},
          {"share_that_chose", static_cast<double>(chosen) / (kBatches * kSizes)},
          {"bytes_allocated", heldAfter - heldBefore}};
}

// On or off is decided once in a process, so each way is measured in a copy of the plugin.
Json measureOneWay(const std::string& folder, const std::string& copy) {
  const auto path = folder + "/" + copy;
  std::ofstream(path, std::ios::binary) << std::ifstream(RAILHEAD_TUNER, std::ios::binary).rdbuf();
  void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(::dlerror());
  const auto* tuner = static_cast<const abi::TunerV5*>(::dlsym(library, "ncclTunerPlugin_v5"));
  if (tuner == nullptr) throw std::runtime_error(::dlerror());
  const auto start = Clock::now();
  void* context = nullptr;
  tuner->init(&context, 1, 2, 1, nullptr, nullptr, nullptr);
  const std::chrono::duration<double, std::micro> opened = Clock::now() - start;
  if (context == nullptr) throw std::runtime_error("the tuner is off");
  auto result = measure(*tuner, context);
  result["first_communicator_us"] = opened.count();
  return result;
}

int run() {
  char folder[] = "/tmp/nccl-tuner-cost.XXXXXX";
  if (::mkdtemp(folder) == nullptr) throw std::runtime_error("no folder in /tmp");
  const std::string hash(64, 'a');
  ::setenv("RAILHEAD_TUNER_TABLE", writeTable(folder, hash).c_str(), 1);
  ::setenv("RAILHEAD_TUNER_AGREED", hash.c_str(), 1);
  ::unsetenv("RAILHEAD_TUNER_LIVE");
  Json report{{"schema", "railhead.nccl-tuner-cost/1"}, {"environment", environmentJson()}};
  report["table"] = measureOneWay(folder, "table.so");
  report["table"]["lines"] = kLines;
  ::setenv("RAILHEAD_TUNER_LIVE", writeLive(folder).c_str(), 1);
  report["live"] = measureOneWay(folder, "live.so");
  report["goals"] = {{"decision_ns", 100}, {"bytes_allocated", 0}};
  std::cout << report.dump(2) << "\n";
  for (const char* name : {"/nccl-tuner.table", "/live.table", "/table.so", "/live.so", ""})
    ::remove((std::string(folder) + name).c_str());
  return 0;
}

}  // namespace
}  // namespace railhead::bench_programs

int main() {
  try {
    return railhead::bench_programs::run();
  } catch (const std::exception& fault) {
    std::cerr << "nccl_tuner_cost: " << fault.what() << "\n";
    return 4;
  }
}
