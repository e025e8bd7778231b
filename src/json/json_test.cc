#include "src/json/json.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::json {
namespace {

TEST(Json, BoundsDepthButNotStringsWithBrackets) {
  const std::string deep = std::string(65, '[') + std::string(65, ']');
  EXPECT_FALSE(parse(deep, "x").has_value());
  EXPECT_TRUE(parse(deep.substr(1, 128), "x").has_value());
  EXPECT_TRUE(
      parse("\"" + std::string(100, '[') + "\\\"" + std::string(100, '[') + "\"", "x").has_value());
  const auto notJson = parse("{\"a\":", "stdin");
  EXPECT_EQ(notJson.error().message, "stdin is not valid JSON: '{\"a\":'");
}

TEST(Json, TellsACutTextFromAWrongOne) {
  for (const char* cut : {"{", "{\"a\": [1, 2", "[\"te", "{\"a\": tr", "  [1,"}) {
    EXPECT_TRUE(lacksItsEnd(cut)) << cut;
  }
  for (const char* other : {"", " \n", "{}", "{]", "[1, 11e999]", "[11e999", "no", "{} {"}) {
    EXPECT_FALSE(lacksItsEnd(other)) << other;
  }
}

TEST(Json, MembersAreTextsOfABoundedLengthOrRefusedByTheirName) {
  const Value object = parseObject(R"({"a":"text","b":3,"c":null,"d":"x\u0000y"})", "it").value();
  EXPECT_EQ(textMember(object, "a", 4).value(), "text");
  EXPECT_EQ(textMember(object, "c", 4).value(), "");
  EXPECT_EQ(member(object, "c"), nullptr);
  EXPECT_EQ(textMember(object, "a", 3).error().message,
            "a is 'text': at most 3 bytes without a NUL are allowed");
  EXPECT_EQ(textMember(object, "b", 4).error().message, "b is '3': expected a string");
  EXPECT_FALSE(textMember(object, "d", 10).has_value());
  EXPECT_EQ(parseObject("[1]", "it").error().message, "it is '[1]': expected a JSON object");
}

}  // namespace
}  // namespace railhead::json
