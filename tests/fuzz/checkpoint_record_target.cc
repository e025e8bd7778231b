#include "src/trainer/checkpoint_folder.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {

bool checkpointRecord(std::string_view input) {
  const auto record = trainer::decodeCheckpointRecord(input);
  if (!taken(record)) return false;
  for (const auto& file : record->files) {
    must(file.name.find('/') == std::string::npos && file.name.front() != '.',
         "a file of a checkpoint lies in its folder");
    must(file.sha256.size() == 64, "and has a digest");
  }
  const auto again = trainer::decodeCheckpointRecord(trainer::encode(*record));
  must(again.has_value(), "a record that was read can be written and read");
  must(*again == *record, "and stays the same");
  return true;
}

}  // namespace railhead::fuzz
