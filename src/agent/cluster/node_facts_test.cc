#include "src/agent/cluster/node_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

TEST(NodeFacts, CountDevicesAndTellTheirHealth) {
  OfferStatus offer;
  offer.resource = "nvidia.com/cx7_qsfp";
  offer.inventory.sets.resize(3);
  offer.inventory.sets[0].rails.resize(2);
  offer.inventory.sets[1].id = "a+b";
  offer.inventory.sets[1].unhealthy = "no carrier";
  OfferStatus none;
  none.resource = "nvidia.com/none";
  GpuStatus gpus;
  gpus.resources.resize(1);
  gpus.resources[0].resource = "nvidia.com/gpu";
  gpus.resources[0].devices.resize(1);
  gpus.resources[0].devices[0].unit.uuid = "GPU-1";
  gpus.resources[0].devices[0].reason = "Xid 79";

  EXPECT_THAT(nodeLabels({offer, none}, {{"nvidia.com/gpu.count", "1"}}),
              UnorderedElementsAre(Pair("railhead.io/cx7_qsfp.count", "3"),
                                   Pair("railhead.io/cx7_qsfp.rails", "2"),
                                   Pair("nvidia.com/gpu.count", "1")));
  const auto health = deviceHealth({offer, none}, gpus);
  ASSERT_THAT(health, SizeIs(4));
  EXPECT_EQ(health[1].id + ": " + health[1].unhealthy, "a+b: no carrier");
  EXPECT_EQ(health[3].resource + " " + health[3].id + ": " + health[3].unhealthy,
            "nvidia.com/gpu GPU-1: Xid 79");
}

}  // namespace
}  // namespace railhead::agent
