#include "src/os/tcp.h"

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::os {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

TEST(Endpoint, ParsesBothFamilies) {
  EXPECT_EQ(Endpoint::parse("10.0.0.1:7471")->toString(), "10.0.0.1:7471");
  EXPECT_EQ(Endpoint::parse("[fd00::1]:7471")->port, 7471);
  EXPECT_EQ(Endpoint::parse(":7471")->toString(), "0.0.0.0:7471");
  for (const char* bad : {"", "10.0.0.1", "10.0.0.1:", "10.0.0.1:70000", "host:1", "fd00::1:7471",
                          "[10.0.0.1]:1", "10.0.0.1:-1"}) {
    const auto result = Endpoint::parse(bad);
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  }
}

// getaddrinfo_a works in a thread of glibc's own, which the thread sanitizer does not know of.
#ifdef __SANITIZE_THREAD__
#define SKIP_WITH_TSAN() GTEST_SKIP() << "getaddrinfo_a ends a program under the thread sanitizer"
#else
#define SKIP_WITH_TSAN() static_cast<void>(0)
#endif

TEST(ResolveHost, TakesAddressesAsTheyAreAndNamesFromTheSystem) {
  SKIP_WITH_TSAN();
  EXPECT_EQ(resolveHost("10.0.0.1", in(1s))->toString(), "10.0.0.1");
  EXPECT_EQ(resolveHost("fd00::1", in(1s))->toString(), "fd00::1");
  EXPECT_THAT(resolveHost("localhost", in(5s))->toString(), testing::AnyOf("127.0.0.1", "::1"));
}

TEST(ResolveHost, NamesTheHostThatHasNoAddress) {
  SKIP_WITH_TSAN();
  const auto result = resolveHost("no-such-host.invalid", in(200ms));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(result.error().message, HasSubstr("no-such-host.invalid"));
  EXPECT_EQ(resolveHost("", in(1s)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(resolveHost("two words", in(1s)).error().code, ErrorCode::kInvalidArgument);
}

TEST(OwnAddressTowards, IsTheLoopbackOneForOneself) {
  EXPECT_EQ(ownAddressTowards(IpAddress::parse("127.0.0.5").value())->toString(), "127.0.0.1");
}

}  // namespace
}  // namespace railhead::os
