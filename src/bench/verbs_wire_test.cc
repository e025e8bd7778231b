#include "src/bench/verbs_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::bench {
namespace {

using testing::HasSubstr;

RailOffer rail() {
  RailOffer out;
  out.device = "rxe0";
  out.netdev = "net1";
  out.gid = verbs::Gid::fromIp(IpAddress::parse("10.100.0.5").value());
  out.prefixLength = 24;
  out.mtu = 1024;
  out.address = 0x7fff'0000'1000;
  out.key = 0x1234;
  out.memory = TransferMemory::kCudaDmabuf;
  out.readsInFlight = 16;
  out.sourceAddress = 0x7fff'0010'0000;
  out.sourceKey = 0x5678;
  out.bytes = 1 << 20;
  out.pairs = {{17, 0xabcdef}, {18, 1}};
  return out;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from << " in " << text;
  return text.replace(at, from.size(), to);
}

TEST(VerbsWire, HelloGoesThereAndBack) {
  VerbsPlan plan;
  plan.messageBytes = 4096;
  plan.outstanding = 7;
  plan.operation = VerbsOperation::kSend;
  plan.rateBytes = 16;
  plan.sizes = {8, 4096};
  plan.seed = ~std::uint64_t{0};
  const Hello back = decodeHello(encode(Hello{plan, {rail()}})).value();
  EXPECT_EQ(back.plan.messageBytes, 4096U);
  EXPECT_EQ(back.plan.outstanding, 7);
  EXPECT_EQ(back.plan.operation, VerbsOperation::kSend);
  EXPECT_EQ(back.plan.rateBytes, 16U);
  EXPECT_EQ(back.plan.sizes, (std::vector<std::size_t>{8, 4096}));
  EXPECT_EQ(back.plan.seed, ~std::uint64_t{0});
  ASSERT_EQ(back.rails.size(), 1U);
  EXPECT_EQ(back.rails[0].gid, rail().gid);
  EXPECT_EQ(back.rails[0].address, rail().address);
  EXPECT_EQ(back.rails[0].memory, TransferMemory::kCudaDmabuf);
  EXPECT_EQ(back.rails[0].readsInFlight, 16);
  EXPECT_EQ(back.rails[0].sourceAddress, rail().sourceAddress);
  EXPECT_EQ(back.rails[0].sourceKey, 0x5678U);
  ASSERT_EQ(back.rails[0].pairs.size(), 2U);
  EXPECT_EQ(back.rails[0].pairs[0].psn, 0xabcdefU);
}

TEST(VerbsWire, EveryFieldIsBounded) {
  const std::string good = encode(Hello{{}, {rail()}});
  struct Row {
    const char* from;
    const char* to;
    const char* field;
  };
  for (const Row& row :
       {Row{"\"mtu\":1024", "\"mtu\":9000", "mtu"}, Row{"\"mtu\":1024", "\"mtu\":-1", "mtu"},
        Row{"\"mtu\":1024", "\"mtu\":\"x\"", "mtu"}, Row{"\"mtu\":1024,", "", "mtu"},
        Row{"\"qpn\":17", "\"qpn\":16777216", "qpn"}, Row{"\"rkey\":4660", "\"rkey\":1e99", "rkey"},
        Row{"\"prefix\":24", "\"prefix\":129", "prefix"},
        Row{"\"device\":\"rxe0\"", "\"device\":\"\\u001b[2J\"", "device"},
        Row{"\"gid\":\"0000", "\"gid\":\"zzzz", "GID"},
        Row{"\"memory\":\"cuda-dmabuf\"", "\"memory\":\"disk\"", "memory"},
        Row{"\"reads\":16", "\"reads\":0", "reads"}, Row{"\"reads\":16", "\"reads\":256", "reads"},
        Row{"\"operation\":\"write\"", "\"operation\":\"erase\"", "operation"},
        Row{"\"sizes\":[]", "\"sizes\":[-8]", "sizes"},
        Row{"\"sizes\":[]", "\"sizes\":[4]", "--sizes 4 B"},
        Row{"\"rate_outstanding\":256", "\"rate_outstanding\":0", "rate_outstanding"},
        Row{"\"outstanding\":16", "\"outstanding\":100000", "--outstanding 100000"},
        Row{"\"message_bytes\":65536", "\"message_bytes\":67108865", "message_bytes"},
        Row{"\"seconds\":3.0", "\"seconds\":1e9", "--seconds 1000000000"}}) {
    const auto result = decodeHello(replaced(good, row.from, row.to));
    ASSERT_FALSE(result.has_value()) << row.to;
    EXPECT_THAT(result.error().message, HasSubstr(row.field)) << row.to;
  }
}

TEST(VerbsWire, GarbageIsAnErrorNotACrash) {
  for (const std::string& text : std::vector<std::string>{
           std::string(), std::string("null"), std::string("[]"), std::string("{\"rails\":"),
           std::string("\xff\xfe{"), std::string("{\"rails\":[1],\"plan\":2}"),
           std::string("{\"rails\":1e999}"), std::string(5000, '[')}) {
    EXPECT_FALSE(decodeHello(text).has_value());
    EXPECT_FALSE(decodeWelcome(text).has_value());
    EXPECT_FALSE(decodeCommand(text).has_value());
  }
  EXPECT_FALSE(decodeReply("{\"error\":7}").has_value());
  EXPECT_FALSE(decodeReply("{\"mismatch\":{\"offset\":1}}").has_value());
}

TEST(VerbsWire, RefusalBecomesTheErrorItWas) {
  const auto result =
      decodeWelcome(encodeRefusal(Error(ErrorCode::kCheckFailed, "2 rails against 1", "add one")));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kCheckFailed);
  EXPECT_EQ(result.error().message, "the peer refused: 2 rails against 1");
  EXPECT_EQ(result.error().remedy, "add one");
}

TEST(VerbsWire, CommandsAndRepliesGoThereAndBack) {
  const Command command{CommandKind::kVerify, 1, 42, 4096, 16, ""};
  const Command back = decodeCommand(encode(command)).value();
  EXPECT_EQ(back.kind, CommandKind::kVerify);
  EXPECT_EQ(back.rail, 1U);
  EXPECT_EQ(back.seed, 42U);
  EXPECT_EQ(back.load().bytes(), 65536U);
  EXPECT_FALSE(decodeCommand("{\"do\":\"reboot\",\"rail\":0}").has_value());
  Reply reply;
  reply.mismatch = Mismatch{12, 1, 2, 3};
  EXPECT_EQ(decodeReply(encode(reply)).value().mismatch->offset, 12U);
  EXPECT_FALSE(decodeReply(encode(Reply{})).value().mismatch.has_value());
  reply.error = Error(ErrorCode::kUnavailable, "gone");
  EXPECT_EQ(decodeReply(encode(reply)).value().error->code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace railhead::bench
