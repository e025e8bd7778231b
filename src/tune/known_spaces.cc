// The spaces of NCCL and of the host backend, one table each.
#include "src/tune/space.h"

#include <algorithm>

namespace railhead::tune {
namespace {

bool anywhere(const Platform& /*platform*/) { return true; }
bool betweenNodes(const Platform& platform) { return platform.nodes > 1; }
bool overRdma(const Platform& platform) { return betweenNodes(platform) && !platform.overSockets; }
bool overSockets(const Platform& platform) { return platform.overSockets; }
bool overRails(const Platform& platform) { return overRdma(platform) && platform.rails > 1; }
// The GPU is asked first: NCCL gives up on GDR for an integrated one before it reads any knob.
bool overGdr(const Platform& platform) {
  return overRdma(platform) && platform.hasGdr && !platform.isIntegratedGpu;
}
bool overC2c(const Platform& platform) { return overGdr(platform) && platform.hasC2c; }

constexpr int kMostRails = 16;  // of a rank, on any platform

struct Entry {
  Knob knob;
  bool (*matters)(const Platform&);
};

// Buffer sizes are powers of two: odd ones hang with LL128. Chunks of 1 MiB and more have given
// wrong data, so P2P chunks stay below.
std::vector<Entry> ncclEnvironment() {
  const std::vector<std::string> several{"2", "4", "8", "16", "32", "64", "128"};
  const std::vector<std::string> ctas{"1", "2", "4", "8", "16", "32", "64"};
  return {
      {{"NCCL_IB_QPS_PER_CONNECTION", several, Layer::kProcess, {}}, overRdma},
      {{"NCCL_IB_SPLIT_DATA_ON_QPS",
        {"0", "1"},
        Layer::kProcess,
        {{{}, "NCCL_IB_QPS_PER_CONNECTION", {}}}},
       overRdma},
      {{"NCCL_MIN_CTAS", ctas, Layer::kProcess, {}}, anywhere},
      {{"NCCL_MAX_CTAS", ctas, Layer::kProcess, {}}, anywhere},
      {{"NCCL_BUFFSIZE", {"1048576", "2097152", "8388608", "16777216"}, Layer::kProcess, {}},
       anywhere},
      {{"NCCL_P2P_NET_CHUNKSIZE", {"65536", "262144", "524288"}, Layer::kProcess, {}},
       betweenNodes},
      {{"NCCL_NTHREADS", {"64", "128", "256", "512"}, Layer::kProcess, {}}, anywhere},
      {{"NCCL_IB_MERGE_NICS", {"0", "1"}, Layer::kProcess, {}}, overRails},
      {{"NCCL_CROSS_NIC", {"0", "1", "2"}, Layer::kProcess, {}}, overRails},
      {{"NCCL_IB_TC", {"104", "106"}, Layer::kProcess, {}}, overRdma},
      {{"NCCL_SOCKET_NTHREADS", {"1", "2", "4", "8", "16"}, Layer::kProcess, {}}, overSockets},
      {{"NCCL_NSOCKS_PERTHREAD", {"1", "2", "4", "8", "16"}, Layer::kProcess, {}}, overSockets},
      {{"NCCL_NET_GDR_LEVEL", {"LOC", "PIX", "PXB", "PHB", "SYS"}, Layer::kProcess, {}}, overGdr},
      {{"NCCL_NET_GDR_READ", {"0", "1"}, Layer::kProcess, {}}, overGdr},
      {{"NCCL_DMABUF_ENABLE", {"0", "1"}, Layer::kProcess, {}}, overGdr},
      {{"NCCL_NET_GDR_C2C", {"0", "1"}, Layer::kProcess, {}}, overC2c},
  };
}

// Which devices: all of them, or each alone. "=" asks for the exact name.
void addHcas(const Platform& platform, Space& space) {
  if (!overRails(platform) || platform.hcas.size() < 2) return;
  Knob knob{"NCCL_IB_HCA", {}, Layer::kProcess, {}};
  std::string together;
  for (const std::string& hca : platform.hcas) together += (together.empty() ? "=" : ",") + hca;
  knob.values.push_back(together);
  for (const std::string& hca : platform.hcas) knob.values.push_back("=" + hca);
  space.knobs.push_back(std::move(knob));
}

// Algorithms and the collectives that NCCL has them for.
struct NcclAlgorithm {
  const char* name;
  bool (*matters)(const Platform&);
  std::vector<std::string> operations;
};

std::vector<NcclAlgorithm> ncclAlgorithms() {
  const auto nvls = [](const Platform& p) { return p.hasNvls; };
  const auto nvlsTree = [](const Platform& p) { return p.hasNvls && p.nodes > 1; };
  const auto collnet = [](const Platform& p) { return p.hasCollnet && p.nodes > 1; };
  const auto oneRankEach = [](const Platform& p) { return p.nodes > 1 && p.nodes == p.ranks; };
  return {{"tree", anywhere, {"allreduce"}},
          {"ring", anywhere, {"allreduce", "allgather", "reducescatter", "broadcast", "reduce"}},
          {"collnetdirect", collnet, {"allreduce", "allgather", "reducescatter"}},
          {"collnetchain", collnet, {"allreduce"}},
          {"nvls", nvls, {"allreduce", "allgather", "reducescatter"}},
          {"nvlstree", nvlsTree, {"allreduce"}},
          {"pat", oneRankEach, {"allgather", "reducescatter"}}};
}

// The table of the tuner plugin names algorithm and protocol in one row: neither goes alone.
void addNcclChoices(const Platform& platform, Space& space) {
  Knob algorithm{"algorithm", {}, Layer::kPerSize, {{{}, "protocol", {}}}};
  for (const NcclAlgorithm& one : ncclAlgorithms()) {
    if (!one.matters(platform)) continue;
    algorithm.values.emplace_back(one.name);
    space.reaches.push_back({"algorithm", one.name, one.operations});
    const bool anyProtocol =
        std::string_view(one.name) == "tree" || algorithm.values.back() == "ring";
    if (!anyProtocol) algorithm.needs.push_back({{one.name}, "protocol", {"simple"}});
  }
  Knob protocol{"protocol",
                {"ll", "ll128", "simple"},
                Layer::kPerSize,
                {{{}, "algorithm", {}}, {{"ll", "ll128"}, "algorithm", {"tree", "ring"}}}};
  Knob channels{"channels",
                {"1", "2", "4", "8", "16", "32"},
                Layer::kPerSize,
                {{{}, "algorithm", {"tree", "ring"}}}};  // takesChannels() of table.h
  space.knobs.push_back(std::move(algorithm));
  space.knobs.push_back(std::move(protocol));
  space.knobs.push_back(std::move(channels));
}

}  // namespace

Space ncclSpace(const Platform& platform) {
  Space space;
  addNcclChoices(platform, space);
  addHcas(platform, space);
  for (Entry& entry : ncclEnvironment()) {
    if (entry.matters(platform)) space.knobs.push_back(std::move(entry.knob));
  }
  if (overSockets(platform)) {
    constexpr std::uint64_t kMostSockets = 64;  // NCCL's own limit for one connection
    space.products.push_back({"NCCL_SOCKET_NTHREADS", "NCCL_NSOCKS_PERTHREAD", kMostSockets});
  }
  space.orders = {{"NCCL_MIN_CTAS", "NCCL_MAX_CTAS"}, {"channels", "NCCL_MAX_CTAS"}};
  return space;
}

Space hostSpace(const Platform& platform) {
  Space space;
  space.knobs.push_back({"algorithm", {"ring", "direct"}, Layer::kPerSize, {}});
  std::vector<std::string> transports{"tcp"};
  if (!platform.overSockets) transports.emplace_back("verbs");
  space.knobs.push_back({"transport", std::move(transports), Layer::kProcess, {}});
  Knob rails{"rails", {}, Layer::kProcess, {}};
  for (int count = 1; count <= platform.rails; ++count)
    rails.values.push_back(std::to_string(count));
  space.knobs.push_back(std::move(rails));
  space.knobs.push_back(
      {"segment", {"65536", "262144", "1048576", "4194304"}, Layer::kProcess, {}});
  return space;
}

std::vector<std::string> environmentValues(std::string_view name) {
  for (Entry& entry : ncclEnvironment()) {
    if (entry.knob.name == name) return std::move(entry.knob.values);
  }
  Platform widest;
  widest.rails = kMostRails;
  const Space host = hostSpace(widest);
  const Knob* knob = host.find(name);
  return knob != nullptr && knob->layer == Layer::kProcess ? knob->values
                                                           : std::vector<std::string>();
}

bool isEnvironmentKnob(std::string_view name) {
  if (name == "NCCL_IB_HCA") return true;
  const auto entries = ncclEnvironment();
  if (std::any_of(entries.begin(), entries.end(),
                  [&](const Entry& entry) { return entry.knob.name == name; })) {
    return true;
  }
  const Space host = hostSpace({});
  const Knob* knob = host.find(name);
  return knob != nullptr && knob->layer == Layer::kProcess;
}

}  // namespace railhead::tune
