#include "src/report/terminal/style.h"

#include "src/os/unique_fd.h"

#include <map>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace railhead::report {
namespace {

EnvironmentLookup environmentOf(std::map<std::string, std::string> values) {
  return [values](std::string_view name) -> std::optional<std::string> {
    const auto at = values.find(std::string(name));
    if (at == values.end()) return std::nullopt;
    return at->second;
  };
}

// The slave side of a pseudo terminal of 132 columns; the master stays open beside it.
class StyleOfATerminal : public ::testing::Test {
 protected:
  void SetUp() override {
    master_ = os::UniqueFd(posix_openpt(O_RDWR | O_NOCTTY));
    if (master_.get() < 0) GTEST_SKIP() << "this machine gives no pseudo terminal";
    ASSERT_EQ(grantpt(master_.get()), 0);
    ASSERT_EQ(unlockpt(master_.get()), 0);
    char name[128];
    ASSERT_EQ(ptsname_r(master_.get(), name, sizeof name), 0);
    slave_ = os::UniqueFd(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_GE(slave_.get(), 0);
    winsize size{};
    size.ws_col = 132;
    size.ws_row = 40;
    ASSERT_EQ(ioctl(slave_.get(), TIOCSWINSZ, &size), 0);
  }
  TerminalStyle styleIn(std::map<std::string, std::string> environment) {
    return detectStyle(slave_.get(), environmentOf(std::move(environment)));
  }

  os::UniqueFd master_;
  os::UniqueFd slave_;
};

TEST_F(StyleOfATerminal, HasColourAndItsWidth) {
  const TerminalStyle style = styleIn({{"TERM", "xterm-256color"}});
  EXPECT_TRUE(style.terminal);
  EXPECT_TRUE(style.colour);
  EXPECT_EQ(style.columns, 132U);
}

TEST_F(StyleOfATerminal, RespectsNoColor) {
  const TerminalStyle style = styleIn({{"TERM", "xterm"}, {"NO_COLOR", "1"}});
  EXPECT_TRUE(style.terminal);
  EXPECT_FALSE(style.colour);
  EXPECT_TRUE(styleIn({{"TERM", "xterm"}, {"NO_COLOR", ""}}).colour);  // empty counts as not set
}

TEST_F(StyleOfATerminal, IsPlainWhenTheTerminalIsDumb) {
  const TerminalStyle style = styleIn({{"TERM", "dumb"}});
  EXPECT_FALSE(style.terminal);
  EXPECT_FALSE(style.colour);
}

TEST(Style, OfAFileIsPlain) {
  const os::UniqueFd file(open("/dev/null", O_WRONLY | O_CLOEXEC));
  const TerminalStyle style = detectStyle(file.get(), environmentOf({{"TERM", "xterm"}}));
  EXPECT_FALSE(style.terminal);
  EXPECT_FALSE(style.colour);
  EXPECT_EQ(style.columns, 80U);
}

TEST(Style, FollowsTheLocale) {
  const auto unicodeIn = [](std::map<std::string, std::string> environment) {
    return detectStyle(-1, environmentOf(std::move(environment))).unicode;
  };
  EXPECT_TRUE(unicodeIn({}));
  EXPECT_TRUE(unicodeIn({{"LANG", "de_DE.UTF-8"}}));
  EXPECT_TRUE(unicodeIn({{"LANG", "C"}}));
  EXPECT_FALSE(unicodeIn({{"LANG", "de_DE.ISO-8859-1"}}));
  EXPECT_TRUE(unicodeIn({{"LANG", "de_DE.ISO-8859-1"}, {"LC_ALL", "C.utf8"}}));
}

TEST(Style, PaintsOnlyWithColour) {
  TerminalStyle style;
  EXPECT_EQ(style.paint(Ink::kGood, "ok"), "ok");
  style.colour = true;
  EXPECT_EQ(style.paint(Ink::kGood, "ok"), "\x1b[32mok\x1b[0m");
  EXPECT_EQ(style.paint(Ink::kPlain, "ok"), "ok");
  EXPECT_EQ(style.paint(Ink::kBad, ""), "");
}

}  // namespace
}  // namespace railhead::report
