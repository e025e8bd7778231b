#include "src/conflist/uninstall.h"

#include "tests/support/memory_filesystem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::conflist {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kConflist = "/net.d/00-railhead.conflist";
constexpr const char* kProgram = "/bin/railhead";

class Uninstall : public testing::Test {
 protected:
  Uninstall() {
    files_.put("/net.d/05-cilium.conflist",
               R"({"cniVersion":"0.3.1","name":"c","plugins":[{"type":"cilium-cni"}]})");
    files_.put(kConflist, R"({"cniVersion":"0.3.1","name":"c",
                          "plugins":[{"type":"cilium-cni"},{"type":"railhead"}]})");
    files_.put(kProgram, "program");
  }
  UninstallOutcome run() {
    const auto outcome =
        uninstall(files_, {"/net.d", "/bin", "00-railhead.conflist", "/var/lib/cni/results"});
    EXPECT_TRUE(outcome.has_value()) << outcome.error().message;
    return outcome.value_or(UninstallOutcome());
  }
  testing_support::MemoryFilesystem files_;
};

TEST_F(Uninstall, TakesTheFileAndThenTheProgram) {
  const auto gone = run();
  EXPECT_THAT(gone.changes, ElementsAre(HasSubstr(kConflist), HasSubstr(kProgram)));
  EXPECT_EQ(gone.stays, "");
  EXPECT_FALSE(files_.exists(kConflist));
  EXPECT_FALSE(files_.exists(kProgram));
  EXPECT_TRUE(files_.exists("/net.d/05-cilium.conflist"));
  EXPECT_THAT(run().changes, IsEmpty());
}

TEST_F(Uninstall, LeavesAProgramThatAnotherFileNames) {
  files_.put("/net.d/04-hand.conflist",
             R"({"name":"h","plugins":[{"type":"bridge"},{"type":"railhead"}]})");
  EXPECT_THAT(run().stays, HasSubstr("04-hand.conflist names it"));
  EXPECT_FALSE(files_.exists(kConflist));
  EXPECT_TRUE(files_.exists(kProgram));
}

TEST_F(Uninstall, LeavesTheFileThatMultusWorksWith) {
  files_.put("/net.d/00-multus.conf", R"({"name":"m","type":"multus-shim",
      "clusterNetwork":"/host/etc/cni/net.d/00-railhead.conflist"})");
  const auto outcome = run();
  EXPECT_THAT(outcome.changes, IsEmpty());
  EXPECT_THAT(outcome.stays, HasSubstr("00-multus.conf has it as its network; end Multus"));
  EXPECT_TRUE(files_.exists(kConflist));
  EXPECT_TRUE(files_.exists(kProgram));
}

// CRI-O takes a pod down with the list that it was made with.
TEST_F(Uninstall, LeavesTheProgramToPodsThatWereMadeWithIt) {
  const std::string cached = "/var/lib/cni/results/cilium-abc-eth0";
  // {"name":"c","plugins":[{"type":"cilium-cni"},{"type":"railhead"}]}
  files_.put(cached,
             R"({"kind":"cniCacheV1","config":"eyJuYW1lIjoiYyIsInBsdWdpbnMiOlt7InR5cGUiOiJja)"
             R"(WxpdW0tY25pIn0seyJ0eXBlIjoicmFpbGhlYWQifV19"})");
  // {"name":"c","plugins":[{"type":"cilium-cni"}]}
  files_.put("/var/lib/cni/results/cilium-def-eth0",
             R"({"config":"eyJuYW1lIjoiYyIsInBsdWdpbnMiOlt7InR5cGUiOiJjaWxpdW0tY25pIn1dfQ=="})");
  files_.put("/var/lib/cni/results/odd", "{");
  const auto outcome = run();
  EXPECT_FALSE(files_.exists(kConflist));
  EXPECT_TRUE(files_.exists(kProgram));
  EXPECT_THAT(outcome.stays, HasSubstr("1 pods were made with it"));
  files_.erase(cached);
  EXPECT_THAT(run().changes, ElementsAre(HasSubstr(kProgram)));
}

}  // namespace
}  // namespace railhead::conflist
