// Every fuzz target over its seeds, and over mutations of them: the same inputs each time, under
// every compiler and sanitizer. libFuzzer goes further (./dev fuzz).
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/seeds.h"
#include "tests/fuzz/targets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::fuzz {
namespace {

struct Row {
  const char* name;
  bool (*target)(std::string_view);
  int rounds = 4000;
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class FuzzTarget : public testing::TestWithParam<Row> {
 protected:
  void SetUp() override {
    auto read = readSeeds("tests/fuzz/seeds/" + std::string(GetParam().name) + ".seeds");
    ASSERT_TRUE(read.has_value()) << read.error().describe();
    ASSERT_FALSE(read->empty());
    seeds_ = std::move(*read);
  }
  std::vector<Seed> seeds_;
};

TEST_P(FuzzTarget, TakesItsSeeds) {
  for (const auto& seed : seeds_)
    EXPECT_EQ(GetParam().target(seed.bytes), !seed.refused) << seed.name;
}

TEST_P(FuzzTarget, StandsMutations) {
  SplitMix random(20240607);
  for (int round = 0; round < GetParam().rounds; ++round) {
    const auto& seed = seeds_[static_cast<std::size_t>(round) % seeds_.size()];
    GetParam().target(testing_support::mutated(seed.bytes, random));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, FuzzTarget,
    testing::Values(Row{"agent_config", agentConfig, 2000}, Row{"attach_record", attachRecord},
                    Row{"bench_wire", benchWire}, Row{"checkpoint_record", checkpointRecord},
                    Row{"cni_request", cniRequest, 8000}, Row{"cni_result", cniResult},
                    Row{"gang_wire", gangWire, 20000}, Row{"http_request", httpRequest, 20000},
                    Row{"kernel_messages", kernelMessages, 20000}, Row{"kube_api", kubeApi},
                    Row{"kubelet_requests", kubeletRequests}, Row{"lab_frames", labFrames, 20000},
                    Row{"lab_topology", labTopology, 2000}, Row{"nad_config", nadConfig},
                    Row{"networks_annotation", networksAnnotation},
                    Row{"primary_conflist", primaryConflist}, Row{"shim_frames", shimFrames},
                    Row{"tensor_header", tensorHeader}, Row{"sysfs", sysfs, 300},
                    Row{"train_records", trainRecords}, Row{"train_run_file", trainRunFile, 2000},
                    Row{"tune_records", tuneRecords}, Row{"tuned_profile", tunedProfile, 2000},
                    Row{"tuner_proof", tunerProof, 20000}, Row{"tuner_table", tunerTable}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Seeds, AreReadAsTheyAreWritten) {
  const auto seeds =
      parseSeeds("# comment\n\n==== a\none\ntwo\n\n==== b refused escaped\n\\x00x\n\\x0a\n");
  ASSERT_TRUE(seeds.has_value()) << seeds.error().describe();
  ASSERT_EQ(seeds->size(), 2U);
  EXPECT_EQ(seeds->at(0).name, "a");
  EXPECT_EQ(seeds->at(0).bytes, "one\ntwo\n");
  EXPECT_FALSE(seeds->at(0).refused);
  EXPECT_EQ(seeds->at(1).bytes, std::string("\0x\n", 3));
  EXPECT_TRUE(seeds->at(1).refused);
}

TEST(Seeds, AFaultIsNamedWithItsLine) {
  const auto fault = [](std::string_view text) {
    const auto seeds = parseSeeds(text);
    return seeds.has_value() ? "none" : seeds.error().message;
  };
  EXPECT_THAT(fault("one\n"), testing::HasSubstr("line 1"));
  EXPECT_THAT(fault("==== a\n\n==== ../b\n"), testing::HasSubstr("line 3"));
  EXPECT_THAT(fault("==== a refuse\n"), testing::HasSubstr("'refuse'"));
  EXPECT_THAT(fault("==== a escaped\n\\n\n"), testing::HasSubstr("\\xNN"));
  EXPECT_THAT(fault("==== a from none/such\n"), testing::HasSubstr("none/such"));
}

}  // namespace
}  // namespace railhead::fuzz
