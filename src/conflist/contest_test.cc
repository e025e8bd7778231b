#include "src/conflist/contest.h"

#include <gtest/gtest.h>

namespace railhead::conflist {
namespace {

using std::chrono::seconds;

TEST(Contest, PausesGrowOnceItIsOne) {
  Contest contest;
  Contest::TimePoint now{seconds(1000)};
  for (int i = 0; i < Contest::kTolerated; ++i) {
    contest.put(now);
    contest.lost(now += std::chrono::milliseconds(20));
    EXPECT_FALSE(contest.until()) << i;
  }
  for (const int pause : {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}) {
    contest.put(now);
    EXPECT_FALSE(contest.until());
    contest.lost(now += std::chrono::milliseconds(20));
    ASSERT_TRUE(contest.until());
    EXPECT_EQ(*contest.until() - now, seconds(pause));
    now = *contest.until();
  }
  // What stood for a minute is no contest any more.
  contest.put(now);
  contest.lost(now += Contest::kStands);
  EXPECT_FALSE(contest.until());
  EXPECT_EQ(contest.losses(), 1);
}

TEST(Contest, WhatIsNotThereCannotBeLost) {
  Contest contest;
  contest.lost(Contest::TimePoint(seconds(1)));
  EXPECT_EQ(contest.losses(), 0);
  contest.put(Contest::TimePoint(seconds(2)));
  contest.given();
  EXPECT_FALSE(contest.stands());
}

}  // namespace
}  // namespace railhead::conflist
