// Plugins as real processes; what a fake answers for is in attacher_plugins_test.cc.
#include "src/attach/plugin_chain.h"

#include <cstdlib>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::attach {
namespace {

using testing::HasSubstr;

class PluginChainTest : public testing::Test {
 protected:
  void SetUp() override {
    char directory[] = "/tmp/railhead-plugins-XXXXXX";
    ASSERT_NE(::mkdtemp(directory), nullptr);
    folder_ = directory;
    attachment_.id = {"sandbox", "eth0"};
    attachment_.cniArgs = "IgnoreUnknown=1";
    files_ = std::move(*os::RootedFilesystem::open("/"));
  }
  void TearDown() override {
    ::unlink((folder_ + "/plugin").c_str());
    ::rmdir((folder_ + "/state/tuning").c_str());
    ::rmdir((folder_ + "/state").c_str());
    ::rmdir(folder_.c_str());
  }

  Result<void> add(const std::string& script, const std::string& config = R"({"type":"plugin"})") {
    std::ofstream(folder_ + "/plugin") << "#!/bin/sh\n" << script;
    ::chmod((folder_ + "/plugin").c_str(), 0755);
    chain_ = {"ns/x", "net1", "1.0.0", {{"plugin", config}}, false, 0, ""};
    const PluginChains chains(
        {processes_, *files_, folder_, folder_ + "/state", std::chrono::seconds(60)}, attachment_,
        "/var/run/netns/x");
    return chains.add(chain_, R"({"cniVersion":"1.0.0"})", [] { return Result<void>(); });
  }

  std::string folder_;
  os::SystemProcessRunner processes_;
  std::unique_ptr<os::RootedFilesystem> files_;
  Attachment attachment_;
  ChainRecord chain_;
};

TEST_F(PluginChainTest, GetsItsConfigurationAndNothingOfOurEnvironment) {
  ::setenv("RAILHEAD_OWN", "secret", 1);
  const auto added = add(R"sh(
config=$(cat)
[ "$config" = '{"type":"plugin","prevResult":{"cniVersion":"1.0.0"}}' ] || exit 3
printf '{"cniVersion":"1.0.0","interfaces":[{"name":"%s","mac":"%s","sandbox":"%s"}]}' \
  "$CNI_IFNAME" "$CNI_COMMAND $CNI_CONTAINERID $CNI_ARGS$RAILHEAD_OWN" "$CNI_NETNS"
)sh");
  ::unsetenv("RAILHEAD_OWN");
  ASSERT_TRUE(added.has_value()) << added.error().describe();
  EXPECT_EQ(chain_.result,
            R"({"cniVersion":"1.0.0","interfaces":[{"name":"net1",)"
            R"("mac":"ADD sandbox IgnoreUnknown=1","sandbox":"/var/run/netns/x"}]})");
}

// Made by `tuning` itself, it would have no search permission, and the agent no right to go
// without.
TEST_F(PluginChainTest, FindsItsFolderMadeWhenItIsOurs) {
  const std::string ours = folder_ + "/state/tuning";
  const std::string script = R"sh(sed 's/.*"dataDir":"\([^"]*\)".*/\1/' >"$0.said"
[ "$(stat -c %a "$(cat "$0.said")")" = 700 ] || exit 9
rm "$0.said"
printf '{"cniVersion":"1.0.0"}')sh";
  const auto added = add(script, R"({"type":"plugin","dataDir":")" + ours + "\"}");
  EXPECT_TRUE(added.has_value()) << added.error().describe();
  const std::string theirs = folder_ + "/elsewhere";
  EXPECT_FALSE(add("exit 1\n", R"({"type":"plugin","dataDir":")" + theirs + "\"}").has_value());
  EXPECT_NE(::access(theirs.c_str(), F_OK), 0);
}

TEST_F(PluginChainTest, SaysWhatAFailingOneSaid) {
  auto added = add("echo 'no such bridge' >&2; exit 7\n");
  ASSERT_FALSE(added.has_value());
  EXPECT_EQ(added.error().message,
            "CNI plugin plugin, ADD net1: it ended with 7: 'no such bridge'");
  added = add("exit 1\n");
  EXPECT_THAT(added.error().message, HasSubstr("it ended with 1 and said nothing"));
  added = add(R"sh(echo '{"code":7,"msg":"bad master"}'; exit 1)sh");
  EXPECT_EQ(added.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(chain_.begun, 1U);  // its DEL is owed
}

TEST_F(PluginChainTest, BoundsWhatItPrints) {
  const auto added = add("head -c 300000 /dev/zero\n");
  ASSERT_FALSE(added.has_value());
  EXPECT_EQ(added.error().code, ErrorCode::kExhausted);
}

}  // namespace
}  // namespace railhead::attach
