#include "src/agent/delivery/fabric.h"

#include "tests/support/tuned_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Two twins with two rail sets, and a PF without any.
struct TwoTwins {
  TwoTwins() {
    for (const int domain : {0, 2, 4}) {
      discover::Pf pf;
      pf.pci = PciAddress{static_cast<std::uint32_t>(domain), 1, 0, 0};
      pf.vendor = 0x15b3;
      pf.device = domain == 4 ? 0x1017 : 0x1021;
      pf.mtu = domain == 4 ? 1500 : 9000;
      pf.speed = *BitRate::parse("200 Gb/s");
      for (int index = 0; index < 2; ++index) {
        discover::Vf vf;
        vf.vendor = 0x15b3;
        vf.device = 0x101e;
        vf.index = index;
        vf.mtu = 9000;
        pf.vfs.push_back(vf);
      }
      node.pfs.push_back(pf);
    }
    for (int index = 0; index < 2; ++index) {
      discover::RailSet set;
      set.rails = {{node.pfs[0].pci, {}, index, 0}, {node.pfs[1].pci, {}, index, 1}};
      rails.offered.push_back(set);
    }
  }
  SeenFabric seen() const { return seenFabric({node, node, rails}); }
  // Empty: it is of this fabric.
  std::string complaint(const tune::Profile& profile) const {
    const auto here = belongsHere(profile, seen());
    return here.has_value() ? std::string() : here.error().message;
  }

  discover::Node node;
  discover::RailSets rails;
};

tune::Profile withNics(std::vector<std::string> nics, std::vector<std::string> links) {
  auto profile = testing_support::tunedProfile();
  profile.fabric.nics = std::move(nics);
  profile.fabric.links = std::move(links);
  return profile;
}

TEST(SeenFabric, IsThatOfTheRailSetsEachKindOnce) {
  TwoTwins twins;
  const SeenRail rail{"15b3:101e", "15b3:1021", "200 Gb/s", 9000, 9000};
  EXPECT_THAT(twins.seen().sets, ElementsAre(ElementsAre(rail, rail)));
  twins.rails.offered.clear();
  EXPECT_THAT(twins.seen().sets, IsEmpty());
}

TEST(SeenFabric, RanksInContainersSeeVfsAndRanksOnTheNodePfs) {
  const TwoTwins twins;
  const std::string rate = "200 Gb/s";
  EXPECT_EQ(twins.complaint(withNics({"15b3:1021", "15b3:1021"}, {rate, rate})), "");
  EXPECT_EQ(twins.complaint(withNics({"15b3:101e", "15b3:101e"}, {rate, rate})), "");
  const std::vector<std::string> two(4, "15b3:101e");
  EXPECT_EQ(twins.complaint(withNics(two, {rate, rate, rate, rate})), "") << "two rail sets";
}

TEST(SeenFabric, WhatIsNotKnownDiffersFromNothing) {
  TwoTwins twins;
  EXPECT_EQ(twins.complaint(withNics({}, {})), "") << "tuned over sockets";
  EXPECT_EQ(twins.complaint(withNics({"soft-roce", "soft-roce"}, {"unknown", "unknown"})), "");
  twins.node.pfs[1].speed.reset();  // down
  EXPECT_EQ(twins.complaint(testing_support::tunedProfile()), "");
  for (auto& pf : twins.node.pfs) {
    for (auto& vf : pf.vfs) vf.mtu = 0;  // in a pod
  }
  EXPECT_EQ(twins.complaint(testing_support::tunedProfile()), "");
}

TEST(SeenFabric, TheFieldThatDiffersIsNamedWithBothValues) {
  const auto profile = testing_support::tunedProfile();
  TwoTwins mtu;
  mtu.node.pfs[1].mtu = 1500;
  for (auto& vf : mtu.node.pfs[1].vfs) vf.mtu = 1500;
  EXPECT_THAT(mtu.complaint(profile), HasSubstr("mtu is '1500' here and '9000' in the profile"));
  TwoTwins link;
  link.node.pfs[0].speed = *BitRate::parse("100 Gb/s");
  EXPECT_THAT(link.complaint(profile), HasSubstr("links is '100 Gb/s, 200 Gb/s' here"));
  TwoTwins single;
  for (auto& set : single.rails.offered) set.rails.pop_back();
  EXPECT_THAT(single.complaint(withNics({"15b3:1017"}, {"200 Gb/s"})),
              HasSubstr("nics is '15b3:101e' here and '15b3:1017' in the profile"));
  EXPECT_THAT(TwoTwins().complaint(withNics({"15b3:101e"}, {"200 Gb/s"})),
              HasSubstr("nics is '15b3:101e, 15b3:101e' here and '15b3:101e'"))
      << "one rail of two";
}

}  // namespace
}  // namespace railhead::agent
