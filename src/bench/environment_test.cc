#include "src/bench/environment.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace railhead::bench {
namespace {

namespace fs = std::filesystem;

class EnvironmentTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "railhead-environment-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  fs::path root_;
};

TEST_F(EnvironmentTest, ReadsDriverAndPcieLinkOfARealDevice) {
  const std::string pci = "sys/devices/pci0000:00/0000:01:00.0";
  write(pci + "/current_link_speed", "32.0 GT/s PCIe\n");
  write(pci + "/current_link_width", "4\n");
  fs::create_directories(root_ / "sys/bus/pci/drivers/mlx5_core");
  fs::create_directory_symlink("../../../bus/pci/drivers/mlx5_core", root_ / pci / "driver");
  fs::create_directories(root_ / "sys/class/infiniband/rocep1s0f0");
  fs::create_directory_symlink("../../../devices/pci0000:00/0000:01:00.0",
                               root_ / "sys/class/infiniband/rocep1s0f0/device");
  verbs::DeviceInfo device;
  device.name = "rocep1s0f0";
  device.firmware = "28.45.1200";
  const auto filesystem = os::RootedFilesystem::open(root_.string()).value();
  const Environment environment = readEnvironment(*filesystem, "/sys", {device});
  EXPECT_FALSE(environment.kernel.empty());
  EXPECT_FALSE(environment.architecture.empty());
  ASSERT_EQ(environment.devices.size(), 1U);
  EXPECT_EQ(environment.devices[0].driver, "mlx5_core");
  EXPECT_EQ(environment.devices[0].firmware, "28.45.1200");
  ASSERT_TRUE(environment.devices[0].pcie.has_value());
  EXPECT_NEAR(environment.devices[0].pcie->rate.gbps(), 126.03, 0.01);
}

TEST_F(EnvironmentTest, ASoftDeviceHasNoPcieLink) {
  verbs::DeviceInfo device;
  device.name = "rxe0";
  device.software = true;
  const auto filesystem = os::RootedFilesystem::open(root_.string()).value();
  const Environment environment = readEnvironment(*filesystem, "/sys", {device});
  EXPECT_EQ(environment.devices[0].driver, "rdma_rxe");
  EXPECT_FALSE(environment.devices[0].pcie.has_value());
}

}  // namespace
}  // namespace railhead::bench
