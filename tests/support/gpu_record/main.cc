// gpu-record: asks this machine's NVIDIA driver everything that Railhead asks, and prints a fixture
// for the fake driver library (tests/fixtures/nvml/README.md), with the inventory, the labels,
// times and memory that src/gpu had here under "recorded". Changes nothing on a GPU, needs no CUDA.
#include "src/base/text.h"
#include "src/gpu/gpu_events.h"
#include "src/gpu/labels.h"
#include "src/os/clock.h"
#include "src/os/host_paths.h"
#include "tests/support/gpu_record/recording.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace railhead {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr const char* kUsage =
    "usage: gpu-record [--library FILE] [--sys DIR] [--watch SECONDS] [--keep-uuids]\n"
    "Prints what NVML answers here as a fixture of the fake driver library.\n"
    "  --library FILE   instead of libnvidia-ml.so.1\n"
    "  --sys DIR        instead of /sys\n"
    "  --watch SECONDS  watch the idle GPUs for so long and tell the cost (default 5)\n"
    "  --keep-uuids     do not make UUIDs anonymous\n"
    "example: gpu-record --watch 30 > h100-one.json\n"
    "Exit codes: 0 recorded, 1 failed, 2 bad usage, 4 no GPU driver here.\n";

struct Options {
  std::string library = "libnvidia-ml.so.1";
  std::string sys = os::HostPaths{}.sys;
  unsigned watchSeconds = 5;
  bool keepUuids = false;
};

std::uint64_t residentKib() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t all = 0;
  std::uint64_t resident = 0;
  in >> all >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) / 1024;
}

double milliseconds(Clock::time_point since) {
  return std::chrono::duration<double, std::milli>(Clock::now() - since).count();
}

double cpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

template <typename Value>
Json optional(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Json inventoryJson(const gpu::GpuInventory& inventory) {
  Json gpus = Json::array();
  for (const auto& each : inventory.gpus) {
    gpus.push_back({{"index", each.index},
                    {"uuid", each.uuid},
                    {"name", each.name},
                    {"pci", each.pci.toString()},
                    {"memoryBytes", optional(each.memoryBytes)},
                    {"numaNode", optional(each.numaNode)},
                    {"pciClass", optional(each.pciClass)},
                    {"nvLinks", each.nvLinks.size()},
                    {"migDevices", each.migDevices.size()}});
  }
  return {{"driver", inventory.driver.version},
          {"library", inventory.driver.library},
          {"cuda", std::to_string(inventory.driver.cudaMajor) + "." +
                       std::to_string(inventory.driver.cudaMinor)},
          {"problems", inventory.problems},
          {"gpus", std::move(gpus)}};
}

// The watcher over GPUs that nobody disturbs: what it registers, costs and says.
Json watchIdle(gpu::GpuLibrary& library, unsigned seconds) {
  os::SystemClock clock;
  std::mutex mutex;
  Json problems = Json::array();
  Json events = Json::array();
  gpu::GpuWatchCallbacks callbacks;
  callbacks.onProblem = [&](const std::string& line) {
    const std::lock_guard lock(mutex);
    problems.push_back(line);
  };
  callbacks.onEvent = [&](const gpu::GpuEvent& event) {
    const std::lock_guard lock(mutex);
    events.push_back({{"gpu", event.gpu}, {"xid", event.xid}});
  };
  gpu::GpuWatcher watcher(library, clock, {}, callbacks);
  const auto started = Clock::now();
  watcher.start();
  while (watcher.watched() == 0 && milliseconds(started) < 20'000)
    clock.sleepFor(std::chrono::milliseconds(1));
  const double ready = milliseconds(started);
  const double cpu = cpuSeconds();
  clock.sleepFor(std::chrono::seconds(seconds));
  const double used = cpuSeconds() - cpu;
  const auto watched = watcher.watched();
  const auto unhealthy = watcher.unhealthy();
  const auto stopping = Clock::now();
  watcher.stop();
  return {{"watched", watched},
          {"readyMs", ready},
          {"stopMs", milliseconds(stopping)},
          {"idleSeconds", seconds},
          {"idleCpuPercent", seconds == 0 ? 0 : 100 * used / seconds},
          {"unhealthy", unhealthy},
          {"events", events},
          {"problems", problems}};
}

Json machine() {
  utsname name{};
  uname(&name);
  const std::time_t now = std::time(nullptr);
  char date[32] = {};
  std::tm utc{};
  std::strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&now, &utc));
  return {{"date", date}, {"kernel", name.release}, {"architecture", name.machine}};
}

void replaceAll(std::string& text, const std::string& from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// The same length and form, so that what depends on them still does.
std::string anonymous(std::string text, const Json& gpus) {
  int next = 0;
  const auto hide = [&](const Json& device) {
    const auto uuid = device.value("nvmlDeviceGetUUID", Json());
    if (!uuid.is_string()) return;
    const auto real = uuid.get<std::string>();
    char replacement[64] = {};
    std::snprintf(replacement, sizeof replacement, "%s00000000-0000-4000-8000-%012d",
                  real.starts_with("MIG") ? "MIG-" : "GPU-", next++);
    replaceAll(text, real, replacement);
  };
  for (const auto& device : gpus) {
    hide(device);
    for (const auto& mig : device.value("migDevices", Json::array())) hide(mig);
  }
  return text;
}

int record(const Options& options) {
  Json memory{{"start", residentKib()}};
  Json times;
  auto filesystem = os::RootedFilesystem::open("/");
  if (!filesystem) {
    std::fprintf(stderr, "gpu-record: %s\n", filesystem.error().describe().c_str());
    return 1;
  }
  gpu::GpuLibrary library({{options.library}, options.sys}, filesystem->get());
  auto at = Clock::now();
  auto session = library.session();
  times["openMs"] = milliseconds(at);
  memory["opened"] = residentKib();
  if (!session || !session->nvml) {
    std::fprintf(stderr, "gpu-record: %s\n",
                 session ? ("no GPU driver: " + session->absence).c_str()
                         : session.error().describe().c_str());
    return 4;
  }
  at = Clock::now();
  auto inventory = library.inventory();
  times["firstInventoryMs"] = milliseconds(at);
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    at = Clock::now();
    inventory = library.inventory();
    best = std::min(best, milliseconds(at));
  }
  times["laterInventoryMs"] = best;
  memory["inventory"] = residentKib();
  if (!inventory) {
    std::fprintf(stderr, "gpu-record: %s\n", inventory.error().describe().c_str());
    return 1;
  }
  const Json watch = watchIdle(library, options.watchSeconds);
  memory["watched"] = residentKib();  // before the JSON below takes any
  session->nvml.reset();
  library.release();
  at = Clock::now();
  session = library.session();
  times["reopenMs"] = milliseconds(at);
  if (!session || !session->nvml) return 1;
  const auto recording = testing_support::recordNvml(session->nvml);
  times["slowestCallMicroseconds"] = recording.slowestMicroseconds;

  const Json where = machine();
  Json out{{"source", "recorded by gpu-record on " + where["date"].get<std::string>()},
           {"system", recording.system},
           {"gpus", recording.gpus},
           {"recorded",
            {{"machine", where},
             {"inventory", inventoryJson(*inventory)},
             {"labels", gpu::gpuLabels(*inventory, {})},
             {"times", times},
             {"residentKib", memory},
             {"watch", watch}}}};
  std::string text = out.dump(1, ' ', true, Json::error_handler_t::replace);
  if (!options.keepUuids) text = anonymous(std::move(text), recording.gpus);
  return std::puts(text.c_str()) < 0 ? 1 : 0;
}

}  // namespace
}  // namespace railhead

int main(int argc, char** argv) {
  railhead::Options options;
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool more = i + 1 < words.size();
    if (words[i] == "--help") {
      std::fputs(railhead::kUsage, stdout);
      return 0;
    }
    if (words[i] == "--keep-uuids") {
      options.keepUuids = true;
    } else if (words[i] == "--library" && more) {
      options.library = words[++i];
    } else if (words[i] == "--sys" && more) {
      options.sys = words[++i];
    } else if (const auto seconds = words[i] == "--watch" && more
                                        ? railhead::parseUnsigned(words[++i])
                                        : std::nullopt;
               seconds && *seconds <= 3600) {
      options.watchSeconds = static_cast<unsigned>(*seconds);
    } else {
      std::fputs(railhead::kUsage, stderr);
      return 2;
    }
  }
  return railhead::record(options);
}
