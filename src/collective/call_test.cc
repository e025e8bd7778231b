#include "src/collective/call.h"

#include "src/collective/pattern.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::collective {
namespace {

using testing::HasSubstr;

TEST(Names, AreReadBackAndListedWhenWrong) {
  for (const Operation operation : allOperations()) {
    EXPECT_EQ(parseOperation(operationName(operation)).value(), operation);
  }
  for (const ElementType type : allElementTypes()) {
    EXPECT_EQ(parseElementType(elementTypeName(type)).value(), type);
  }
  EXPECT_THAT(parseOperation("allreduce").error().message,
              HasSubstr("'allreduce': expected one of all_reduce, all_gather"));
  EXPECT_THAT(parseElementType("half").error().message, HasSubstr("float16, bfloat16"));
}

TEST(ShapeOf, SharesTheLargerBufferOut) {
  const Call gather{Operation::kAllGather, ElementType::kFloat32, 12, 0, false};
  EXPECT_EQ(shapeOf(gather, 2, 4)->sendCount, 3U);
  EXPECT_EQ(shapeOf(gather, 2, 4)->receiveCount, 12U);
  EXPECT_EQ(shapeOf(gather, 2, 4)->inPlaceOffset, 6U);
  const Call scatter{Operation::kReduceScatter, ElementType::kFloat32, 12, 0, false};
  EXPECT_EQ(shapeOf(scatter, 3, 4)->sendCount, 12U);
  EXPECT_EQ(shapeOf(scatter, 3, 4)->receiveCount, 3U);
  const Call reduce{Operation::kAllReduce, ElementType::kFloat32, 7, 0, true};
  EXPECT_EQ(shapeOf(reduce, 1, 4)->sendCount, 7U);
}

TEST(ShapeOf, RefusesWhatNoRankCouldCall) {
  struct Case {
    Call call;
    const char* why;
  };
  const Case cases[] = {
      {{Operation::kAllReduce, ElementType::kInt8, 0, 0, false}, "at least 1"},
      {{Operation::kBroadcast, ElementType::kInt8, 8, 4, false}, "from 0 to 3"},
      {{Operation::kAllGather, ElementType::kInt8, 7, 0, false}, "a multiple"},
      {{Operation::kAllToAll, ElementType::kInt8, 8, 0, true}, "in place"},
  };
  for (const Case& wrong : cases) {
    const auto shape = shapeOf(wrong.call, 0, 4);
    ASSERT_FALSE(shape.has_value()) << wrong.why;
    EXPECT_EQ(shape.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(shape.error().message, HasSubstr(wrong.why));
  }
}

TEST(BusFactor, IsThatOfNcclTests) {
  EXPECT_DOUBLE_EQ(busFactor(Operation::kAllReduce, 2), 1.0);
  EXPECT_DOUBLE_EQ(busFactor(Operation::kAllReduce, 8), 1.75);
  EXPECT_DOUBLE_EQ(busFactor(Operation::kAllGather, 2), 0.5);
  EXPECT_DOUBLE_EQ(busFactor(Operation::kReduceScatter, 8), 0.875);
  EXPECT_DOUBLE_EQ(busFactor(Operation::kBroadcast, 8), 1.0);
}

TEST(PatternNumbers, AddUpToWhatEveryTypeHoldsExactly) {
  for (const int ranks : {1, 2, 3, 8, 63, 64, 65, 127, 128, 1000, 4096}) {
    EXPECT_LE(numberMask(ranks) * static_cast<std::uint32_t>(contributors(ranks)), 127U) << ranks;
    std::set<std::uint32_t> sums;
    for (std::uint32_t index = 0; index < 200; ++index) {
      sums.insert(patternSum(1, ranks, index));
    }
    EXPECT_LE(*sums.rbegin(), 127U) << ranks;
    EXPECT_GT(sums.size(), 1U) << ranks << ": a constant would hide what moved";
  }
}

TEST(PatternWords, DifferByRankSeedAndIndex) {
  std::set<std::uint32_t> words;
  for (int rank = 0; rank < 4; ++rank) {
    for (std::uint32_t seed = 0; seed < 4; ++seed) {
      for (std::uint32_t index = 0; index < 64; ++index)
        words.insert(patternWord(seed, rank, index));
    }
  }
  EXPECT_EQ(words.size(), 4U * 4 * 64);
}

}  // namespace
}  // namespace railhead::collective
