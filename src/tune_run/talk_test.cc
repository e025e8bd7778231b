#include "src/tune_run/talk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

using testing::HasSubstr;

TEST(Talk, AnOrderComesBackAsItWas) {
  const Order order{7,
                    Setting().with("algorithm", "ring").with("protocol", "ll"),
                    {{"allreduce", 1024, false}, {"reducescatter", 4096, true}},
                    5,
                    {0, 37}};
  const std::string line = encode(order);
  EXPECT_EQ(line.back(), '\n');
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const Order back = decodeOrder(line).value();
  EXPECT_EQ(back.number, 7U);
  EXPECT_EQ(back.choice, order.choice);
  EXPECT_EQ(back.sizes, order.sizes);
  EXPECT_EQ(back.repetitions, 5);
  EXPECT_EQ(back.units, order.units);
  EXPECT_FALSE(back.choosesWork(0));
  EXPECT_FALSE(back.choosesWork(1));
}

TEST(Talk, AnOverlappedSizeWithoutWorkWantsItChosen) {
  const Order order = decodeOrder(encode(Order{1, {}, {{"allreduce", 64, true}}, 1})).value();
  EXPECT_TRUE(order.choosesWork(0));
  const auto reply = decodeReply(encode(WorkReply{1, 0, {37, 0.5, 0.25, 0.625}})).value();
  ASSERT_TRUE(reply.work.has_value());
  EXPECT_FALSE(reply.times.has_value());
  EXPECT_EQ(reply.work->work, (bench::OverlapWork{37, 0.5, 0.25, 0.625}));
  EXPECT_FALSE(decodeReply(encode(WorkReply{1, 0, {0, 0.5, 0.25, 0.625}})).has_value());
  EXPECT_FALSE(decodeReply(R"({"order":1,"size":0,"units":1,"seconds":[1]})").has_value());
}

TEST(Talk, OrdersOutOfBoundsAreRefused) {
  const auto with = [](const std::string& sizes, const std::string& repetitions) {
    return decodeOrder(R"({"order":1,"choice":"default","sizes":)" + sizes + R"(,"repetitions":)" +
                       repetitions + "}");
  };
  EXPECT_TRUE(with("[]", "1").has_value());
  EXPECT_FALSE(with("[]", "0").has_value());
  EXPECT_FALSE(with("[]", "101").has_value());
  EXPECT_FALSE(with("[7]", "1").has_value());
  const auto one = [&](const std::string& operation, const std::string& bytes,
                       const std::string& units) {
    return with(R"([{"operation":")" + operation + R"(","bytes":)" + bytes +
                    R"(,"overlapped":true,"units":)" + units + "}]",
                "1");
  };
  EXPECT_TRUE(one("allreduce", "1", "0").has_value());
  EXPECT_FALSE(one("rm -rf", "1", "0").has_value());
  EXPECT_FALSE(one("allreduce", "-1", "0").has_value());
  EXPECT_FALSE(one("allreduce", "18446744073709551615", "0").has_value());
  EXPECT_FALSE(one("allreduce", "1", "18446744073709551615").has_value());
  EXPECT_FALSE(decodeOrder("").has_value());
}

TEST(Talk, TheLongestTimesFitALineOfAGang) {
  const TimesReply reply{1, 255, std::vector<double>(kMaxOrderRepetitions, 0.0012345678901234567)};
  const std::string line = encode(reply);
  EXPECT_LT(line.size() + kReplyMark.size(), std::size_t{4096});
  EXPECT_EQ(decodeReply(line).value().times->seconds, reply.seconds);
}

TEST(Talk, AFailureKeepsItsOutcomeAndABoundedDetail) {
  const auto reply =
      decodeReply(encode(FailedReply{Outcome::kHung, std::string(9000, 'x')})).value();
  EXPECT_EQ(reply.failed->outcome, Outcome::kHung);
  EXPECT_EQ(reply.failed->detail.size(), 1000U);
  EXPECT_FALSE(decodeReply(R"({"failed":"measured","detail":""})").has_value());
}

TEST(Talk, ASettingIsItsTwoLayers) {
  const Layers layers = layersOf(
      Setting().with("algorithm", "ring").with("channels", "2").with("NCCL_NTHREADS", "64"));
  EXPECT_EQ(layers.process.text(), "NCCL_NTHREADS=64");
  EXPECT_EQ(layers.choice.text(), "algorithm=ring channels=2");
}

TEST(Talk, OperationsHaveTheNamesOfTheTable) {
  EXPECT_EQ(sizeOperation(collective::Operation::kReduceScatter), "reducescatter");
  for (const auto operation : collective::allOperations())
    EXPECT_EQ(parseSizeOperation(sizeOperation(operation)).value(), operation);
  EXPECT_FALSE(parseSizeOperation("all_reduce").has_value());
}

}  // namespace
}  // namespace railhead::tune
