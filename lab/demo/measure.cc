#include "lab/demo/measure.h"

#include "src/base/ip.h"
#include "src/base/text.h"

#include <algorithm>
#include <future>
#include <sstream>

#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using Json = nlohmann::json;

constexpr const char* kBenchPort = "18515";
constexpr int kPerftestAttempts = 3;
constexpr const char* kPerftestPort = "18516";
constexpr std::chrono::seconds kMeasureDeadline{90};

std::string bareAddress(const std::string& withLength) {
  return withLength.substr(0, withLength.find('/'));
}

std::vector<std::string> inPod(const report::Pod& pod, std::vector<std::string> command) {
  std::vector<std::string> argv{"railhead-lab-kubelet", "exec", pod.fullName(), "--"};
  argv.insert(argv.end(), command.begin(), command.end());
  return argv;
}

// Both ends at once; the connecting end's output, also when it fails, and the connecting end's
// error with the other one's behind it.
NodeShell::Ran runBoth(const PodEnd& listener, std::vector<std::string> listen,
                       const PodEnd& connector, std::vector<std::string> connect) {
  auto server = std::async(std::launch::async, [&] {
    return listener.shell.run(inPod(listener.pod, std::move(listen)), {}, kMeasureDeadline);
  });
  auto client =
      connector.shell.attempt(inPod(connector.pod, std::move(connect)), {}, kMeasureDeadline);
  auto served = server.get();
  if (served.has_value()) return client;
  if (client.failure) {
    client.failure->message += " (the other end: " + served.error().message + ")";
  } else {
    client.failure = std::move(served).error();
  }
  return client;
}

std::optional<double> numberAt(const Json& json, const char* pointer) {
  const Json::json_pointer path(pointer);
  if (!json.contains(path) || !json.at(path).is_number()) return std::nullopt;
  return json.at(path).get<double>();
}

std::uint64_t countAt(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

// The GID index perftest wants: where the device's table holds this address as RoCE v2. Our own
// code chooses by address and never pins an index.
Result<std::string> gidIndex(const PodEnd& end, const report::Interface& interface) {
  const std::string script =
      "d=/sys/class/infiniband/$1/ports/1; for t in $d/gid_attrs/types/*; do i=${t##*/}; "
      "read -r type <$t 2>/dev/null || continue; read -r gid <$d/gids/$i; "
      "[ \"$type\" = 'RoCE v2' ] && [ \"$gid\" = \"$2\" ] && echo $i && exit 0; done; exit 1";
  RAILHEAD_TRY_ASSIGN(const auto address, IpAddress::parse(bareAddress(interface.address)));
  char gid[48];
  const auto& b = address.bytes;
  std::snprintf(gid, sizeof gid, "0000:0000:0000:0000:0000:ffff:%02x%02x:%02x%02x", b[0], b[1],
                b[2], b[3]);
  auto found = end.shell.run(inPod(end.pod, {"sh", "-c", script, "sh", interface.rdma, gid}));
  if (!found.has_value()) {
    return Error(ErrorCode::kNotFound, end.pod.fullName() + ": " + interface.rdma +
                                           " has no RoCE v2 GID for " + interface.address);
  }
  return std::string(trim(*found));
}

}  // namespace

Result<report::Rdma> parseBench(std::string_view text, const report::Pod& from,
                                const report::Pod& to) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("rails")) {
    return Error(ErrorCode::kCorrupt,
                 "railhead bench printed " + inQuotes(text, 60) + ": expected its JSON report");
  }
  report::Rdma rdma;
  rdma.from = from.fullName();
  rdma.to = to.fullName();
  rdma.verified = json.value("verified", false);
  rdma.bytesChecked = countAt(json, "bytes_checked");
  rdma.bytesWrong = countAt(json, "bytes_wrong");
  if (const Json& plan = json.value("plan", Json::object()); plan.is_object()) {
    rdma.messageBytes = countAt(plan, "message_bytes");
    rdma.seed = std::to_string(countAt(plan, "seed"));
  }
  rdma.bothRailsGbps = numberAt(json, "/all_rails/gbps");
  rdma.bothRailsCeilingGbps = numberAt(json, "/all_rails/ceiling/gbps");
  rdma.latencyUs = numberAt(json, "/latency/median_us");
  rdma.latencyP99Us = numberAt(json, "/latency/p99_us");
  for (const auto& rail : json["rails"]) {
    report::RailMeasurement one;
    one.rail = static_cast<int>(countAt(rail, "rail"));
    one.from = from.fullName();
    one.to = to.fullName();
    one.interface = rail.value("netdev", "");
    one.gbps = numberAt(rail, "/gbps");
    one.togetherGbps = numberAt(rail, "/gbps_together");
    one.ceilingGbps = numberAt(rail, "/ceiling/gbps");
    one.latencyUs = numberAt(rail, "/latency/median_us");
    one.latencyP99Us = numberAt(rail, "/latency/p99_us");
    one.bytesChecked = countAt(rail, "bytes_checked");
    one.bytesWrong = countAt(rail, "bytes_wrong");
    rdma.perRail.push_back(std::move(one));
  }
  if (rdma.perRail.empty()) return Error(ErrorCode::kCorrupt, "railhead bench reported no rail");
  rdma.oneRailGbps = rdma.perRail.front().gbps;
  rdma.ceilingGbps = rdma.perRail.front().ceilingGbps;
  const Json::json_pointer why("/rails/0/ceiling/explanation");
  if (json.contains(why) && json.at(why).is_string()) rdma.ceilingExplanation = json.at(why);
  return rdma;
}

Result<void> measureRdma(const PodEnd& from, const PodEnd& to, const MeasurePlan& plan,
                         report::Rdma& rdma) {
  const std::string where = bareAddress(to.pod.interfaces.front().address) + ":" + kBenchPort;
  std::vector<std::string> connect{"railhead",  "bench",
                                   "verbs",     "--connect",
                                   where,       "--token",
                                   "demo",      "--json",
                                   "--size",    std::to_string(plan.messageBytes),
                                   "--seconds", std::to_string(plan.seconds)};
  for (const BitRate rate : plan.lineRates) {
    connect.insert(
        connect.end(),
        {"--line-rate", std::to_string(static_cast<std::uint64_t>(rate.bitsPerSecond)) + "bit"});
  }
  const auto ran =
      runBoth(to, {"railhead", "bench", "verbs", "--listen", where, "--token", "demo", "--json"},
              from, std::move(connect));
  auto parsed = parseBench(ran.output, from.pod, to.pod);
  if (parsed.has_value()) rdma = std::move(*parsed);  // with wrong bytes it fails and reports
  if (ran.failure) return *ran.failure;
  if (!parsed.has_value()) return std::move(parsed).error();
  if (!rdma.verified)
    return Error(ErrorCode::kCheckFailed, "railhead bench: not every byte arrived right");
  return {};
}

report::Rdma joinPairs(const std::vector<report::Rdma>& pairs) {
  const auto speed = [](const report::Rdma& pair) {
    return pair.verified ? pair.bothRailsGbps.value_or(0) : -1;
  };
  report::Rdma all = *std::min_element(
      pairs.begin(), pairs.end(),
      [&](const auto& left, const auto& right) { return speed(left) < speed(right); });
  all.bytesChecked = 0;
  all.bytesWrong = 0;
  all.perRail.clear();
  for (const auto& pair : pairs) {
    all.bytesChecked += pair.bytesChecked;
    all.bytesWrong += pair.bytesWrong;
    all.perRail.insert(all.perRail.end(), pair.perRail.begin(), pair.perRail.end());
  }
  return all;
}

Result<double> parsePerftest(std::string_view output) {
  bool header = false;
  for (const auto line : split(output, '\n')) {
    if (line.find("#bytes") != std::string_view::npos &&
        line.find("BW average") != std::string_view::npos) {
      header = true;
      continue;
    }
    if (!header) continue;
    std::istringstream words{std::string(line)};
    double bytes = 0;
    double iterations = 0;
    double peak = 0;
    double average = 0;
    if (words >> bytes >> iterations >> peak >> average) return average;
  }
  return Error(ErrorCode::kCorrupt,
               "ib_write_bw printed no result: " + inQuotes(trim(output), 120));
}

Result<void> measurePerftest(const PodEnd& from, const PodEnd& to, const MeasurePlan& plan,
                             report::Rdma& rdma) {
  const report::Interface& source = from.pod.interfaces.front();
  const report::Interface& target = to.pod.interfaces.front();
  RAILHEAD_TRY_ASSIGN(const std::string sourceGid, gidIndex(from, source));
  RAILHEAD_TRY_ASSIGN(const std::string targetGid, gidIndex(to, target));
  // As many messages as the line carries in the wanted time; perftest wants at least its queue
  // depth.
  const double perSecond =
      plan.lineRates.front().bitsPerSecond / 8 / static_cast<double>(plan.messageBytes);
  const auto iterations =
      std::max<std::uint64_t>(64, static_cast<std::uint64_t>(perSecond * plan.seconds));
  const auto command = [&](const std::string& device, const std::string& gid) {
    return std::vector<std::string>{"ib_write_bw",
                                    "-F",
                                    "--report_gbits",
                                    "-d",
                                    device,
                                    "-x",
                                    gid,
                                    "-p",
                                    kPerftestPort,
                                    "-s",
                                    std::to_string(plan.messageBytes),
                                    "-n",
                                    std::to_string(iterations),
                                    "-t",
                                    "16"};
  };
  auto listen = command(target.rdma, targetGid);
  auto connect = command(source.rdma, sourceGid);
  connect.push_back(bareAddress(target.address));
  // perftest's client does not wait for its server: give the server time to listen.
  connect.insert(
      connect.begin(),
      {"sh", "-c", "for i in 1 2 3 4 5 6; do \"$@\" && exit 0; sleep 1; done; exit 1", "sh"});
  // It measures time by the CPU's cycles, which an emulated one does not always count well.
  double gbps = 0;
  for (int attempt = 0; gbps <= 0 && attempt < kPerftestAttempts; ++attempt) {
    const auto ran = runBoth(to, listen, from, connect);
    if (ran.failure) return *ran.failure;
    RAILHEAD_TRY_ASSIGN(gbps, parsePerftest(ran.output));
  }
  if (gbps <= 0) return Error(ErrorCode::kCheckFailed, "ib_write_bw says that it moved nothing");
  rdma.perftestGbps = gbps;
  for (auto& rail : rdma.perRail) {
    const bool here = rail.from == from.pod.fullName() && rail.to == to.pod.fullName();
    if (here && rail.rail == source.rail) rail.perftestGbps = gbps;
  }
  return {};
}

}  // namespace railhead::lab
