#include "src/train/manifest.h"

#include "src/train/node_facts.h"
#include "tests/support/documented_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::train {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

NodeFacts node() {
  NodeFacts out;
  out.node = "spark-a";
  out.kernel = "6.12";
  out.architecture = "aarch64";
  out.cpu = "a CPU";
  out.cpus = 20;
  out.gpus = {"NVIDIA GB10"};
  out.driver = "580.95";
  out.cuda = "13.0";
  out.nccl = "2.28.9";
  out.nics = {"mlx5_0 MT4129 28.45"};
  out.topology = {"gpu0 0000:01:00.0 numa 0"};
  return out;
}

Manifest whole() {
  Manifest out;
  out.id = "pair-0001";
  out.state = "finished";
  out.reason = "it \"was\" so";
  out.railhead = "0.1.0";
  out.started = "2026-11-30T05:00:00Z";
  out.ended = "2026-11-30T06:00:00Z";
  out.replayOf = "pair-0000";
  out.runFile = {"run.yaml", 10, std::string(64, 'a')};
  out.command = {"python3", "train.py"};
  out.image = "i@sha256:1";
  out.imageDigest = "sha256:1";
  out.seed = 1337;
  out.code = {"/work", "abc", true, {{"train.py", 5, std::string(64, 'b')}}};
  out.data = {{"tokens", 7, std::string(64, 'c')}};
  out.profile = "hash";
  out.environment = {{"NCCL_DEBUG", "INFO"}};
  out.facts = {{"torch", "2.9"}};
  out.place = {"ssh:a,b", 2, 1, {"a", "b"}, {node()}};
  out.verdict = Verdict{"gdr", true, 0.93};
  out.attempts = {{1, std::nullopt, "t", 1.5, "failed", "why", 1, "b", {"last"}},
                  {2, 6, "t", 2.5, "finished", "", std::nullopt, "", {}}};
  out.metrics = {10, 4.5, 4.25, 1000, 3.5, 2};
  checkpoint::Checkpoint checkpoint;
  checkpoint.step = 6;
  checkpoint.world = 2;
  checkpoint.files = {{"model", 3, std::string(64, 'd')}};
  checkpoint.model = {{"layers", "12"}};
  checkpoint.sha256 = std::string(64, 'e');
  checkpoint.content = std::string(64, 'f');
  out.checkpoints = {checkpoint};
  return out;
}

TEST(Manifest, ComesBackAsItWas) {
  const auto read = parseManifest(writeManifest(whole()), "manifest.json");
  ASSERT_TRUE(read.has_value()) << read.error().describe();
  EXPECT_EQ(*read, whole());
  const auto empty = parseManifest(writeManifest(Manifest()), "manifest.json");
  ASSERT_TRUE(empty.has_value()) << empty.error().describe();
  EXPECT_EQ(*empty, Manifest());
}

TEST(Manifest, OneThatWasChangedByHandIsRefused) {
  std::string text = writeManifest(whole());
  text.replace(text.find("1337"), 4, "1338");
  const auto read = parseManifest(text, "m.json");
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(read.error().message, HasSubstr("m.json: digest is not that of the content"));
  EXPECT_FALSE(parseManifest("{}", "m.json").has_value());
  EXPECT_FALSE(parseManifest("", "m.json").has_value());
}

TEST(Manifest, WhatDecidesIsComparedAndWhatCameOfItIsNot) {
  Manifest other = whole();
  other.id = "pair-0002";
  other.started = other.ended = "later";
  other.metrics.lastLoss = 1;
  other.attempts.clear();
  other.checkpoints.clear();
  other.verdict.reset();
  other.code.folder = "/elsewhere";
  EXPECT_THAT(differences(whole(), other), IsEmpty());

  other.place.nodes[0].nccl = "2.29.1";
  other.environment["NCCL_ALGO"] = "Ring";
  other.seed = 1;
  const auto found = differences(whole(), other);
  ASSERT_THAT(found, SizeIs(3));
  EXPECT_EQ(found[0].field, "environment.NCCL_ALGO");
  EXPECT_EQ(found[0].first, "");
  EXPECT_EQ(found[0].second, "\"Ring\"");
  EXPECT_EQ(found[1].field, "place.nodes[0].nccl");
  EXPECT_EQ(found[2].field, "seed");
  EXPECT_EQ(found[2].first, "1337");
}

TEST(Manifest, TheDocumentNamesEveryFieldAndNoOther) {
  Manifest named = whole();
  named.environment = {{"NAME", ""}};
  named.facts = {{"NAME", ""}};
  auto json = nlohmann::json::parse(writeManifest(named));
  json["checkpoints"][0]["model"] = nullptr;  // the trainer's own
  EXPECT_EQ(testing_support::documentedFields(testing_support::readText("docs/reference/train.md"),
                                              "JSON of the manifest"),
            testing_support::fieldsOf(json));
}

TEST(FactsLine, ComesBackAndIsShortWhateverTheNodeHas) {
  EXPECT_EQ(parseFactsLine(factsLine(node())), node());
  NodeFacts large = node();
  for (int i = 0; i < 500; ++i) large.nics.push_back("a NIC with a long name and firmware");
  const std::string line = factsLine(large);
  EXPECT_LE(line.size(), 4096U);
  ASSERT_TRUE(parseFactsLine(line).has_value());
  EXPECT_EQ(parseFactsLine(line)->gpus, node().gpus);
  EXPECT_FALSE(parseFactsLine("railhead-progress facts {").has_value());
  EXPECT_FALSE(parseFactsLine("railhead-progress facts {}").has_value());
  EXPECT_FALSE(parseFactsLine("loss 4.5").has_value());
}

}  // namespace
}  // namespace railhead::train
