// A page in a real browser: what a reader sees, at two widths, in light and dark. Skipped where
// there is no Chromium, except where CI=true: there its absence is a failure.
#pragma once

#include "src/os/filesystem.h"
#include "src/os/process.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <png.h>
#include <unistd.h>

namespace railhead::testing_support {

constexpr int kPhoneWidth = 390;
constexpr int kDesktopWidth = 1280;
constexpr const char* kPageFile = "/report.html";

// Whether the page has the text. A matcher would print the whole page when it has not.
inline bool has(const std::string& page, const std::string& text) {
  return page.find(text) != std::string::npos;
}

inline std::string between(const std::string& text, const std::string& from,
                           const std::string& to) {
  const auto start = text.find(from);
  EXPECT_NE(start, std::string::npos) << from;
  if (start == std::string::npos) return {};
  const auto end = text.find(to, start);
  return text.substr(start, end - start);
}

struct Picture {
  std::uint32_t width = 0, height = 0;
  std::map<std::uint32_t, std::size_t> colours;  // 0xRRGGBB → pixels

  // Share of the picture in that colour.
  double shareOf(std::uint32_t colour) const {
    const auto at = colours.find(colour);
    return at == colours.end() ? 0 : static_cast<double>(at->second) / (width * height);
  }
};

inline Picture pictureFrom(const std::string& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  Picture picture;
  if (png_image_begin_read_from_file(&image, path.c_str()) == 0) {
    ADD_FAILURE() << path << ": " << image.message;
    return picture;
  }
  image.format = PNG_FORMAT_RGB;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  EXPECT_NE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 0) << image.message;
  picture.width = image.width;
  picture.height = image.height;
  for (std::size_t i = 0; i + 2 < pixels.size(); i += 3) {
    const std::uint32_t colour = static_cast<std::uint32_t>(pixels[i]) << 16 |
                                 static_cast<std::uint32_t>(pixels[i + 1]) << 8 | pixels[i + 2];
    ++picture.colours[colour];
  }
  return picture;
}

class PageInBrowser : public ::testing::Test {
 protected:
  void SetUp() override {
    browser_ = findBrowser();
    if (browser_.empty()) {
      const char* ci = std::getenv("CI");
      ASSERT_FALSE(ci != nullptr && std::string(ci) == "true") << "CI has no Chromium in PATH";
      GTEST_SKIP() << "no Chromium in PATH: apt-get install chromium";
    }
    std::string name = ::testing::TempDir() + "report-browser-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    auto opened = os::RootedFilesystem::open(folder_);
    ASSERT_TRUE(opened.has_value()) << opened.error().describe();
    files_ = std::move(*opened);
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  // What the page shows after its scripts ran, at a phone's width; without the scripts themselves.
  std::string domOf(std::string page) {
    // The only way to ask a headless browser for a measure. Its window is never narrower than 500,
    // where the page already has its form for phones; the body is then made as narrow as one.
    const std::string probe = "<script>document.body.style.width = '" +
                              std::to_string(kPhoneWidth) +
                              "px'; document.body.dataset.width = document.body.scrollWidth;"
                              "</script>";
    page.insert(page.rfind("</body>"), probe);
    write(page);
    std::string dom = browse({"--dump-dom"}, kPhoneWidth, 844);
    dom.resize(std::min(dom.size(), dom.find("<script type=")));
    EXPECT_EQ(between(dom, "data-width=\"", "\" "), "data-width=\"" + std::to_string(kPhoneWidth))
        << "the page is wider than a phone";
    EXPECT_FALSE(has(dom, "could not be drawn"));
    return dom;
  }

  Picture screenshotOf(const std::string& page, int width, int height, bool dark = false) {
    write(page);
    const std::string path = folder_ + "/screen.png";
    // Blink's own numbering: 0 dark, 1 light.
    browse({"--screenshot=" + path,
            std::string("--blink-settings=preferredColorScheme=") + (dark ? "0" : "1")},
           width, height);
    Picture picture = pictureFrom(path);
    EXPECT_EQ(picture.width, static_cast<std::uint32_t>(width));
    EXPECT_EQ(picture.height, static_cast<std::uint32_t>(height));
    return picture;
  }

 private:
  void write(const std::string& page) {
    EXPECT_TRUE(files_->replaceFile(kPageFile, page, 0644).has_value());
  }

  static std::string findBrowser() {
    const char* path = std::getenv("PATH");
    std::stringstream folders(path == nullptr ? "" : path);
    for (std::string folder; std::getline(folders, folder, ':');) {
      for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
        const std::string program = folder + "/" + name;
        if (access(program.c_str(), X_OK) == 0) return program;
      }
    }
    return {};
  }

  std::string browse(const std::vector<std::string>& options, int width, int height) {
    os::ProcessSpec spec;
    spec.argv = {browser_,
                 "--headless",
                 "--no-sandbox",
                 "--disable-gpu",
                 "--disable-background-networking",
                 "--no-first-run",
                 "--hide-scrollbars",
                 "--enable-logging=stderr",
                 "--user-data-dir=" + folder_ + "/profile",
                 "--window-size=" + std::to_string(width) + "," + std::to_string(height)};
    spec.argv.insert(spec.argv.end(), options.begin(), options.end());
    spec.argv.push_back("file://" + folder_ + kPageFile);
    spec.deadline = std::chrono::seconds(90);
    const auto result = os::SystemProcessRunner().run(spec);
    if (!result.has_value()) {
      ADD_FAILURE() << result.error().describe();
      return {};
    }
    EXPECT_EQ(result->exitCode, 0) << result->errorOutput;
    EXPECT_FALSE(has(result->errorOutput, "CONSOLE")) << "the page complained";
    return result->output;
  }

  std::string browser_;
  std::string folder_;
  std::unique_ptr<os::Filesystem> files_;
};

}  // namespace railhead::testing_support
