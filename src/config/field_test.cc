#include "src/config/field.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::config {
namespace {

constexpr const char* kText = R"(version: 1
resources:
  - name: nvidia.com/cx7_qsfp
    count: 4
    on: true
  - name: [a]
empty:
)";

TEST(Field, ReadsTypedValues) {
  const auto root = Field::parse(kText, "agent.yaml");
  ASSERT_TRUE(root.has_value());
  const auto resources = root->child("resources").list(1, 8);
  ASSERT_TRUE(resources.has_value());
  EXPECT_EQ(*resources->at(0).child("name").text("a name"), "nvidia.com/cx7_qsfp");
  EXPECT_EQ(*resources->at(0).child("count").number(1, 8), 4U);
  EXPECT_TRUE(*resources->at(0).child("on").flag());
  EXPECT_FALSE(root->child("empty").present());
  EXPECT_FALSE(root->child("absent").present());
  EXPECT_THAT(root->keys(), testing::ElementsAre("version", "resources", "empty"));
}

TEST(Field, ComplaintsNameFileLineFieldValueAndWhatIsAllowed) {
  const auto root = *Field::parse(kText, "agent.yaml");
  const auto resources = *root.child("resources").list(1, 8);
  EXPECT_EQ(resources[0].child("count").number(1, 2).error().message,
            "agent.yaml:4: resources[0].count is '4'; allowed: a whole number from 1 to 2");
  EXPECT_EQ(resources[1].child("name").text("a name").error().message,
            "agent.yaml:6: resources[1].name is a list; allowed: a name");
  EXPECT_EQ(resources[1].required("count", "a number").error().message,
            "agent.yaml:6: resources[1].count is missing; allowed: a number");
  EXPECT_EQ(root.checkKeys({"version", "resources"}).error().message,
            "agent.yaml:7: empty is unknown; allowed: version, resources");
  EXPECT_EQ(root.child("version").flag().error().message,
            "agent.yaml:1: version is '1'; allowed: true, false");
}

TEST(Field, NearestFollowsAPathAsFarAsItGoes) {
  const auto root = *Field::parse(kText, "agent.yaml");
  EXPECT_EQ(root.nearest("resources[0].count").complain("is odd").message,
            "agent.yaml:4: resources[0].count is odd");
  EXPECT_EQ(root.nearest("resources[1].absent").path(), "resources[1]");
  EXPECT_EQ(root.nearest("resources[7].name").path(), "resources");
  EXPECT_EQ(root.nearest("resources[x").path(), "resources");
  EXPECT_EQ(root.nearest("nothing").path(), "");
  EXPECT_EQ(root.child("resources").nearest("[1].name[0]").path(), "resources[1].name[0]");
}

TEST(Field, WordsAreOfTheCharactersAllowed) {
  const auto root = *Field::parse("{a: spark-a, b: -x, c: 'a b', d: [], e: ''}", "x.yaml");
  EXPECT_EQ(*root.child("a").word(8, "-"), "spark-a");
  for (const char* name : {"b", "c", "d", "e", "f"})
    EXPECT_FALSE(root.child(name).word(8, "-").has_value()) << name;
  EXPECT_EQ(root.child("a").word(3, "-").error().message,
            "x.yaml:1: a is 'spark-a'; allowed: 1 to 3 letters, digits and any of '-', starting "
            "with a letter or digit");
}

TEST(Field, SyntaxErrorsAndBoundsAreComplaintsToo) {
  const auto broken = Field::parse("a: [1,\nb: 2", "x.yaml");
  ASSERT_FALSE(broken.has_value());
  EXPECT_THAT(broken.error().message, testing::StartsWith("x.yaml:2: "));
  EXPECT_EQ(Field::parse("a: 1\n---\nb: 2", "x.yaml").error().message,
            "x.yaml:2: begins a second document; allowed: one in a file");
  // yaml-cpp alone reads these for ever.
  for (const char* endless : {",", "{a: 1},", "{a: 1}, b"}) {
    EXPECT_FALSE(Field::parse(endless, "x.yaml").has_value()) << endless;
  }
  EXPECT_FALSE(Field::parse("", "x.yaml")->present());
  EXPECT_EQ(Field::parse("a: 1\na: 2", "x.yaml")->checkKeys({"a"}).error().message,
            "x.yaml:2: a is given twice");
  EXPECT_FALSE(Field::parse(std::string(kMaxBytes + 1, ' '), "x").has_value());
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "[";
  for (int i = 0; i < 40; ++i) deep += "]";
  EXPECT_THAT(Field::parse(deep, "x").error().message, testing::HasSubstr("nested deeper"));
  // Ten anchors that each hold the one before ten times: 10^9 values when expanded.
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string name = "a" + std::to_string(i);
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += name + ": &" + name + " [";
    for (int k = 0; k < 10; ++k) bomb += (k == 0 ? "" : ",") + before;
    bomb += "]\n";
  }
  EXPECT_THAT(Field::parse(bomb, "x").error().message,
              testing::HasSubstr("more than 20000 values"));
}

}  // namespace
}  // namespace railhead::config
