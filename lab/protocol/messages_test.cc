#include "lab/protocol/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

using testing::HasSubstr;

TEST(ExecRequestTest, RoundTrip) {
  const ExecRequest request{{"sh", "-c", "echo \"a b\"\n"}, {{"X", "1"}, {"Y", ""}}, "/tmp"};
  const auto parsed = ExecRequest::parse(request.encode());
  ASSERT_TRUE(parsed.has_value()) << parsed.error().describe();
  EXPECT_EQ(*parsed, request);
}

TEST(ExecRequestTest, EnvironmentAndFolderAreOptional) {
  const auto parsed = ExecRequest::parse(R"({"argv":["true"]})");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->cwd, "/");
  EXPECT_TRUE(parsed->env.empty());
}

struct BadCase {
  const char* json;
  const char* says;
};

TEST(ExecRequestTest, BadInputNamesTheFieldItsValueAndWhatIsAllowed) {
  const BadCase cases[] = {
      {"", "no JSON object"},
      {"[1]", "no JSON object"},
      {R"({"argv":["a"],"tty":true})", "unknown field 'tty'; allowed are 'argv', 'env', 'cwd'"},
      {"{}", "field 'argv' is 'null'; allowed is a list with a program name"},
      {R"({"argv":[]})", "field 'argv' is '[]'"},
      {R"({"argv":[""]})", "a list with a program name"},
      {R"({"argv":["a",1]})", "field 'argv' is '1'; allowed is text"},
      {R"({"argv":["a\u0000b"]})", "text without NUL"},
      {R"({"argv":["a"],"env":[]})", "field 'env' is '[]'"},
      {R"({"argv":["a"],"env":{"A=B":"c"}})", "a name without '='"},
      {R"({"argv":["a"],"env":{"A":5}})", "field 'env.A' is '5'"},
      {R"({"argv":["a"],"cwd":"tmp"})", "an absolute path"},
  };
  for (const BadCase& bad : cases) {
    const auto parsed = ExecRequest::parse(bad.json);
    ASSERT_FALSE(parsed.has_value()) << bad.json;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(parsed.error().message, HasSubstr(bad.says)) << bad.json;
  }
}

TEST(SignalRequestTest, RoundTripAndRange) {
  EXPECT_EQ(SignalRequest::parse(SignalRequest{9}.encode()).value().signal, 9);
  for (const char* bad : {R"({"signal":0})", R"({"signal":65})", R"({"signal":"TERM"})", "{}"}) {
    const auto parsed = SignalRequest::parse(bad);
    ASSERT_FALSE(parsed.has_value()) << bad;
    EXPECT_THAT(parsed.error().message, HasSubstr("a whole number from 1 to 64"));
  }
}

TEST(ReadyMessageTest, RoundTrip) {
  const auto parsed = ReadyMessage::parse(ReadyMessage{"spark-a", "7.3.4+deb13", 4.25}.encode());
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->node, "spark-a");
  EXPECT_EQ(parsed->kernel, "7.3.4+deb13");
  EXPECT_DOUBLE_EQ(parsed->bootSeconds, 4.25);
}

TEST(ReadyMessageTest, MissingOrNegativeTimeIsRefused) {
  EXPECT_FALSE(ReadyMessage::parse(R"({"node":"a","kernel":"7"})").has_value());
  EXPECT_FALSE(ReadyMessage::parse(R"({"node":"a","kernel":"7","boot_seconds":-1})").has_value());
  EXPECT_FALSE(ReadyMessage::parse(R"({"node":1,"kernel":"7","boot_seconds":1})").has_value());
}

TEST(ExitMessageTest, CodeAndSignalAndShellCode) {
  EXPECT_EQ(ExitMessage::parse(ExitMessage{3, {}}.encode()).value().shellCode(), 3);
  EXPECT_EQ(ExitMessage::parse(ExitMessage{{}, 9}.encode()).value().shellCode(), 137);
  EXPECT_FALSE(ExitMessage::parse(R"({"code":0,"signal":9})").has_value());
  EXPECT_FALSE(ExitMessage::parse("{}").has_value());
  EXPECT_FALSE(ExitMessage::parse(R"({"code":256})").has_value());
}

TEST(MessagesTest, BytesThatAreNotUtf8DoNotThrow) {
  const ExecRequest request{{"echo", "\xff\xfe"}, {}, "/"};
  EXPECT_TRUE(ExecRequest::parse(request.encode()).has_value());
}

}  // namespace
}  // namespace railhead::lab
