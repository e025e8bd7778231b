#include "src/cni/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::cni {
namespace {

using testing::HasSubstr;

TEST(Protocol, CallsAndRepliesComeBackAsTheyWere) {
  const Call call{"ADD",
                  {{"CNI_IFNAME", "eth0"}},
                  "{\"x\":\"\\u00e9 \\\" \n\"}",
                  std::chrono::milliseconds(60'000)};
  const auto decoded = decodeCall(encodeCall(call));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->command, call.command);
  EXPECT_EQ(decoded->environment, call.environment);
  EXPECT_EQ(decoded->input, call.input);
  EXPECT_EQ(decoded->patience, call.patience);
  EXPECT_EQ(decodeCall(encodeCall({"ADD", {}, ""}))->patience, std::nullopt);
  const auto reply = decodeReply(encodeReply({1, "text"}));
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->exitCode, 1);
  EXPECT_EQ(reply->output, "text");
}

TEST(Protocol, RefusesFramesOfAnotherForm) {
  for (const char* bad : {"", "[]", "{\"env\":[]}", "{\"env\":{\"a\":1}}", "{\"stdin\":{}}",
                          "{\"patienceMs\":-1}", "{\"patienceMs\":\"1\"}",
                          "{\"patienceMs\":600001}", "{\"command\":\"0123456789abcdefg\"}"}) {
    EXPECT_FALSE(decodeCall(bad).has_value()) << bad;
  }
  for (const char* bad :
       {"", "{}", "{\"exitCode\":2}", "{\"exitCode\":\"0\"}", "{\"exitCode\":0,\"stdout\":[]}"}) {
    EXPECT_FALSE(decodeReply(bad).has_value()) << bad;
  }
}

TEST(Protocol, CallsPluginsInVersionsThatTheyKnow) {
  struct Case {
    const char* said;
    const char* called;  // empty: refused
    bool check;
  };
  for (const Case& one :
       {Case{"", "0.3.1", false}, Case{"0.1.0", "0.3.1", false}, Case{"0.2.0", "0.3.1", false},
        Case{"0.3.0", "0.3.0", false}, Case{"0.3.1", "0.3.1", false}, Case{"0.4.0", "0.4.0", true},
        Case{"1.0.0", "1.0.0", true}, Case{"1.1.0", "1.1.0", true}, Case{"0.0.1", "", false},
        Case{"0.3", "", false}, Case{"1.2.0", "", false}, Case{"x", "", false}}) {
    const auto called = pluginVersion(one.said);
    EXPECT_EQ(called.value_or(""), one.called) << one.said;
    EXPECT_EQ(called && hasCheck(*called), one.check) << one.said;
  }
}

TEST(Protocol, EveryErrorClassHasACodeTheSpecificationAllows) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::kInternal); ++i) {
    const int code = codeFor(static_cast<ErrorCode>(i));
    const bool wellKnown = code >= 1 && code <= 11;
    EXPECT_TRUE(wellKnown || (code >= 100 && code <= 199)) << code;
    EXPECT_NE(code, 3) << "3 tells the runtime that DEL is not needed";
  }
  EXPECT_EQ(codeFor(ErrorCode::kBusy), kTryAgain);
  EXPECT_EQ(codeFor(ErrorCode::kUnavailable), kTryAgain);
}

TEST(Protocol, EncodesTheErrorObject) {
  EXPECT_EQ(encodeError({7, "bad", "do this"}, "0.4.0"),
            R"({"cniVersion":"0.4.0","code":7,"msg":"bad","details":"do this"})");
  EXPECT_EQ(encodeError({11, "bad", ""}, "77"), R"({"cniVersion":"1.1.0","code":11,"msg":"bad"})");
  // Bytes that are no UTF-8 must not end the process.
  EXPECT_THAT(encodeError({7, "\xff", ""}, ""), HasSubstr("\"msg\":\"\xef\xbf\xbd\""));
}

}  // namespace
}  // namespace railhead::cni
