#include "src/agent/config_watch.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

class ConfigWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "rh-watch-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  }
  // Starts a watch, does `change`, and gives what the watch tells then.
  template <typename Change>
  std::string toldAfter(const std::string& path, const std::string& known, const Change& change) {
    std::promise<std::string> told;
    auto watch =
        ConfigWatch::start(path, known, [&, first = true](const std::string& text) mutable {
          // A file that is written in place may be seen while it is empty.
          if (!text.empty() && std::exchange(first, false)) told.set_value(text);
        });
    EXPECT_TRUE(watch.has_value());
    change();
    auto future = told.get_future();
    if (future.wait_for(std::chrono::seconds(20)) != std::future_status::ready) return "nothing";
    return future.get();
  }
  std::string folder_;
};

TEST_F(ConfigWatchTest, TellsOfAFileThatIsWrittenAnew) {
  const std::string path = folder_ + "/agent.yaml";
  write(path, "old");
  EXPECT_EQ(toldAfter(path, "old", [&] { write(path, "new"); }), "new");
}

TEST_F(ConfigWatchTest, TellsOfAFileThatIsReplaced) {
  const std::string path = folder_ + "/agent.yaml";
  write(path, "old");
  EXPECT_EQ(toldAfter(path, "old",
                      [&] {
                        write(folder_ + "/.tmp", "new");
                        std::filesystem::rename(folder_ + "/.tmp", path);
                      }),
            "new");
}

// kubelet swaps the link ..data from one folder to the next; the file's own link stays.
TEST_F(ConfigWatchTest, TellsOfAConfigMapThatIsUpdated) {
  for (const char* text : {"old", "new"}) {
    std::filesystem::create_directory(folder_ + "/.." + text);
    write(folder_ + "/.." + text + "/agent.yaml", text);
  }
  std::filesystem::create_symlink("..old", folder_ + "/..data");
  std::filesystem::create_symlink("..data/agent.yaml", folder_ + "/agent.yaml");
  EXPECT_EQ(toldAfter(folder_ + "/agent.yaml", "old",
                      [&] {
                        std::filesystem::create_symlink("..new", folder_ + "/..data_tmp");
                        std::filesystem::rename(folder_ + "/..data_tmp", folder_ + "/..data");
                      }),
            "new");
}

TEST_F(ConfigWatchTest, WhatIsTheSameIsNotTold) {
  const std::string path = folder_ + "/agent.yaml";
  write(path, "old");
  EXPECT_EQ(toldAfter(path, "old",
                      [&] {
                        write(path, "old");
                        write(folder_ + "/other.yaml", "x");
                        write(path, "newer");
                      }),
            "newer");
}

TEST_F(ConfigWatchTest, TellsOnceThatTheFileIsGoneAndThatItIsBackAsItWas) {
  const std::string path = folder_ + "/profile.yaml";
  write(path, "same");
  std::promise<ErrorCode> gone;
  std::promise<std::string> back;
  const auto watch = ConfigWatch::start(
      path, "same", [&](const std::string& text) { back.set_value(text); },
      [&](const Error& error) { gone.set_value(error.code); });
  ASSERT_TRUE(watch.has_value());
  std::filesystem::remove(path);
  auto why = gone.get_future();
  ASSERT_EQ(why.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(why.get(), ErrorCode::kNotFound);
  // In one step: it must not be seen while it is empty.
  write(folder_ + "/.tmp", "same");
  std::filesystem::rename(folder_ + "/.tmp", path);
  auto again = back.get_future();
  ASSERT_EQ(again.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(again.get(), "same");
}

TEST_F(ConfigWatchTest, AFolderThatIsNotThereIsAnError) {
  const auto watch = ConfigWatch::start(folder_ + "/none/agent.yaml", "", [](const auto&) {});
  ASSERT_FALSE(watch.has_value());
  EXPECT_EQ(watch.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace railhead::agent
