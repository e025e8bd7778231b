#include "src/advertise/cdi.h"

#include "tests/support/memory_filesystem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::advertise {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;
using testing_support::MemoryFilesystem;

TEST(Cdi, NamesAreThoseThatRuntimesTake) {
  EXPECT_EQ(cdiDeviceName("0000:01:00.2+0002:01:00.2"), "0000:01:00.2_0002:01:00.2");
  EXPECT_TRUE(isCdiKind("nvidia.com/cx7_qsfp"));
  EXPECT_TRUE(isCdiKind("a/b"));
  for (const char* wrong : {"nvidia.com/100g", "3com.com/nic", "gpu", "a/b-", "/b", "a/"})
    EXPECT_FALSE(isCdiKind(wrong)) << wrong;
}

TEST(Cdi, ADeviceThatChangesNothingIsLeftOut) {
  EXPECT_EQ(encodeCdiSpec({"a.io/b", {{"one", {}}}, {"/dev/x"}}), "");
  const std::string text = encodeCdiSpec({"a.io/b", {{"one", {}}, {"two", {"/dev/y"}}}, {}});
  EXPECT_EQ(text.find("one"), std::string::npos);
  EXPECT_NE(text.find("/dev/y"), std::string::npos);
}

TEST(Cdi, ReadsItsOwnSpecificationsAndNothingElse) {
  MemoryFilesystem files;
  CdiFolder folder(files, "/run/cdi", {});
  const std::string name = "railhead-a.json";
  EXPECT_THAT(folder.ourNodes(name, "a.io/b"), IsEmpty());
  const std::string text = encodeCdiSpec({"a.io/b", {{"one", {"/dev/x", "/dev/y"}}}, {"/dev/z"}});
  ASSERT_TRUE(folder.put(name, text).has_value());
  EXPECT_THAT(folder.ourNodes(name, "a.io/b"),
              ElementsAre(Pair("one", ElementsAre("/dev/x", "/dev/y"))));
  EXPECT_THAT(folder.ourNodes(name, "a.io/other"), IsEmpty());
  for (const char* wrong :
       {"", "{", "[]", R"({"kind": "a.io/b"})", R"({"kind": "a.io/b", "devices": [3, {}]})"}) {
    EXPECT_THAT(decodeCdiNodes(wrong, "x", "a.io/b"), IsEmpty()) << wrong;
  }
  const std::string odd =
      R"({"kind": "a.io/b", "devices": [{"name": "one", "containerEdits": {"deviceNodes": [{}, 7]}}]})";
  EXPECT_THAT(decodeCdiNodes(odd, "x", "a.io/b"), ElementsAre(Pair("one", IsEmpty())));
}

TEST(Cdi, WritesWhatIsDifferentAndRemovesWhatIsGone) {
  int writes = 0;
  MemoryFilesystem files([&](const std::string& what) -> Result<void> {
    writes += what.find("cdi/railhead-a") != std::string::npos ? 1 : 0;
    return {};
  });
  CdiFolder folder(files, "/run/cdi", {});
  ASSERT_TRUE(folder.put("railhead-a.json", "1").has_value());
  const int once = writes;
  ASSERT_TRUE(folder.put("railhead-a.json", "1").has_value());
  EXPECT_EQ(writes, once);
  EXPECT_EQ(*files.readFile("/run/cdi/railhead-a.json"), "1");
  // Somebody clears the folder: it is written again.
  files.erase("/run/cdi/railhead-a.json");
  ASSERT_TRUE(folder.put("railhead-a.json", "1").has_value());
  EXPECT_TRUE(files.exists("/run/cdi/railhead-a.json"));

  files.put("/run/cdi/railhead-old.json", "");
  files.put("/run/cdi/nvidia.yaml", "");
  ASSERT_TRUE(folder.removeOthers("railhead-", {"railhead-a.json"}).has_value());
  EXPECT_THAT(*files.listDirectory("/run/cdi"), ElementsAre("nvidia.yaml", "railhead-a.json"));
  ASSERT_TRUE(folder.put("railhead-a.json", "").has_value());
  EXPECT_THAT(*files.listDirectory("/run/cdi"), ElementsAre("nvidia.yaml"));
}

TEST(Cdi, SeesWhatOtherProgramsSpecify) {
  MemoryFilesystem files;
  CdiFolder folder(files, "/run/cdi", {"/etc/cdi"});
  EXPECT_THAT(folder.foreignNames("nvidia.com/gpu"), IsEmpty());
  files.put(
      "/etc/cdi/nvidia.yaml",
      "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n  containerEdits: {}\n"
      "- name: all\n");
  files.put("/etc/cdi/other.yaml", "kind: a.io/b\ndevices: [{name: x}]\n");
  files.put("/etc/cdi/broken.json", "{\"kind\": ");
  files.put("/etc/cdi/odd.json",
            "{\"kind\": \"nvidia.com/gpu\", \"devices\": [3, {\"name\": []}]}");
  files.put("/run/cdi/railhead-nvidia-gpu.json",
            "{\"kind\": \"nvidia.com/gpu\", \"devices\": [{\"name\": \"ours\"}]}");
  EXPECT_THAT(
      folder.foreignNames("nvidia.com/gpu"),
      UnorderedElementsAre(Pair("0", "/etc/cdi/nvidia.yaml"), Pair("all", "/etc/cdi/nvidia.yaml")));
}

}  // namespace
}  // namespace railhead::advertise
