// Runs of `railhead train` over the stand-in trainer, in a folder of their own.
#pragma once

#include "src/os/filesystem.h"
#include "src/os/process.h"
#include "src/train/manifest.h"
#include "src/train/run_folder.h"
#include "tests/support/documented_fields.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead {

class TrainFixture : public testing::Test {
 protected:
  TrainFixture()
      : folder_(std::filesystem::temp_directory_path() /
                ("railhead-train-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~TrainFixture() override { std::filesystem::remove_all(folder_); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  // A run file of two ranks; `trainer`: words of the stand-in, `more`: lines of YAML.
  std::string runFile(const std::string& name, const std::vector<std::string>& trainer,
                      const std::string& more = "") const {
    std::string command = std::string("[\"") + RAILHEAD_STAND_IN + "\"";
    for (const auto& word : trainer) command += ", \"" + word + "\"";
    return runFileOf(name, command + "]", more);
  }
  std::string runFileOf(const std::string& name, const std::string& command,
                        const std::string& more) const {
    const std::string path = at(name + ".yaml");
    std::ofstream(path) << "schemaVersion: 1\nname: " << name << "\ncommand: " << command
                        << "\nranks: 2\n"
                        << more;
    return path;
  }

  os::ProcessResult train(std::vector<std::string> words,
                          std::chrono::seconds deadline = std::chrono::seconds(90)) const {
    words.insert(words.begin(), {RAILHEAD_PROGRAM, "train"});
    os::ProcessSpec spec;
    spec.argv = std::move(words);
    spec.deadline = deadline;
    auto result = os::SystemProcessRunner().run(spec);
    EXPECT_TRUE(result.has_value()) << result.error().describe();
    return result.has_value() ? *result : os::ProcessResult{};
  }
  os::ProcessResult run(const std::string& file, const std::string& folder,
                        std::vector<std::string> more = {}) const {
    std::vector<std::string> words = {"run", file, "--folder", at(folder)};
    words.insert(words.end(), more.begin(), more.end());
    return train(std::move(words));
  }
  os::ProcessResult compare(const std::string& first, const std::string& second,
                            std::vector<std::string> more = {}) const {
    std::vector<std::string> words = {"compare", at(first), at(second)};
    words.insert(words.end(), more.begin(), more.end());
    return train(std::move(words));
  }

  // What sh makes of the script, whose $1 is a file system of `size`, $2 the program and $3 on the
  // words. Nothing where none can be mounted.
  std::optional<os::ProcessResult> onSmallDisk(const std::string& size, const std::string& script,
                                               const std::vector<std::string>& words) const {
    const std::string small = at("small");
    std::filesystem::create_directories(small);
    os::ProcessSpec spec;
    spec.argv = {"unshare",
                 "-rm",
                 "sh",
                 "-c",
                 "mount -t tmpfs -o size=" + size + " none \"$1\" || exit 77\n" + script,
                 "sh",
                 small,
                 RAILHEAD_PROGRAM};
    spec.argv.insert(spec.argv.end(), words.begin(), words.end());
    spec.deadline = std::chrono::seconds(90);
    const auto result = os::SystemProcessRunner().run(spec);
    if (!result.has_value() || result->exitCode == 77 ||
        result->errorOutput.find("unshare") != std::string::npos)
      return std::nullopt;
    return *result;
  }
  // A disk with room for the checkpoints of steps 3 and 6, whose names were listed.
  static void expectFullAfterTwo(const os::ProcessResult& result) {
    EXPECT_EQ(result.exitCode, 1) << result.errorOutput;
    EXPECT_THAT(result.errorOutput, testing::HasSubstr("No space left on device"));
    EXPECT_THAT(result.output, testing::HasSubstr("step-00000003\nstep-00000006\n"));
    EXPECT_THAT(result.output, testing::Not(testing::HasSubstr("step-00000009\n")));
  }

  train::RunFolder folderOf(const std::string& run) const { return train::RunFolder(at(run)); }
  train::Manifest manifest(const std::string& run) const {
    const auto files = os::RootedFilesystem::open("/");
    auto read = folderOf(run).readManifest(**files);
    EXPECT_TRUE(read.has_value()) << read.error().describe();
    return read.has_value() ? *read : train::Manifest();
  }
  std::vector<train::StepLine> steps(const std::string& run, int rank = 0) const {
    const auto files = os::RootedFilesystem::open("/");
    const auto series = folderOf(run).readSeries(**files, rank);
    return series.has_value() ? series->steps() : std::vector<train::StepLine>();
  }
  // A child that a killed watcher was just starting has the run's lock until it is a program.
  void awaitUnlocked(const std::string& run) const {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (folderOf(run).isLocked() && std::chrono::steady_clock::now() < limit) ::usleep(10000);
  }
  // Names in the folder of checkpoints, those that begin with a dot included.
  std::vector<std::string> checkpointNames(const std::string& run) const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(folderOf(run).checkpoints()))
      out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
  }

  // Processes of this machine whose environment says that they are of a run in our folder.
  std::vector<std::string> leftRunning() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string pid = entry.path().filename().string();
      if (std::isdigit(static_cast<unsigned char>(pid.front())) == 0) continue;
      const std::string environment = testing_support::readText(entry.path().string() + "/environ");
      if (environment.find("RAILHEAD_RUN_DIR=" + folder_.string() + "/") != std::string::npos)
        out.push_back(pid + " " + testing_support::readText(entry.path().string() + "/cmdline"));
    }
    return out;
  }
  // The kernel takes killed processes away in its own time.
  void expectNothingRuns() const {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!leftRunning().empty() && std::chrono::steady_clock::now() < limit) ::usleep(10000);
    EXPECT_THAT(leftRunning(), testing::IsEmpty());
  }

  std::filesystem::path folder_;
};

}  // namespace railhead
