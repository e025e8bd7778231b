#include "src/tune/records_header.h"
#include "src/tune/trial.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

#include <string>

namespace railhead::fuzz {
namespace {

void checkAnyHeader(std::string_view input) {
  const auto objective =
      tune::Objective::over(tune::ObjectiveKind::kLatency, {{"reduce", 8, false}});
  const auto own = tune::headerOf({}, *objective, 1, "fabric");
  const auto behind = tune::checkHeader(input, own, "records");
  if (taken(behind)) must(behind->size() <= input.size(), "records stand behind their header");
}

}  // namespace

bool tuneRecords(std::string_view input) {
  checkAnyHeader(input);
  const auto records = tune::decodeRecords(input, "records");
  if (!taken(records)) return false;
  std::string written;
  for (const auto& record : *records) written += tune::encode(record);
  const auto again = tune::decodeRecords(written, "records");
  must(again.has_value(), "records that were read can be written and read");
  must(*again == *records, "and stay the same");
  return true;
}

}  // namespace railhead::fuzz
