// Throws mutated input at every parser of what the API server and NAD manifests say.
#include "src/kube/api/nad.h"
#include "src/kube/api/wire_json.h"
#include "tests/fuzz/mutate.h"

#include <string>

#include <gtest/gtest.h>

namespace railhead::kube {
namespace {

using testing_support::fuzz;

constexpr std::size_t kMaxMessage = 4096;  // an error is for people: it never echoes its input

template <typename T>
void expectShort(const Result<T>& result) {
  if (!result.has_value()) {
    EXPECT_LE(result.error().message.size(), kMaxMessage);
  }
}

const std::string kNad =
    R"({"metadata":{"namespace":"default","name":"dgx-qsfp","resourceVersion":"7","annotations":)"
    R"({"k8s.v1.cni.cncf.io/resourceName":"nvidia.com/cx7_qsfp"}},)"
    R"("spec":{"config":"{\"type\":\"sriov\"}"}})";

void expectUsable(const Nad& nad) {
  EXPECT_FALSE(nad.name.empty());
  EXPECT_LE(nad.qualifiedName().size(), 63U + 1 + 253);
  EXPECT_EQ(nad.name.find('/'), std::string::npos);
  EXPECT_LE(nad.config.size(), kMaxNadConfig);
}

TEST(KubeFuzz, ListPage) {
  fuzz({R"({"metadata":{"resourceVersion":"7","continue":"abc="},"items":[)" + kNad + "]}"},
       [](const std::string& text) {
         const auto page = parseListPage(text);
         expectShort(page);
         if (!page.has_value()) return;
         for (const auto& object : page->objects) expectShort(parseNad(object));
       });
}

TEST(KubeFuzz, WatchLine) {
  fuzz({R"({"type":"ADDED","object":)" + kNad + "}",
        R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"8"}}})",
        R"({"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}})"},
       [](const std::string& text) {
         const auto line = parseWatchLine(text);
         expectShort(line);
         if (line.has_value() && !line->event) {
           EXPECT_GE(line->errorStatus, 0);
         }
         EXPECT_LE(statusMessage(text).size(), kMaxMessage);
         EXPECT_LE(statusReason(text).size(), 64U);
       });
}

TEST(KubeFuzz, Nad) {
  fuzz({kNad}, [](const std::string& text) {
    const auto nad = parseNad(text);
    expectShort(nad);
    if (nad.has_value()) expectUsable(*nad);
  });
}

TEST(KubeFuzz, NadManifest) {
  fuzz({"kind: Namespace\n---\nkind: NetworkAttachmentDefinition\nmetadata:\n  name: a\n"
        "  annotations: {k8s.v1.cni.cncf.io/resourceName: b/c}\nspec:\n  config: |\n    {}\n",
        R"({"kind":"NetworkAttachmentDefinition",)" + kNad.substr(1)},
       [](const std::string& text) {
         const auto nads = parseNadManifest(text, "a.yaml");
         expectShort(nads);
         if (!nads.has_value()) return;
         for (const auto& nad : *nads) expectUsable(nad);
       });
}

TEST(KubeFuzz, RememberedNads) {
  fuzz({encodeNads({{"a", "b", "c/d", "{}"}, {"a", "c", "", ""}})}, [](const std::string& text) {
    const auto nads = decodeNads(text);
    expectShort(nads);
    if (!nads.has_value()) return;
    for (const auto& nad : *nads) expectUsable(nad);
  });
}

}  // namespace
}  // namespace railhead::kube
