#include "src/checkpoint/record.h"

#include "src/digest/sha256.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::checkpoint {
namespace {

using testing::HasSubstr;

TEST(CheckpointName, HasEightDigitsOrMoreAndNoOtherForm) {
  EXPECT_EQ(checkpointName(123), "step-00000123");
  EXPECT_EQ(checkpointName(123456789012), "step-123456789012");
  EXPECT_EQ(unfinishedName(123), ".step-00000123.part");
  EXPECT_EQ(checkpointStep("step-00000123"), 123U);
  EXPECT_EQ(checkpointStep("step-123456789012"), 123456789012U);
  for (const char* name : {"step-123", "step-", ".step-00000123.part", "step-00000123.broken-1",
                           "step-0000012x", "stop-00000123", "step-000000123"})
    EXPECT_FALSE(checkpointStep(name).has_value()) << name;
}

TEST(CheckpointName, OfWhatIsNotWholeIsTold) {
  for (const std::uint64_t step : {1U, 123456789U}) {
    EXPECT_TRUE(isUnfinished(unfinishedName(step)));
    EXPECT_TRUE(isUnfinished(goneName(step)));
    EXPECT_FALSE(isUnfinished(checkpointName(step)));
  }
  EXPECT_FALSE(isUnfinished(".keep"));
}

TEST(CheckpointRecord, ComesBackAsItWas) {
  Checkpoint written;
  written.step = 5;
  written.world = 2;
  written.files = {{"a", 3, std::string(64, 'a')}};
  written.model = {{"layers", "12"}, {"shape", "[2,3]"}};
  written.run = {{"seed", "1"}};
  const std::string text = writeCheckpoint(written);
  auto read = parseCheckpoint(text, "checkpoint.json");
  ASSERT_TRUE(read.has_value()) << read.error().describe();
  EXPECT_EQ(read->sha256, digest::sha256Hex(text));
  read->sha256.clear();
  EXPECT_EQ(read->content.size(), 64U);
  read->content.clear();
  EXPECT_EQ(*read, written);
}

TEST(CheckpointRecord, WhatDoesNotFitIsNamed) {
  const std::string digest(64, 'a');
  const auto file = [&](const std::string& name, const std::string& sha) {
    return R"({"schema":"railhead.checkpoint/1","step":1,"world":1,"files":[{"name":")" + name +
           R"(","bytes":1,"sha256":")" + sha + R"("}]})";
  };
  struct Case {
    std::string text;
    const char* says;
  };
  for (const auto& [text, says] : std::vector<Case>{
           {"{", "is not valid JSON"},
           {"{}", "schema is missing"},
           {R"({"schema":"railhead.checkpoint/2","step":1,"world":1,"files":[]})", "schema is"},
           {R"({"schema":"railhead.checkpoint/1","step":-1,"world":1,"files":[]})",
            "step is '-1': expected a number"},
           {R"({"schema":"railhead.checkpoint/1","step":1,"world":1,"files":[]})",
            "files is empty"},
           {R"({"schema":"railhead.checkpoint/1","step":1,"world":1,"files":[{}]})",
            "files[0].name is missing"},
           {file("../model", digest), "name '../model' is none"},
           {file("..", digest), "'..'"},
           {file("checkpoint.json", digest), "name 'checkpoint.json' is none"},
           {file("model", "abc"), "sha256 of 'model' is 'abc'"}}) {
    const auto read = parseCheckpoint(text, "c.json");
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(read.error().message, HasSubstr(says));
    EXPECT_THAT(read.error().message, HasSubstr("c.json"));
  }
}

// What another trainer says of its model and its run is its own affair.
TEST(CheckpointRecord, AnyModelAndRunAreKept) {
  const auto read = parseCheckpoint(
      R"({"schema":"railhead.checkpoint/1","step":1,"world":1,"files":[{"name":".metadata",)"
      R"("bytes":1,"sha256":")" +
          std::string(64, 'a') + R"("}],"model":{"kind":"gpt"},"run":{"seed":5}})",
      "c.json");
  ASSERT_TRUE(read.has_value()) << read.error().describe();
  EXPECT_EQ(read->model.at("kind"), "\"gpt\"");
  EXPECT_EQ(read->run.at("seed"), "5");
}

}  // namespace
}  // namespace railhead::checkpoint
