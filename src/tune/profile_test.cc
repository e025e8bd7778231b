#include "src/tune/profile.h"

#include "src/config/field.h"
#include "src/tune/export.h"
#include "src/tune/trial.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

using testing::HasSubstr;

Fingerprint twinPair() {
  return {{"NVIDIA GB10"},
          {"15b3:1021", "15b3:1021"},
          {"200 Gb/s", "200 Gb/s"},
          9000,
          2,
          2,
          NcclVersions{{2, 28, 3}, {2, 30, 7}}};
}

SearchResult foundResult(const Objective& objective) {
  SearchResult result;
  result.validated = true;
  result.trials = 90;
  result.seconds = 1.0 / 3;
  result.gain = {12, 0.1, 0.05, 0.15};
  result.plan.environment = *Setting::parse("NCCL_IB_HCA==a,b NCCL_NTHREADS=512");
  for (std::size_t i = 0; i < objective.sizes().size(); ++i) {
    const bool small = objective.sizes()[i].bytes < 65536;
    result.plan.choices.push_back(*Setting::parse(
        small ? "algorithm=tree protocol=ll" : "algorithm=ring channels=8 protocol=simple"));
    result.sizes.push_back({{12, 0.1, 0.05, 0.15}, 1e-3, 0.9e-3});
  }
  return result;
}

Objective twoCollectives() {
  return *Objective::over(ObjectiveKind::kBandwidth, {{"allreduce", 4096, false},
                                                      {"allreduce", 16384, false},
                                                      {"allreduce", 65536, false},
                                                      {"allreduce", 16U << 20, false},
                                                      {"allgather", 1U << 20, false}});
}

Profile tuned() {
  const Objective objective = twoCollectives();
  return *makeProfile(twinPair(), objective, foundResult(objective), 7);
}

TEST(Profile, TheTableReachesHalfWayToTheNeighboursAndNoFurtherThanAnOctave) {
  std::vector<std::string> rows;
  for (const TableRow& row : tuned().table) rows.push_back(rowText(row));
  EXPECT_THAT(rows, testing::ElementsAre("allgather 2 2 524288 2097152 ring simple 8",
                                         "allreduce 2 2 2048 32767 tree ll 0",
                                         "allreduce 2 2 32768 33554432 ring simple 8"));
}

TEST(Profile, SizesAtWhichNothingBeatTheDefaultAreLeftToIt) {
  const Objective objective = twoCollectives();
  SearchResult result = foundResult(objective);
  result.plan.choices[2] = Setting();  // allreduce of 16384: between two that have a choice
  const auto profile = makeProfile(twinPair(), objective, result, 7);
  ASSERT_TRUE(profile.has_value());
  ASSERT_EQ(profile->table.size(), 3U);
  EXPECT_EQ(rowText(profile->table[1]), "allreduce 2 2 2048 8191 tree ll 0");
  EXPECT_EQ(profile->table[2].minBytes, 32768U);
  result.validated = false;
  EXPECT_FALSE(makeProfile(twinPair(), objective, result, 7).has_value());
}

TEST(Profile, OneRankHasNoTable) {
  const Objective objective = twoCollectives();
  Fingerprint alone = twinPair();
  alone.ranks = alone.nodes = 1;
  const auto profile = makeProfile(alone, objective, foundResult(objective), 7);
  ASSERT_TRUE(profile.has_value()) << profile.error().describe();
  EXPECT_THAT(profile->table, testing::IsEmpty());
  EXPECT_EQ(*parseProfile(*writeProfile(*profile), "p.yaml"), *profile);
}

TEST(Profile, ComesBackAsItWasWritten) {
  const Profile profile = tuned();
  const auto text = writeProfile(profile);
  ASSERT_TRUE(text.has_value()) << text.error().describe();
  const auto back = parseProfile(*text, "p.yaml");
  ASSERT_TRUE(back.has_value()) << back.error().describe();
  EXPECT_EQ(*back, profile);
  EXPECT_EQ(*writeProfile(*back), *text);
  EXPECT_THAT(*text, testing::EndsWith("hash: " + profileHash(profile) + "\n"));
  // How it is laid out is not what it says.
  EXPECT_EQ(*parseProfile("# a comment\n" + *text + "\n\n", "p.yaml"), profile);

  Profile host = profile;
  host.fabric.nccl.reset();
  host.table.clear();
  host.sizes.clear();
  host.environment = *Setting::parse("rails=2 transport=verbs");
  EXPECT_EQ(*parseProfile(*writeProfile(host), "p.yaml"), host);
  host.environment = {};
  EXPECT_EQ(*parseProfile(*writeProfile(host), "p.yaml"), host);
}

std::string spoiled(const std::string& from, const std::string& to) {
  std::string text = *writeProfile(tuned());
  const auto at = text.find(from);
  if (at == std::string::npos) return "not found: " + from;
  text.replace(at, from.size(), to);
  const auto profile = parseProfile(text, "p.yaml");
  return profile.has_value() ? "taken" : profile.error().message;
}

TEST(Profile, EveryChangeOfAValueIsFound) {
  const std::string text = *writeProfile(tuned());
  int found = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9') continue;
    std::string changed = text;
    changed[i] = text[i] == '9' ? '8' : static_cast<char>(text[i] + 1);
    EXPECT_FALSE(parseProfile(changed, "p.yaml").has_value()) << text.substr(i, 20);
    ++found;
  }
  EXPECT_GT(found, 200);
  EXPECT_THAT(spoiled("NCCL_NTHREADS: \"512\"", "NCCL_NTHREADS: \"256\""),
              HasSubstr("and the content's is"));
}

TEST(Profile, ComplaintsNameLineFieldAndWhatIsAllowed) {
  EXPECT_THAT(spoiled("schemaVersion: 1", "schemaVersion: 2"),
              HasSubstr("p.yaml:1: schemaVersion is '2'"));
  EXPECT_THAT(spoiled("  mtu: 9000", "  mtu: 9000\n  colour: red"),
              HasSubstr("p.yaml:7: fabric.colour is unknown"));
  EXPECT_THAT(spoiled("NCCL_NTHREADS", "LD_PRELOAD"),
              HasSubstr("p.yaml:12: environment.LD_PRELOAD is no knob"));
  EXPECT_THAT(spoiled("NCCL_NTHREADS", "NCCL_CHUNK_SIZE"), HasSubstr("is no knob"));
  EXPECT_THAT(spoiled("\"512\"", "\"513\""),
              HasSubstr("environment.NCCL_NTHREADS is '513'; allowed: 64, 128, 256, 512"));
  EXPECT_THAT(spoiled("\"512\"", "\"5'12\""), HasSubstr("allowed: 1 to 128 letters"));
  EXPECT_THAT(spoiled("tree ll 0", "tree lll 0"), HasSubstr("protocol is 'lll'"));
  EXPECT_THAT(spoiled("2048 32767", "2048 32768"), HasSubstr("overlaps"));
  EXPECT_THAT(spoiled("\"NVIDIA GB10\"", "\"a\\nb\""), HasSubstr("fabric.gpus[0]"));
  EXPECT_THAT(spoiled("least: \"2.28.3\"", "least: \"2.31.0\""), HasSubstr("fabric.nccl.most"));
  EXPECT_THAT(spoiled("log: 0.1,", "log: nan,"), HasSubstr("gain.log"));
  EXPECT_THAT(spoiled("operation: allgather", "operation: all gather"), HasSubstr("operation"));
  EXPECT_THAT(spoiled("hash: ", "hash: 1"), HasSubstr("hash"));
  EXPECT_THAT(parseProfile("", "p.yaml").error().message, HasSubstr("schemaVersion is missing"));
  EXPECT_FALSE(parseProfile("[", "p.yaml").has_value());
  EXPECT_FALSE(parseProfile("- a", "p.yaml").has_value());
}

TEST(Profile, WhatCouldNotBeReadBackIsNotWritten) {
  const auto refused = [](auto change) {
    Profile profile = tuned();
    change(profile);
    return !writeProfile(profile).has_value();
  };
  EXPECT_FALSE(refused([](Profile&) {}));
  EXPECT_TRUE(refused([](Profile& p) { p.fabric.gpus = {"a\"b"}; }));
  EXPECT_TRUE(refused([](Profile& p) { p.fabric.nodes = 3; }));
  EXPECT_TRUE(refused([](Profile& p) { p.environment.set("PATH", "x"); }));
  EXPECT_TRUE(refused([](Profile& p) { p.environment.set("NCCL_NTHREADS", "a b"); }));
  EXPECT_TRUE(refused([](Profile& p) { std::swap(p.table[0], p.table[1]); }));
  EXPECT_TRUE(refused([](Profile& p) { p.gain.mean = std::numeric_limits<double>::infinity(); }));
  EXPECT_TRUE(refused([](Profile& p) { p.sizes.resize(1000, p.sizes[0]); }));
  // What only the reader refuses.
  EXPECT_TRUE(refused([](Profile& p) { p.environment.set("NCCL_NTHREADS", "513"); }));
  EXPECT_TRUE(refused([](Profile& p) { p.sizes[0].size.operation = "all=reduce"; }));
  EXPECT_TRUE(refused([](Profile& p) { p.fabric.nccl->most = {1, 0, 0}; }));
  EXPECT_TRUE(refused([](Profile& p) { p.fabric.nccl->most.major = 10000; }));
  EXPECT_TRUE(refused([](Profile& p) { p.gain.pairs = kMaxRecords + 1; }));
}

TEST(Profile, ItsLimitsFitAFile) {
  Profile profile = tuned();
  profile.table.clear();
  for (std::uint64_t i = 0; i < kMaxProfileRows; ++i) {
    profile.table.push_back({"reducescatter", kMaxTableRanks, kMaxTableRanks, (1ULL << 50) + i,
                             (1ULL << 50) + i, "collnetdirect", "simple", 0});
  }
  profile.sizes.resize(256, profile.sizes[0]);
  const auto text = writeProfile(profile);
  ASSERT_TRUE(text.has_value()) << text.error().describe();
  const auto back = parseProfile(*text, "p.yaml");
  ASSERT_TRUE(back.has_value()) << back.error().describe();
  EXPECT_EQ(*back, profile);
}

TEST(Profile, AnotherFabricIsNamedByItsField) {
  const Profile profile = tuned();
  Fingerprint there = twinPair();
  there.nccl = NcclVersions{{2, 29, 0}, {2, 29, 0}};
  EXPECT_TRUE(matches(profile, there).has_value());
  there.nccl = NcclVersions{{2, 31, 0}, {2, 31, 0}};
  EXPECT_THAT(matches(profile, there).error().message,
              HasSubstr("nccl is '2.31.0' here and '2.28.3 to 2.30.7' in the profile"));
  there = twinPair();
  there.mtu = 1500;
  EXPECT_THAT(matches(profile, there).error().message, HasSubstr("mtu is '1500' here and '9000'"));
  EXPECT_EQ(matches(profile, there).error().code, ErrorCode::kCheckFailed);
  there = twinPair();
  there.links.pop_back();
  EXPECT_THAT(matches(profile, there).error().message, HasSubstr("links is '200 Gb/s' here"));
  there = twinPair();
  there.nccl.reset();
  EXPECT_THAT(matches(profile, there).error().message, HasSubstr("nccl is 'none' here"));
}

TEST(Profile, DifferencesAreLines) {
  const Profile before = tuned();
  EXPECT_THAT(diff(before, before), testing::IsEmpty());
  Profile after = before;
  after.environment.set("NCCL_NTHREADS", kDefault);
  after.table[1].protocol = "ll128";
  after.table.pop_back();
  after.fabric.mtu = 1500;
  EXPECT_THAT(
      diff(before, after),
      testing::ElementsAre("environment NCCL_NTHREADS: 512 -> default", "fabric mtu: 9000 -> 1500",
                           "table allreduce 2 2 2048 32767: tree ll 0 -> tree ll128 0",
                           "table allreduce 2 2 32768 33554432: ring simple 8 -> default"));
}

TEST(Export, KnobsOfTheHostBackendAreLeftOutAndNamed) {
  Profile host = tuned();
  host.fabric.nccl.reset();
  host.environment = *Setting::parse("rails=2 transport=verbs");
  const std::string comments = "# railhead profile " + profileHash(host) +
                               "\n# left out, of the host backend: rails=2\n"
                               "# left out, of the host backend: transport=verbs\n";
  EXPECT_EQ(ncclConf(host), comments);
  EXPECT_EQ(shellEnvironment(host), comments);
}

TEST(Export, EachFormSaysTheSame) {
  const Profile profile = tuned();
  const std::string hash = profileHash(profile);
  EXPECT_EQ(ncclConf(profile),
            "# railhead profile " + hash + "\nNCCL_IB_HCA==a,b\nNCCL_NTHREADS=512\n");
  EXPECT_EQ(
      shellEnvironment(profile),
      "# railhead profile " + hash + "\nexport NCCL_IB_HCA='=a,b'\nexport NCCL_NTHREADS='512'\n");
  const auto table = tunerTable(profile);
  ASSERT_TRUE(table.has_value());
  EXPECT_EQ(*parseTable(*table, "t"), (Table{hash, profile.table}));

  const auto map = configMap(profile, "railhead-profile", "kube-system");
  ASSERT_TRUE(map.has_value()) << map.error().describe();
  const auto root = config::Field::parse(*map, "map.yaml");
  ASSERT_TRUE(root.has_value()) << root.error().describe();
  EXPECT_EQ(*root->nearest("metadata.name").text("a name"), "railhead-profile");
  const auto data = root->child("data");
  EXPECT_EQ(*parseProfile(*data.child("profile.yaml").text("text", 1 << 16), "p"), profile);
  EXPECT_EQ(*data.child("nccl-tuner.table").text("text", 1 << 16), *table);
  EXPECT_EQ(*data.child("nccl.conf").text("text", 1 << 16), ncclConf(profile));
  EXPECT_FALSE(configMap(profile, "Upper", "").has_value());
  EXPECT_FALSE(configMap(profile, "a\nb", "").has_value());
  EXPECT_FALSE(configMap(profile, "a", "b.c").has_value());
}

}  // namespace
}  // namespace railhead::tune
