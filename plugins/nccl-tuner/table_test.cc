#include "plugins/nccl-tuner/table.h"

#include "plugins/nccl-tuner/files.h"
#include "src/base/random.h"
#include "tests/support/temporary_folder.h"

#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace railhead::nccl_tuner {
namespace {

const std::string kHash = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const std::string kHead = "railhead-tuner 1\nhash " + kHash + "\n";

std::unique_ptr<Table> tableOf(const std::string& text) {
  auto table = std::make_unique<Table>();
  Remark why;
  EXPECT_TRUE(table->parse(text, why)) << why.text;
  return table;
}

std::string refusal(const std::string& text) {
  Table* const table = tableOf(kHead + "allreduce 2 1 0 9 ring ll 0\n").release();
  const std::unique_ptr<Table> owner(table);
  Remark why;
  if (table->parse(text, why)) return "none";
  EXPECT_EQ(table->lines(), 0U);
  EXPECT_STREQ(table->identity().hash, "");
  EXPECT_EQ(table->find(2, 1), nullptr) << "what was there before is gone";
  return why.text;
}

TEST(TunerTable, ChoosesByCollectiveShapeAndSize) {
  const auto table = tableOf(kHead +
                             "broadcast 2 2 0 0 ring ll128 0\n"
                             "allreduce 2 1 0 65535 tree ll 0\n"
                             "allreduce 2 2 1024 2047 tree simple 64\n"
                             "allreduce 2 2 4096 18446744073709551615 ring simple 2\n");
  EXPECT_EQ(table->lines(), 4U);
  EXPECT_EQ(table->identity().hash, kHash);
  const auto* pair = table->find(2, 2);
  ASSERT_NE(pair, nullptr);
  EXPECT_EQ(pair->lines(), 3U);
  const auto chosen = [&](int collective, std::uint64_t bytes) -> std::vector<int> {
    const auto* choice = table->choose(*pair, collective, bytes);
    if (choice == nullptr) return {};
    return {choice->algorithm, choice->protocol, choice->channels};
  };
  EXPECT_THAT(chosen(0, 0), testing::ElementsAre(1, 1, 0));
  EXPECT_THAT(chosen(0, 1), testing::IsEmpty());
  EXPECT_THAT(chosen(4, 1023), testing::IsEmpty());
  EXPECT_THAT(chosen(4, 1024), testing::ElementsAre(0, 2, 64));
  EXPECT_THAT(chosen(4, 2047), testing::ElementsAre(0, 2, 64));
  EXPECT_THAT(chosen(4, 2048), testing::IsEmpty());
  EXPECT_THAT(chosen(4, UINT64_MAX), testing::ElementsAre(1, 2, 2));
  for (const int collective : {-2147483647 - 1, -1, 1, 2, 3, 5, 2147483647})
    EXPECT_THAT(chosen(collective, 0), testing::IsEmpty()) << collective;
  EXPECT_EQ(table->find(2, 3), nullptr);
  EXPECT_EQ(table->find(3, 2), nullptr);
  EXPECT_EQ(table->find(SIZE_MAX, SIZE_MAX), nullptr);
  EXPECT_EQ(table->find((std::size_t{1} << 32) + 2, 2), nullptr) << "not cut to 32 bits";
}

TEST(TunerTable, NamesTheLineThatIsWrongAndWhy) {
  using testing::AllOf;
  using testing::HasSubstr;
  const auto line = [](const std::string& text) { return refusal(kHead + text); };
  EXPECT_THAT(refusal(""), HasSubstr("line 1: it does not begin"));
  EXPECT_THAT(refusal("railhead-tuner 2\nhash " + kHash + "\n"), HasSubstr("line 1"));
  EXPECT_THAT(refusal("railhead-tuner 1\r\nhash " + kHash + "\n"), HasSubstr("line 1"));
  EXPECT_THAT(refusal("railhead-tuner 1\n"), HasSubstr("line 2"));
  EXPECT_THAT(refusal("railhead-tuner 1\nhash " + kHash), HasSubstr("line 2"));
  EXPECT_THAT(refusal("railhead-tuner 1\nhash " + kHash + "0\n"), HasSubstr("line 2"));
  EXPECT_THAT(refusal("railhead-tuner 1\nhash " + std::string(64, 'A') + "\n"),
              HasSubstr("line 2"));
  EXPECT_THAT(refusal("railhead-tuner 1\nhush " + kHash + "\n"), HasSubstr("line 2"));
  EXPECT_THAT(line("allreduce 2 1 0 9 ring ll 0"), HasSubstr("line 3: it has no end"));
  EXPECT_THAT(line("\n"), HasSubstr("line 3: it has less than 8 words"));
  EXPECT_THAT(line("allreduce 2 1 0 9 ring ll\n"), HasSubstr("8 words"));
  EXPECT_THAT(line("allreduce 2 1 0 9 ring ll 0 \n"), HasSubstr("the last of 8 words"));
  EXPECT_THAT(line("allreduce 2 1 0 9 ring ll 0 0\n"), HasSubstr("the last of 8 words"));
  EXPECT_THAT(line("allreduce  2 1 0 9 ring ll 0\n"), HasSubstr("the ranks"));
  EXPECT_THAT(line("AllReduce 2 1 0 9 ring ll 0\n"), HasSubstr("the collective"));
  EXPECT_THAT(line("sendrecv 2 1 0 9 ring ll 0\n"), HasSubstr("the collective"));
  for (const char* ranks : {"1", "0", "02", "-2", "+2", "2x", "1000001", "18446744073709551618"})
    EXPECT_THAT(line("allreduce " + std::string(ranks) + " 1 0 9 ring ll 0\n"),
                HasSubstr("the ranks"))
        << ranks;
  EXPECT_THAT(line("allreduce 2 0 0 9 ring ll 0\n"), HasSubstr("the nodes"));
  EXPECT_THAT(line("allreduce 2 3 0 9 ring ll 0\n"), HasSubstr("the nodes"));
  EXPECT_THAT(line("allreduce 2 1 x 9 ring ll 0\n"), HasSubstr("the smallest size"));
  EXPECT_THAT(line("allreduce 2 1 10 9 ring ll 0\n"), HasSubstr("the largest size"));
  EXPECT_THAT(line("allreduce 2 1 0 18446744073709551616 ring ll 0\n"),
              HasSubstr("the largest size"));
  EXPECT_THAT(line("allreduce 2 1 0 9 Ring ll 0\n"), HasSubstr("the algorithm"));
  EXPECT_THAT(line("allreduce 2 1 0 9 ring LL 0\n"), HasSubstr("the protocol"));
  EXPECT_THAT(line("allreduce 2 1 0 9 ring ll 65\n"), HasSubstr("the channels"));
  EXPECT_THAT(line("allreduce 2 1 0 9 ring ll -1\n"), HasSubstr("the channels"));
  for (const char* other : {"collnetdirect", "collnetchain", "nvls", "nvlstree", "pat"}) {
    const std::string start = "allreduce 2 1 0 9 " + std::string(other) + " simple ";
    EXPECT_THAT(line(start + "1\n"), HasSubstr("only tree and ring")) << other;
    EXPECT_EQ(line(start + "0\n"), "none") << other;
  }

  const std::string first = "allgather 4 2 100 199 ring ll 0\n";
  EXPECT_THAT(line(first + "allgather 4 2 199 300 ring ll 0\n"),
              AllOf(HasSubstr("line 4"), HasSubstr("overlap")));
  EXPECT_THAT(line(first + "allgather 4 2 0 99 ring ll 0\n"), HasSubstr("belongs before"));
  EXPECT_THAT(line(first + "allgather 4 1 200 300 ring ll 0\n"), HasSubstr("belongs before"));
  EXPECT_THAT(line(first + "allgather 2 2 200 300 ring ll 0\n"), HasSubstr("belongs before"));
  EXPECT_THAT(line(first + "reduce 4 2 200 300 ring ll 0\n"), HasSubstr("belongs before"));
  EXPECT_EQ(line(first + "allgather 4 2 200 300 ring ll 0\n"), "none");
}

std::string manyLines(int count) {
  std::string text = kHead;
  for (int i = 0; i < count; ++i)
    text += "allreduce " + std::to_string(2 + i) + " 1 0 9 ring ll 0\n";
  return text;
}

TEST(TunerTable, IsBounded) {
  const auto most = tableOf(manyLines(4096));
  EXPECT_EQ(most->lines(), 4096U);
  EXPECT_NE(most->find(4097, 1), nullptr);
  EXPECT_THAT(refusal(manyLines(4097)), testing::HasSubstr("line 4099: the table has more than"));
  EXPECT_THAT(refusal(std::string(Table::kMaxBytes + 1, 'x')), testing::HasSubstr("1 MiB"));
}

TEST(TunerTable, IsAnotherOneWhenALineIsUnderTheSameHash) {
  const auto one = tableOf(kHead + "allreduce 2 1 0 9 ring ll 0\n");
  const auto other = tableOf(kHead + "allreduce 2 1 0 9 tree ll 0\n");
  EXPECT_STREQ(one->identity().hash, other->identity().hash);
  EXPECT_NE(one->identity().bytes, other->identity().bytes);
  EXPECT_EQ(one->identity().bytes,
            tableOf(kHead + "allreduce 2 1 0 9 ring ll 0\n")->identity().bytes);
}

TEST(TunerTable, RecognizesItsShapesAndNothingElse) {
  const auto table = tableOf(manyLines(3));
  const auto* shape = table->find(3, 1);
  ASSERT_NE(shape, nullptr);
  EXPECT_EQ(table->recognize(shape), shape);
  EXPECT_EQ(table->recognize(nullptr), nullptr);
  EXPECT_EQ(table->recognize(reinterpret_cast<const char*>(shape) + 1), nullptr);
  EXPECT_EQ(table->recognize(table->find(4, 1) + 1), nullptr) << "room of the array, not in use";
  EXPECT_EQ(table->recognize(table->find(2, 1) - 1), nullptr);
  EXPECT_EQ(table->recognize(&table), nullptr);
}

// Random tables, against a search through all of their lines.
struct PlainLine {
  int collective;
  std::uint64_t ranks, nodes, min, max;
  int algorithm;
};

std::vector<PlainLine> randomLines(SplitMix& random) {
  std::vector<PlainLine> lines;
  for (int collective = 0; collective < kCollectives; ++collective) {
    for (std::uint64_t ranks = 2; ranks <= 5; ++ranks) {
      for (std::uint64_t nodes = 1; nodes <= 2; ++nodes) {
        std::uint64_t at = random.next() % 4;
        for (auto left = random.next() % 12; left > 0; --left) {
          const auto max = at + (random.next() >> (random.next() % 60 + 4));
          if (max < at) break;
          lines.push_back({collective, ranks, nodes, at, max, static_cast<int>(random.next() % 7)});
          at = max + 1 + random.next() % 3;
          if (at <= max) break;
        }
      }
    }
  }
  return lines;
}

std::string textOf(const std::vector<PlainLine>& lines) {
  static const char* const kCollectiveWords[] = {"broadcast", "reduce", "allgather",
                                                 "reducescatter", "allreduce"};
  static const char* const kAlgorithmWords[] = {
      "tree", "ring", "collnetdirect", "collnetchain", "nvls", "nvlstree", "pat"};
  std::string text = kHead;
  for (const auto& line : lines)
    text += std::string(kCollectiveWords[line.collective]) + " " + std::to_string(line.ranks) +
            " " + std::to_string(line.nodes) + " " + std::to_string(line.min) + " " +
            std::to_string(line.max) + " " + kAlgorithmWords[line.algorithm] + " simple 0\n";
  return text;
}

std::optional<int> searched(const std::vector<PlainLine>& lines, const PlainLine& wanted) {
  for (const auto& line : lines) {
    if (line.collective == wanted.collective && line.ranks == wanted.ranks &&
        line.nodes == wanted.nodes && line.min <= wanted.min && wanted.min <= line.max)
      return line.algorithm;
  }
  return std::nullopt;
}

TEST(TunerTable, AgreesWithASearchThroughAllLines) {
  SplitMix random(7);
  int found = 0;
  for (int round = 0; round < 100; ++round) {
    const auto lines = randomLines(random);
    const auto table = tableOf(textOf(lines));
    ASSERT_EQ(table->lines(), lines.size());
    for (int query = 0; query < 300; ++query) {
      PlainLine wanted{static_cast<int>(random.next() % 6),
                       2 + random.next() % 5,
                       1 + random.next() % 3,
                       random.next() >> (random.next() % 64),
                       0,
                       0};
      if (!lines.empty() && query % 2 == 0) {  // at a line's ends, and one beyond them
        const auto& line = lines[random.next() % lines.size()];
        wanted = line;
        wanted.min = (query % 4 == 0 ? line.min : line.max) + random.next() % 3 - 1;
      }
      const auto* shape = table->find(wanted.ranks, wanted.nodes);
      const auto* choice =
          shape == nullptr ? nullptr : table->choose(*shape, wanted.collective, wanted.min);
      const auto expected = searched(lines, wanted);
      ASSERT_EQ(choice == nullptr ? -1 : choice->algorithm, expected.value_or(-1));
      if (choice != nullptr) ++found;
    }
  }
  EXPECT_GT(found, 10000);
}

TEST(TunerTableFile, IsReadOrRefusedWithItsPath) {
  const testing_support::TemporaryFolder own;
  const auto folder = own.path() + "/";
  const auto refused = [&](const std::string& path) {
    const auto table = std::make_unique<Table>();
    Remark why;
    return readTableFile(path.c_str(), *table, why) ? std::string("none") : std::string(why.text);
  };
  const auto write = [&](const std::string& text) {
    std::ofstream(folder + "tuner.table", std::ios::binary) << text;
    return folder + "tuner.table";
  };
  EXPECT_EQ(refused(write(manyLines(3))), "none");
  EXPECT_THAT(refused(write(kHead + "x\n")),
              testing::AllOf(testing::HasSubstr("tuner.table"), testing::HasSubstr("line 3")));
  EXPECT_THAT(refused(folder + "no.table"), testing::StartsWith("no table at "));
  EXPECT_THAT(refused(folder), testing::HasSubstr("cannot be read"));
  EXPECT_THAT(refused("/dev/zero"), testing::HasSubstr("1 MiB"));
  const auto fifo = folder + "tuner.fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(refused(fifo), testing::HasSubstr("line 1")) << "empty, and not waited for";
}

}  // namespace
}  // namespace railhead::nccl_tuner
