#include "src/metrics/exposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::metrics {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ExpositionTest, WritesFamiliesWithTheirSamples) {
  Exposition out;
  out.family(Kind::kGauge, "railhead_devices", "Devices.");
  out.sample({{"resource", "a/b"}, {"state", "healthy"}}, 4);
  out.family(Kind::kCounter, "railhead_bytes_total", "Bytes.");
  out.sample({}, 200e9);
  const std::string text = out.takeText();
  EXPECT_THAT(text, HasSubstr("# HELP railhead_devices Devices.\n"
                              "# TYPE railhead_devices gauge\n"
                              "railhead_devices{resource=\"a/b\",state=\"healthy\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE railhead_bytes_total counter\n"
                              "railhead_bytes_total 200000000000\n"));
}

TEST(ExpositionTest, AFamilyWithoutSamplesIsNamedButNotWritten) {
  Exposition out;
  out.family(Kind::kGauge, "railhead_nothing", "Nothing.");
  EXPECT_EQ(out.takeText(), "");
  EXPECT_THAT(out.names(), testing::ElementsAre("railhead_nothing"));
}

TEST(ExpositionTest, ALabelCannotBreakOutOfItsLine) {
  Exposition out;
  out.family(Kind::kGauge, "railhead_x", "X.");
  out.sample({{"reason", "a\"b\\c\nrailhead_x 7"}, {"name", "caf\xc3\xa9 \xff"}}, 1);
  const std::string text = out.takeText();
  EXPECT_THAT(text,
              HasSubstr("{reason=\"a\\\"b\\\\c\\nrailhead_x 7\",name=\"caf\xc3\xa9 ?\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("\nrailhead_x 7")));
}

TEST(ExpositionTest, OnlyWellFormedUtf8IsPassedOn) {
  const auto written = [](const std::string& name) {
    Exposition out;
    out.family(Kind::kGauge, "railhead_x", "X.");
    out.sample({{"name", name}}, 1);
    const std::string text = out.takeText();
    const auto from = text.find("name=\"") + 6;
    return text.substr(from, text.find("\"} 1") - from);
  };
  for (const char* good : {"\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xef\xbf\xbd", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_EQ(written(good), good);
  }
  EXPECT_EQ(written("\xc1\xbf"), "??");  // overlong, as the next two are
  EXPECT_EQ(written("a\xe0\x80\x80z"), "a???z");
  EXPECT_EQ(written("\xf0\x8f\xbf\xbf"), "????");
  EXPECT_EQ(written("\xed\xa0\x80"), "???");       // a surrogate
  EXPECT_EQ(written("\xf4\x90\x80\x80"), "????");  // beyond U+10FFFF, as the next is
  EXPECT_EQ(written("\xf5\x80\x80\x80"), "????");
  EXPECT_EQ(written("\xe2\x82"), "??");  // cut off
}

TEST(ExpositionTest, AHistogramIsCumulative) {
  Histogram histogram({0.1, 1});
  for (const double seconds : {0.05, 0.1, 0.5, 7.0}) histogram.observe(seconds);
  Exposition out;
  out.family(Kind::kHistogram, "railhead_took_seconds", "Took.");
  out.sample({{"operation", "ADD"}}, histogram.value());
  const std::string text = out.takeText();
  EXPECT_THAT(text, HasSubstr("railhead_took_seconds_bucket{operation=\"ADD\",le=\"0.1\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("railhead_took_seconds_bucket{operation=\"ADD\",le=\"1\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("railhead_took_seconds_bucket{operation=\"ADD\",le=\"+Inf\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("railhead_took_seconds_count{operation=\"ADD\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("railhead_took_seconds_sum{operation=\"ADD\"} 7.65"));
}

}  // namespace
}  // namespace railhead::metrics
