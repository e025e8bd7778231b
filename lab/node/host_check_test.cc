#include "lab/node/host_check.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

using testing::HasSubstr;

// Answers for the one program that the check asks.
class AnsweringRunner final : public os::ProcessRunner {
 public:
  Result<os::ProcessResult> run(const os::ProcessSpec& spec) override {
    if (missing) return Error(ErrorCode::kNotFound, "no such program");
    return os::ProcessResult{0, answers.at(spec.argv.at(1)), ""};
  }
  bool missing = false;
  std::map<std::string, std::string> answers{
      {"-version", "QEMU emulator version 10.0.2 (Debian)\n"},
      {"-device",
       "name \"igb\", bus PCI\nname \"pcie-root-port\"\nname \"virtserialport\"\nname "
       "\"virtio-blk-pci\"\n"}};
};

class HostCheckTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/host-check-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    std::filesystem::create_directories(root_ / "proc");
    std::filesystem::create_directories(root_ / "dev");
    auto files = os::RootedFilesystem::open(root_.string());
    ASSERT_TRUE(files);
    files_ = std::move(*files);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  HostCheck check() { return HostCheck(*files_, runner_, paths_); }
  void expectEnvironment(const Result<void>& result, const std::string& part) {
    ASSERT_FALSE(result) << part;
    EXPECT_EQ(exitCodeFor(result.error().code), ExitCode::kEnvironment);
    EXPECT_THAT(result.error().message, HasSubstr(part));
    EXPECT_EQ(result.error().describe().find('\n'), std::string::npos);
  }

  std::filesystem::path root_;
  std::unique_ptr<os::RootedFilesystem> files_;
  AnsweringRunner runner_;
  os::HostPaths paths_;
};

TEST_F(HostCheckTest, GoodQemuPasses) { EXPECT_TRUE(check().checkQemu("qemu-system-x86_64")); }

TEST_F(HostCheckTest, AShareIsAFolder) {
  std::filesystem::create_directories(root_ / "home/a");
  std::ofstream(root_ / "home/file") << "x";
  EXPECT_TRUE(check().checkShare("/home/a"));
  for (const char* bad : {"/home/file", "/home/none", "home/a"}) {
    const auto checked = check().checkShare(bad);
    ASSERT_FALSE(checked) << bad;
    EXPECT_EQ(checked.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(checked.error().message, HasSubstr(bad));
  }
}

TEST_F(HostCheckTest, BadQemuIsNamed) {
  runner_.answers["-version"] = "QEMU emulator version 7.2.11 (Debian)";
  expectEnvironment(check().checkQemu("qemu"), "7.2.11");
  runner_.answers["-version"] = "hello";
  expectEnvironment(check().checkQemu("qemu"), "'hello'");
  runner_.answers["-version"] = "QEMU emulator version 8.0.0";
  runner_.answers["-device"] = "name \"pcie-root-port\"";
  expectEnvironment(check().checkQemu("qemu"), "igb");
  runner_.missing = true;
  const auto missing = check().checkQemu("qemu");
  expectEnvironment(missing, "qemu");
  EXPECT_THAT(missing.error().remedy, HasSubstr("./dev setup"));
}

TEST_F(HostCheckTest, MemoryIsComparedWithTheNodesNeed) {
  const auto topology = loadTopology("two-sparks");
  ASSERT_TRUE(topology);
  std::ofstream(root_ / "proc/meminfo") << "MemTotal: 9 kB\nMemAvailable:    4194304 kB\n";
  EXPECT_TRUE(check().checkMemory(*topology));
  std::ofstream(root_ / "proc/meminfo") << "MemTotal: 9 kB\nMemAvailable:    1048576 kB\n";
  const auto shortage = check().checkMemory(*topology);
  expectEnvironment(shortage, "1024 MiB are available");
  EXPECT_NE(shortage.error().remedy, "");
  std::ofstream(root_ / "proc/meminfo") << "MemTotal: 9 kB\n";
  expectEnvironment(check().checkMemory(*topology), "meminfo");
}

TEST_F(HostCheckTest, AcceleratorMustBeThere) {
  EXPECT_TRUE(check().checkAccelerator("tcg"));
  expectEnvironment(check().checkAccelerator("kvm"), "/dev/kvm");
  std::ofstream(root_ / "dev/kvm") << "";
  EXPECT_TRUE(check().checkAccelerator("kvm"));
  const auto unknown = check().checkAccelerator("hvf");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace railhead::lab
