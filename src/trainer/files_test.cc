// Safetensors headers, checkpoint folders, the corpus, metrics.
#include "src/digest/sha256.h"
#include "src/os/durable_file.h"
#include "src/trainer/checkpoint_folder.h"
#include "src/trainer/corpus.h"
#include "src/trainer/metrics.h"
#include "src/trainer/safetensors.h"
#include "tests/support/temporary_folder.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::trainer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string textOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void put(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

Result<TensorHeader> decodeJson(const std::string& json, std::uint64_t dataBytes) {
  return decodeTensorHeader(json, kTensorPrefix + json.size() + dataBytes);
}

TEST(Safetensors, AHeaderIsReadAsItWasWritten) {
  const auto text = encodeTensorHeader(
      {{"format", "x"}}, {{"a", "F32", {2, 3}}, {"b", "BF16", {5}}, {"c", "F32", {}}});
  ASSERT_TRUE(text.has_value()) << text.error().describe();
  EXPECT_EQ(text->size() % 64, 0U);
  const std::uint64_t file = text->size() + 24 + 10 + 4;
  const auto length = tensorJsonBytes(*text, file);
  ASSERT_TRUE(length.has_value()) << length.error().describe();
  EXPECT_EQ(*length, text->size() - kTensorPrefix);
  const auto header = decodeTensorHeader(std::string_view(*text).substr(kTensorPrefix), file);
  ASSERT_TRUE(header.has_value()) << header.error().describe();
  EXPECT_EQ(header->metadata.at("format"), "x");
  EXPECT_EQ(header->dataOffset, text->size());
  EXPECT_THAT(header->tensors, ElementsAre(TensorEntry{"a", "F32", {2, 3}, 0, 24},
                                           TensorEntry{"b", "BF16", {5}, 24, 34},
                                           TensorEntry{"c", "F32", {}, 34, 38}));
  EXPECT_EQ(header->find("b")->begin, 24U);
  EXPECT_EQ(header->find("d"), nullptr);
}

// As the format's own description shows one.
TEST(Safetensors, AForeignHeaderIsRead) {
  const auto header =
      decodeJson(R"({"weight":{"dtype":"F16","shape":[1,16,256],"data_offsets":[0,8192]},)"
                 R"("bias":{"dtype":"I64","shape":[2],"data_offsets":[8192,8208]}}  )",
                 8208);
  ASSERT_TRUE(header.has_value()) << header.error().describe();
  EXPECT_EQ(header->tensors.size(), 2U);
}

TEST(Safetensors, WhatCannotBeIsNamed) {
  const auto fault = [](const std::string& json, std::uint64_t bytes) {
    const auto header = decodeJson(json, bytes);
    return header.has_value() ? std::string("none") : header.error().message;
  };
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
              HasSubstr("its shape and dtype do not"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8),
              HasSubstr("begins at byte 4: expected 0"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                    R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                    4),
              HasSubstr("begins at byte 0: expected 4"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8),
              HasSubstr("have 4 bytes, the file 8"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4),
              HasSubstr("expected a dtype"));
  EXPECT_THAT(
      fault(R"({"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
      HasSubstr("its shape and dtype do not"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}})", 0),
              HasSubstr("shape has '-1'"));
  EXPECT_THAT(fault("[]", 0), HasSubstr("expected a JSON object"));
  EXPECT_THAT(
      tensorJsonBytes(std::string("\xff\xff\xff\xff\xff\xff\xff\x7f"), 1000).error().message,
      HasSubstr("expected at most"));
  EXPECT_THAT(tensorJsonBytes("abc", 3).error().message, HasSubstr("shorter than 8"));
  EXPECT_FALSE(encodeTensorHeader({}, {{"a", "F32", {1}}, {"a", "F32", {1}}}).has_value());
}

class CheckpointFolder : public testing::Test {
 protected:
  // A complete checkpoint with one file.
  void make(std::uint64_t step, const std::string& content) {
    const auto part = beginCheckpoint(files(), folder(), step);
    ASSERT_TRUE(part.has_value()) << part.error().describe();
    put(*part + "/a.bin", content);
    const auto path = finishCheckpoint(files(), folder(), recordOf(step, content));
    ASSERT_TRUE(path.has_value()) << path.error().describe();
    EXPECT_EQ(*path, folder() + "/" + checkpointName(step));
  }
  static CheckpointRecord recordOf(std::uint64_t step, const std::string& content) {
    CheckpointRecord out;
    out.step = step;
    out.world = 2;
    out.files = {{"a.bin", content.size(), digest::sha256Hex(content)}};
    out.model = {{"layers", 2}};
    out.run = {{"seed", "1"}};
    return out;
  }
  std::uint64_t latest() {
    notes_.clear();
    const auto found = latestCheckpoint(files(), folder(), notes_);
    EXPECT_TRUE(found.has_value()) << found.error().describe();
    return found.has_value() && *found ? (*found)->record.step : 0;
  }
  os::Filesystem& files() { return *files_; }
  std::string folder() const { return temporary_.path() + "/checkpoints"; }

  testing_support::TemporaryFolder temporary_;
  std::unique_ptr<os::Filesystem> files_ = std::move(*os::RootedFilesystem::open("/"));
  std::vector<std::string> notes_;
};

TEST_F(CheckpointFolder, TheNewestCompleteOneIsTaken) {
  EXPECT_EQ(latest(), 0U);
  make(5, "five");
  make(10, "ten");
  EXPECT_EQ(latest(), 10U);
  EXPECT_THAT(notes_, testing::IsEmpty());
  const auto record = readCheckpoint(files(), folder() + "/step-00000010");
  ASSERT_TRUE(record.has_value()) << record.error().describe();
  EXPECT_EQ(*record, recordOf(10, "ten"));
}

TEST_F(CheckpointFolder, WhatIsNotCompleteIsIgnoredWithANote) {
  make(5, "five");
  make(10, "ten");
  put(folder() + "/step-00000010/a.bin", "tex");
  EXPECT_EQ(latest(), 5U);
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("is not what was written")));
  put(folder() + "/step-00000010/a.bin", "te");
  EXPECT_EQ(latest(), 5U);
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("has 2 bytes: expected 3")));
  ASSERT_TRUE(files().remove(folder() + "/step-00000010/a.bin").has_value());
  EXPECT_EQ(latest(), 5U);
  ASSERT_TRUE(files().remove(folder() + "/step-00000010/checkpoint.json").has_value());
  EXPECT_EQ(latest(), 5U);
  put(folder() + "/step-00000010/checkpoint.json", "{");
  EXPECT_EQ(latest(), 5U);
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("is not valid JSON")));
  ASSERT_TRUE(beginCheckpoint(files(), folder(), 15).has_value());
  EXPECT_EQ(latest(), 5U);
}

TEST_F(CheckpointFolder, AnotherOfTheSameStepReplacesTheFirst) {
  make(5, "one");
  make(5, "other");
  EXPECT_EQ(latest(), 5U);
  EXPECT_EQ(textOf(folder() + "/step-00000005/a.bin"), "other");
  EXPECT_THAT(*files().listDirectory(folder()), ElementsAre("step-00000005"));
}

TEST_F(CheckpointFolder, PruningKeepsTheNewest) {
  for (const std::uint64_t step : {1U, 2U, 3U, 4U}) make(step, "x");
  ASSERT_TRUE(beginCheckpoint(files(), folder(), 9).has_value());
  ASSERT_TRUE(pruneCheckpoints(files(), folder(), 4, 2).has_value());
  EXPECT_THAT(*files().listDirectory(folder()), ElementsAre("step-00000003", "step-00000004"));
}

TEST_F(CheckpointFolder, PruningKeepsAllWhenAskedTo) {
  for (const std::uint64_t step : {1U, 2U, 3U}) make(step, "x");
  ASSERT_TRUE(pruneCheckpoints(files(), folder(), 3, 0).has_value());
  EXPECT_EQ(files().listDirectory(folder())->size(), 3U);
}

// Who goes on from an earlier checkpoint has left the branch of the later ones.
TEST_F(CheckpointFolder, WhatWasJustWrittenStaysAndLaterOnesAreLeft) {
  for (const std::uint64_t step : {100U, 200U, 300U}) make(step, "x");
  make(150, "new");
  ASSERT_TRUE(pruneCheckpoints(files(), folder(), 150, 2).has_value());
  EXPECT_THAT(*files().listDirectory(folder()),
              ElementsAre("step-00000100", "step-00000150", "step-00000200.left-1",
                          "step-00000300.left-1"));
  std::vector<std::string> notes;
  const auto newest = latestCheckpoint(files(), folder(), notes);
  ASSERT_TRUE(newest.has_value() && newest->has_value());
  EXPECT_EQ((*newest)->record.step, 150U);
}

TEST_F(CheckpointFolder, AnInterruptedAttemptIsBegunAnew) {
  const auto part = beginCheckpoint(files(), folder(), 5);
  ASSERT_TRUE(part.has_value());
  put(*part + "/a.bin", "half");
  put(*part + "/b.bin", "half");
  make(5, "whole");
  EXPECT_THAT(*files().listDirectory(folder() + "/step-00000005"),
              ElementsAre("a.bin", "checkpoint.json"));
}

TEST(CheckpointRecord, WhatCannotBeIsNamed) {
  const auto fault = [](const std::string& text) {
    const auto record = decodeCheckpointRecord(text);
    return record.has_value() ? std::string("none") : record.error().message;
  };
  const std::string digest(64, 'a');
  const auto with = [&](const std::string& name) {
    return R"({"schema":"railhead.checkpoint/1","step":1,"world":1,"files":[{"name":")" + name +
           R"(","bytes":1,"sha256":")" + digest + R"("}],"model":{}})";
  };
  EXPECT_EQ(fault(with("a.bin")), "none");
  EXPECT_THAT(fault(with("../a")), HasSubstr("name '../a' is none"));
  EXPECT_THAT(fault(with(".part")), HasSubstr("is none"));
  EXPECT_THAT(fault(with("checkpoint.json")), HasSubstr("is none"));
  EXPECT_THAT(fault(R"({"schema":"railhead.checkpoint/2"})"), HasSubstr("schema is"));
  EXPECT_THAT(fault(R"({"schema":"railhead.checkpoint/1","step":-1})"), HasSubstr("step is '-1'"));
}

TEST(CheckpointName, IsReadAsItIsWritten) {
  EXPECT_EQ(checkpointName(123), "step-00000123");
  EXPECT_EQ(unfinishedName(123), ".step-00000123.part");
  EXPECT_EQ(checkpointName(1234567890), "step-1234567890");
  EXPECT_EQ(stepOfCheckpoint("step-00000123"), 123U);
  EXPECT_EQ(stepOfCheckpoint("step-1234567890"), 1234567890U);
  for (const char* other : {"step-123", ".step-00000123.part", "step-0000012x", "step-", "x"}) {
    EXPECT_EQ(stepOfCheckpoint(other), std::nullopt) << other;
  }
}

TEST(DurableFile, OverwritesNothing) {
  const testing_support::TemporaryFolder temporary;
  const std::string path = temporary.path() + "/a";
  auto file = os::DurableFile::create(path);
  ASSERT_TRUE(file.has_value());
  ASSERT_TRUE(file->write(std::as_bytes(std::span(std::string_view("abc")))).has_value());
  ASSERT_TRUE(file->close().has_value());
  EXPECT_EQ(textOf(path), "abc");
  EXPECT_EQ(os::DurableFile::create(path).error().code, ErrorCode::kAlreadyExists);
  const auto opened = os::RandomAccessFile::open(path);
  ASSERT_TRUE(opened.has_value());
  std::string part(2, ' ');
  EXPECT_TRUE(opened->read(1, std::as_writable_bytes(std::span(part))).has_value());
  EXPECT_EQ(part, "bc");
  EXPECT_EQ(opened->read(2, std::as_writable_bytes(std::span(part))).error().code,
            ErrorCode::kCorrupt);
  EXPECT_EQ(os::RandomAccessFile::open(temporary.path()).error().code, ErrorCode::kInvalidArgument);
}

TEST(Corpus, FilesOfAFolderComeInOrderWithoutLinks) {
  const testing_support::TemporaryFolder temporary;
  put(temporary.path() + "/b", "world!");
  put(temporary.path() + "/a", "hello ");
  ASSERT_EQ(::symlink("a", (temporary.path() + "/c").c_str()), 0);
  const auto files = std::move(*os::RootedFilesystem::open("/"));
  const auto corpus = Corpus::read(*files, {temporary.path()}, "bytes", 4);
  ASSERT_TRUE(corpus.has_value()) << corpus.error().describe();
  EXPECT_EQ(corpus->length(), 12U);
  EXPECT_EQ(corpus->windows(), 2U);
  EXPECT_EQ(corpus->sha256(), digest::sha256Hex("hello world!"));
  std::vector<std::int32_t> window(5);
  corpus->copyWindow(1, window);
  EXPECT_THAT(window, ElementsAre('o', ' ', 'w', 'o', 'r'));
  EXPECT_THAT(Corpus::read(*files, {temporary.path()}, "bytes", 12).error().message,
              HasSubstr("has 12 tokens: expected more than the 12"));
  EXPECT_EQ(Corpus::read(*files, {temporary.path() + "/none"}, "bytes", 4).error().code,
            ErrorCode::kNotFound);
}

TEST(Metrics, LinesAreAppendedWhole) {
  const testing_support::TemporaryFolder temporary;
  const std::string path = temporary.path() + "/metrics";
  StepMetrics step;
  step.step = 3;
  step.loss = 2.5;
  step.tokens = 1024;
  step.seconds = 0.5;
  step.dataSeconds = 0.1;
  step.travel = {0.2, 0.15};
  auto file = MetricsFile::append(path);
  ASSERT_TRUE(file.has_value());
  ASSERT_TRUE(file->write(metricsLine(step)).has_value());
  ASSERT_TRUE(MetricsFile::append(path)->write(checkpointLine(3, "/c/step-00000003")).has_value());
  std::istringstream lines(textOf(path));
  std::string line;
  std::getline(lines, line);
  const auto first = nlohmann::json::parse(line);
  EXPECT_EQ(first["schema"], "railhead.metrics/1");
  EXPECT_EQ(first["step"], 3);
  EXPECT_EQ(first["loss"], 2.5);
  EXPECT_NEAR(first["split"]["compute"].get<double>(), 0.25, 1e-9);
  EXPECT_EQ(first["split"]["hidden"], 0.2);
  std::getline(lines, line);
  const auto second = nlohmann::json::parse(line);
  EXPECT_EQ(second["event"], "checkpoint");
  EXPECT_EQ(second["path"], "/c/step-00000003");
}

}  // namespace
}  // namespace railhead::trainer
