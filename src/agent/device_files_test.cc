#include "src/agent/device_files.h"

#include "tests/support/kept_log.h"
#include "tests/support/memory_filesystem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kResource = "nvidia.com/cx7_qsfp";

class DeviceFilesTest : public testing::Test {
 protected:
  static attach::DeviceInfo info(const std::string& vf, const std::string& rdma = "") {
    return {*PciAddress::parse(vf), *PciAddress::parse("0000:01:00.0"), rdma};
  }
  std::vector<std::string> names() {
    const auto listed = files_.listDirectory("/info/dp");
    return listed.has_value() ? *listed : std::vector<std::string>();
  }

  bool refuses_ = false;
  int writes_ = 0;
  testing_support::MemoryFilesystem files_{[this](const std::string& what) -> Result<void> {
    ++writes_;
    if (refuses_) return Error::fromErrno(EROFS, what);
    return {};
  }};
  testing_support::KeptLog log_;
  DeviceFiles described_{files_, "/info", log_};
};

TEST_F(DeviceFilesTest, EveryDeviceHasOneAsTheSpecificationNamesIt) {
  described_.keep({{kResource,
                    {{"0000:01:10.0+0002:01:10.0", info("0000:01:10.0", "mlx5_2")},
                     {"0000:01:10.2+0002:01:10.2", info("0000:01:10.2")}}}});
  EXPECT_THAT(names(), ElementsAre("nvidia.com-cx7_qsfp-0000:01:10.0+0002:01:10.0-device.json",
                                   "nvidia.com-cx7_qsfp-0000:01:10.2+0002:01:10.2-device.json"));
  EXPECT_EQ(files_.readTrimmed("/info/dp/" + names()[0]).value_or(""),
            R"({"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:01:10.0",)"
            R"("pf-pci-address":"0000:01:00.0","rdma-device":"mlx5_2"}})");
  described_.keep({{kResource, {{"0000:01:10.0+0002:01:10.0", info("0000:01:10.0")}}}});
  ASSERT_THAT(names(), SizeIs(1));
  EXPECT_THAT(files_.readTrimmed("/info/dp/" + names()[0]).value_or("rdma"),
              testing::Not(HasSubstr("rdma")));
  described_.removeAll();
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(DeviceFilesTest, WhatIsAsItWasIsNotWrittenAgain) {
  const std::map<std::string, DescribedDevices> all{
      {kResource, {{"0000:01:10.0", info("0000:01:10.0")}}}};
  described_.keep(all);
  const int before = writes_;
  described_.keep(all);
  EXPECT_EQ(writes_, before);
}

TEST_F(DeviceFilesTest, WhatAKilledAgentLeftGoesAndOthersStay) {
  files_.put("/info/dp/nvidia.com-cx7_qsfp-0000:01:10.6-device.json", "{}");
  files_.put("/info/dp/nvidia.com-cx7_qsfp-b-0000:01:10.6-device.json", "{}");
  files_.put("/info/dp/other.com-x-0000:01:10.6-device.json", "{}");
  described_.keep({{kResource, {}}});
  EXPECT_THAT(names(), ElementsAre("nvidia.com-cx7_qsfp-b-0000:01:10.6-device.json",
                                   "other.com-x-0000:01:10.6-device.json"));
}

TEST_F(DeviceFilesTest, AFolderThatCannotBeWrittenIsToldOnceAndTriedAgain) {
  refuses_ = true;
  const std::map<std::string, DescribedDevices> all{
      {kResource, {{"0000:01:10.0", info("0000:01:10.0")}}}};
  described_.keep(all);
  const std::string told = log_.text();
  EXPECT_THAT(told, HasSubstr("advertise: device information: "));
  described_.keep(all);
  EXPECT_EQ(log_.text(), told);
  refuses_ = false;
  described_.keep(all);
  EXPECT_THAT(names(), SizeIs(1));
}

}  // namespace
}  // namespace railhead::agent
