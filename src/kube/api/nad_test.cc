#include "src/kube/api/nad.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Nad, IsReadFromAnObject) {
  const auto nad = parseNad(R"({"metadata":{"namespace":"default","name":"dgx-qsfp","annotations":
      {"k8s.v1.cni.cncf.io/resourceName":"nvidia.com/cx7_qsfp"}},"spec":{"config":"{}"}})");
  ASSERT_TRUE(nad.has_value()) << nad.error().describe();
  EXPECT_EQ(*nad, (Nad{"default", "dgx-qsfp", "nvidia.com/cx7_qsfp", "{}"}));
  EXPECT_EQ(parseNad(R"({"metadata":{"namespace":"a","name":"b"}})").value(),
            (Nad{"a", "b", "", ""}));
}

TEST(Nad, IsRefusedWithItsField) {
  const std::string named = R"({"metadata":{"namespace":"a","name":"b"},"spec":)";
  const std::vector<std::pair<std::string, std::string>> table{
      {"", "the network's definition"},
      {"[]", "expected a JSON object"},
      {"{}", "metadata.namespace is ''"},
      {R"({"metadata":{"namespace":"a","name":"../b"}})", "metadata.name is '../b'"},
      {R"({"metadata":{"namespace":"A","name":"b"}})", "metadata.namespace is 'A'"},
      {R"({"metadata":{"namespace":"a","name":7}})", "name is '7': expected a string"},
      {named + R"({"config":{}}})", "config is '{}': expected a string"},
      {named + R"({"config":")" + std::string(kMaxNadConfig + 1, 'x') + "\"}}", "at most 65536"}};
  for (const auto& [text, message] : table) {
    const auto nad = parseNad(text);
    ASSERT_FALSE(nad.has_value()) << text;
    EXPECT_EQ(nad.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(nad.error().message, HasSubstr(message));
  }
}

TEST(Nad, ComesFromManifestsOfSeveralDocuments) {
  const auto nads = parseNadManifest(R"(# ours
apiVersion: v1
kind: Namespace
metadata: {name: x}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: one
  annotations:
    k8s.v1.cni.cncf.io/resourceName: nvidia.com/cx7_qsfp
spec:
  config: |
    {"type": "sriov"}
---
{"kind": "NetworkAttachmentDefinition", "metadata": {"namespace": "train", "name": "two"}}
)",
                                     "a.yaml");
  ASSERT_TRUE(nads.has_value()) << nads.error().describe();
  EXPECT_THAT(*nads,
              ElementsAre(Nad{"default", "one", "nvidia.com/cx7_qsfp", "{\"type\": \"sriov\"}\n"},
                          Nad{"train", "two", "", ""}));
  EXPECT_THAT(parseNadManifest("", "a.yaml").value(), IsEmpty());
  EXPECT_THAT(parseNadManifest("---\n# nothing\n---\n", "a.yaml").value(), IsEmpty());
}

TEST(Nad, ComesFromAListToo) {
  const auto nads = parseNadManifest(R"(kind: List
items:
- {kind: NetworkAttachmentDefinition, metadata: {name: a, namespace: n}}
- {kind: Pod, metadata: {name: b}}
---
kind: NetworkAttachmentDefinitionList
items: [{kind: NetworkAttachmentDefinition, metadata: {name: c}}]
---
kind: List
)",
                                     "a.yaml");
  ASSERT_TRUE(nads.has_value()) << nads.error().message;
  ASSERT_EQ(nads->size(), 2U);
  EXPECT_EQ(nads->at(0).qualifiedName(), "n/a");
  EXPECT_EQ(nads->at(1).qualifiedName(), "default/c");
}

TEST(Nad, ManifestIsRefusedWithFileAndLine) {
  const auto wrong = [](const char* text) {
    const auto nads = parseNadManifest(text, "a.yaml");
    return nads.has_value() ? std::string("taken") : nads.error().message;
  };
  EXPECT_THAT(wrong("kind: X\n---\nmetadata: {}\n"), HasSubstr("a.yaml:3: "));
  EXPECT_THAT(wrong("kind: NetworkAttachmentDefinition\nmetadata:\n  name: A b\n"),
              HasSubstr("a.yaml:3: metadata cannot be used: metadata.name is 'A b'"));
  EXPECT_THAT(wrong("kind: NetworkAttachmentDefinition\nspec: 3\n"), HasSubstr("spec"));
  EXPECT_THAT(wrong("kind: [\n"), HasSubstr("a.yaml"));
  EXPECT_THAT(wrong("just text\n"), ::testing::Eq("taken"));
}

TEST(Nad, ListGoesToTextAndBack) {
  const std::vector<Nad> nads{{"a", "b", "c/d", "{\"x\":\"\xc3\xa4\"}"}, {"a", "c", "", ""}};
  EXPECT_EQ(decodeNads(encodeNads(nads)).value(), nads);
  EXPECT_THAT(decodeNads(encodeNads({})).value(), IsEmpty());
  for (const char* text :
       {"", "{}", "[]", R"({"nads":{}})", R"({"nads":[7]})", R"({"nads":[{"namespace":"a"}]})"}) {
    const auto decoded = decodeNads(text);
    ASSERT_FALSE(decoded.has_value()) << text;
    EXPECT_EQ(decoded.error().code, ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace railhead::kube
