#include "src/verbs/types.h"

#include "src/verbs/buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::verbs {
namespace {

TEST(Gid, MappedAddressGoesThereAndBack) {
  const auto address = IpAddress::parse("10.100.0.5").value();
  const Gid gid = Gid::fromIp(address);
  EXPECT_EQ(gid.toString(), "0000:0000:0000:0000:0000:ffff:0a64:0005");
  EXPECT_EQ(gid.ip(), address);
  EXPECT_EQ(Gid::parse(gid.toString()).value(), gid);
}

TEST(Gid, LinkLocalStaysIpv6) {
  const auto gid = Gid::parse("fe80:0000:0000:0000:0000:5eff:fe10:0001").value();
  EXPECT_TRUE(gid.ip().v6);
  EXPECT_EQ(Gid::fromIp(gid.ip()), gid);
}

TEST(Gid, RefusesWhatIsNotAGid) {
  for (const char* bad :
       {"", "fe80::1", "0000:0000:0000:0000:0000:ffff:0a64",
        "0000:0000:0000:0000:0000:ffff:0a64:000g", "0000:0000:0000:0000:0000:ffff:0a64:0x05",
        "0000:0000:0000:0000:0000:ffff:0a64:0005:0000"}) {
    const auto result = Gid::parse(bad);
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(result.error().message, testing::HasSubstr("eight groups"));
  }
}

TEST(Completion, SaysTheCauseAndTheProvidersCode) {
  Completion completion;
  completion.status = CompletionStatus::kRetryExceeded;
  completion.vendorStatus = 12;
  EXPECT_EQ(describe(completion), "no acknowledgement from the peer (12)");
}

TEST(Buffer, IsZeroedAlignedAndRefusesNothing) {
  auto buffer = Buffer::allocate(10000).value();
  EXPECT_EQ(buffer.bytes().size(), 10000U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.bytes().data()) % 4096, 0U);
  EXPECT_EQ(buffer.bytes()[9999], std::byte{0});
  const Buffer moved = std::move(buffer);
  EXPECT_EQ(moved.bytes().size(), 10000U);
  EXPECT_FALSE(Buffer::allocate(0).has_value());
}

}  // namespace
}  // namespace railhead::verbs
