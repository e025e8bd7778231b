// Durable files, the corpus, metrics.
#include "src/digest/sha256.h"
#include "src/os/durable_file.h"
#include "src/trainer/corpus.h"
#include "src/trainer/metrics.h"
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
