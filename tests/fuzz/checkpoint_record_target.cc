#include "src/checkpoint/record.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {

bool checkpointRecord(std::string_view input) {
  const auto record = checkpoint::parseCheckpoint(input, "checkpoint.json");
  if (!taken(record)) return false;
  for (const auto& file : record->files) {
    must(file.name.find('/') == std::string::npos && file.name != "..",
         "a file of a checkpoint lies in its folder");
    must(file.sha256.size() == 64, "and has a digest");
  }
  auto again = checkpoint::parseCheckpoint(checkpoint::writeCheckpoint(*record), "checkpoint.json");
  must(again.has_value(), "a record that was read can be written and read");
  again->sha256 = record->sha256;  // of the text, which need not be ours
  must(*again == *record, "and stays the same");
  return true;
}

}  // namespace railhead::fuzz
