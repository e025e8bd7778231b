#include "src/tune/records_header.h"

#include "src/tune/trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Objective oneSize(std::uint64_t bytes) {
  return *Objective::over(ObjectiveKind::kLatency, {{"allreduce", bytes, false}});
}

RecordsHeader written() { return headerOf(ncclSpace({}), oneSize(8), 7, "2 x \"GB10\" \xc3\xa9"); }

TEST(RecordsHeader, LeadsToTheRecordsOfTheSameSearch) {
  const std::string header = encodeHeader(written());
  EXPECT_THAT(header, testing::EndsWith("\n"));
  EXPECT_EQ(*checkHeader(header, written(), "r"), "");
  EXPECT_EQ(*checkHeader(header + "{}\n{}", written(), "r"), "{}\n{}");
  for (std::size_t size = 0; size < header.size(); ++size) {
    EXPECT_EQ(*checkHeader(header.substr(0, size), written(), "r"), "") << size;
  }
  const std::string text = header + "{}\n";  // what is returned is a part of it
  const auto records = checkHeader(text, written(), "r");
  EXPECT_THAT(decodeRecords(*records, "r", 2).error().message, HasSubstr("r:2: field trial"));
}

TEST(RecordsHeader, NamesWhatDiffers) {
  const auto refusal = [](const RecordsHeader& own) {
    const auto records = checkHeader(encodeHeader(written()) + "{}\n", own, "r.jsonl");
    if (records.has_value()) return std::string("none");
    EXPECT_EQ(records.error().code, ErrorCode::kInvalidArgument);
    return records.error().message;
  };
  EXPECT_EQ(refusal(written()), "none");
  RecordsHeader other = written();
  other.seed = 8;
  EXPECT_THAT(refusal(other), HasSubstr("r.jsonl: the records are of another search: seed is 7 "
                                        "there and 8 now"));
  other = written();
  other.fabric = "4 x GB10";
  EXPECT_THAT(refusal(other), AllOf(HasSubstr("fabric is "), HasSubstr("\"4 x GB10\" now")));
  Platform rails;
  rails.rails = 2;
  other = headerOf(ncclSpace(rails), oneSize(8), 7, written().fabric);
  EXPECT_THAT(refusal(other), HasSubstr("space is "));
  other = headerOf(ncclSpace({}), oneSize(16), 7, written().fabric);
  EXPECT_THAT(refusal(other), HasSubstr("objective is \"latency "));
  Space withoutNeed = ncclSpace({});
  withoutNeed.knobs.front().needs.clear();
  EXPECT_NE(headerOf(withoutNeed, oneSize(8), 7, "").space,
            headerOf(ncclSpace({}), oneSize(8), 7, "").space);
}

TEST(RecordsHeader, OtherFirstLinesAreRefused) {
  for (const std::string& text :
       {std::string("{\"trial\":1}\n"), std::string("[]\n"), std::string("\n"),
        std::string(1 << 20, 'x'), std::string(1 << 20, '[') + "\n"}) {
    const auto records = checkHeader(text, written(), "r");
    ASSERT_FALSE(records.has_value());
    EXPECT_EQ(records.error().code, ErrorCode::kCorrupt);
  }
  EXPECT_THAT(checkHeader("{\"schema\":2}\n", written(), "r").error().message,
              HasSubstr("of another search: fabric is missing there"));
}

}  // namespace
}  // namespace railhead::tune
