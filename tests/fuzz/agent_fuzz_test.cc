// Throws mutated input at what the agent reads: its configuration, kubelet's requests, sysfs, the
// kernel's events.
#include "src/advertise/gpu_resource.h"
#include "src/advertise/rail_resource.h"
#include "src/agent/config.h"
#include "src/discover/discover.h"
#include "src/netlink/events.h"
#include "tests/fuzz/mutate.h"
#include "tests/support/memory_filesystem.h"
#include "tests/support/tree.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using testing_support::fuzz;
using testing_support::mutated;

constexpr std::size_t kMaxMessage = 4096;

TEST(AgentFuzz, Configuration) {
  const std::vector<std::string> seeds{
      "version: 1\nprovision: {pfs: [{select: {name: eth0}, vfs: 4}]}\ntwins: [[a, b]]\n"
      "resources: [{name: nvidia.com/x, select: {pfNames: ['a#0-3,6'], twin: 1}, cdi: true}]\n",
      "version: 1\ngpus: {replicas: 2, strategy: cdi, mig: mixed}\nmetrics: {listen: "
      "'127.0.0.1:9477'}\n",
      R"({"resourceList": [{"resourceName": "x", "resourcePrefix": "a.b", "selectors":)"
      R"( [{"vendors": ["15b3"], "rootDevices": ["0000:01:00.0#1-2"], "isRdma": true}]}]})"};
  for (const auto& seed : seeds) {
    const auto config = parseConfig(seed, "fuzz");
    ASSERT_TRUE(config.has_value()) << config.error().message;
  }
  fuzz(
      seeds,
      [](const std::string& text) {
        const auto config = parseConfig(text, "fuzz");
        if (config.has_value()) return;
        EXPECT_FALSE(config.error().message.empty());
        EXPECT_LE(config.error().message.size(), kMaxMessage);
      },
      1500);
}

// Whatever kubelet asks: an answer about known devices, or an error.
template <typename Resource>
void fuzzRequests(Resource& resource, const std::vector<std::string>& known) {
  fuzz(known, [&](const std::string& id) {
    const bool sound = std::find(known.begin(), known.end(), id) != known.end();
    const auto answer = resource.allocate({known[0], id, id});
    EXPECT_TRUE(answer.has_value() || !sound) << id;
    std::vector<std::string> available = known;
    available.push_back(id);
    const auto preferred = resource.preferred(available, {id, known[1]}, id.size() % 5);
    if (preferred.has_value()) {
      EXPECT_LE(preferred->size(), known.size() + 3);
    }
  });
}

TEST(AgentFuzz, RailRequests) {
  advertise::Inventory inventory;
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) {
    advertise::InventorySet set;
    set.index = i;
    set.id = "0000:01:00." + std::to_string(i) + "+0002:01:00." + std::to_string(i);
    advertise::InventoryRail rail;
    rail.rail.vfIndex = i;
    rail.rdma.push_back({"roce" + std::to_string(i), "uverbs" + std::to_string(i), {}, "ACTIVE"});
    set.rails.push_back(rail);
    ids.push_back(set.id);
    inventory.sets.push_back(std::move(set));
  }
  advertise::RailResource resource({.name = "nvidia.com/x"}, "/dev");
  resource.update(inventory);
  fuzzRequests(resource, ids);
}

TEST(AgentFuzz, GpuRequests) {
  for (const unsigned replicas : {1U, 2U}) {
    advertise::GpuResourceConfig config;
    config.replicas = replicas;
    advertise::GpuPool pool{"nvidia.com/gpu", {}};
    for (const char* uuid : {"GPU-a", "GPU-b", "GPU-c"})
      pool.units.push_back({uuid, uuid, "0", "", std::nullopt, {"/dev/nvidia0"}, ""});
    advertise::GpuResource resource("nvidia.com/gpu", "/dev");
    resource.update(config, pool, {}, {});
    std::vector<std::string> ids;
    for (const auto& device : resource.devices()) ids.push_back(device.id);
    fuzzRequests(resource, ids);
  }
}

TEST(AgentFuzz, Sysfs) {
  const auto tree = testing_support::readTree("spark_vfs");
  ASSERT_TRUE(tree.has_value()) << tree.error().describe();
  testing_support::MemoryFilesystem files;
  SplitMix random(20240608);
  for (int round = 0; round < 60; ++round) {
    testing_support::putTree(*tree, files);
    for (int i = 0; i < 20; ++i) {
      const auto& entry = (*tree)[random.next() % tree->size()];
      if (!entry.isLink) files.put(entry.path, mutated(entry.content, random));
    }
    const auto node = discover::discoverNode(files, {});
    if (!node.has_value()) continue;
    for (const auto& pf : node->pfs) EXPECT_LE(pf.vfs.size(), 65536U);
  }
}

TEST(AgentFuzz, KernelEvents) {
  constexpr char kUevent[] =
      "bind@/devices/pci0/0000:01:10.0\0ACTION=bind\0DEVPATH=/devices/pci0/0000:01:10.0\0"
      "SUBSYSTEM=pci";
  constexpr char kName[] = "\x0b\0\x03\0enp1s0\0";  // IFLA_IFNAME, after an ifinfomsg of zeros
  const std::string uevent(kUevent, sizeof kUevent);
  const std::string link = std::string(16, '\0') + std::string(kName, sizeof kName);
  const auto tell = [](const std::string& text, bool isLink) {
    const std::vector<std::uint8_t> bytes(text.begin(), text.end());
    if (isLink) return netlink::tellLink(false, bytes);
    auto told = netlink::tellUevent(bytes);
    return told ? std::optional<std::string>(std::move(told->what)) : std::nullopt;
  };
  ASSERT_EQ(tell(uevent, false), "pci 0000:01:10.0: bind");
  ASSERT_TRUE(tell(link, true).has_value());
  for (const bool isLink : {false, true}) {
    int told = 0;
    fuzz({isLink ? link : uevent}, [&](const std::string& text) {
      const auto news = tell(text, isLink);
      told += news.has_value() ? 1 : 0;
      EXPECT_LE(news.value_or("").size(), 160U);
    });
    EXPECT_GT(told, 0);
  }
}

}  // namespace
}  // namespace railhead::agent
