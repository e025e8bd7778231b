// A file of measurements: what one of our commands left as JSON. Pure; thread-safe.
#pragma once

#include "src/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace railhead::report {

enum class MeasurementKind {
  kVerify,       // which way the bytes took
  kDoctor,       // what makes a node slow or silent
  kCollectives,  // a sweep of collective operations
  kVerbs,        // RDMA writes between two nodes
  kTune,         // a search for settings that beat the default
  kTrain,        // a training run
  kVerifyLog,    // what NCCL's log of another's run says of its ways
};
std::string_view kindName(MeasurementKind kind);  // "collectives"
std::string_view schemaOf(MeasurementKind kind);  // "railhead.bench.collectives/1"

struct Measurement {
  MeasurementKind kind = MeasurementKind::kVerify;
  std::string file;  // as the user named it
  std::string json;  // one line; of a sweep without the single samples, which no page shows
};

// What a page is made of, in the order given.
struct Measurements {
  std::string toolVersion;
  std::vector<Measurement> files;
  std::string comparison;  // of the two sweeps, railhead.bench.compare/1; "" without
  double ceilingGbps = 0;  // of the path, when the user told it; 0: the files tell, or nobody
};

// Recognises a file by its `schema`. The text is untrusted: at most 64 MiB, 64 KiB a string, 4096
// entries a list (10,000 samples or directions), 8 MiB once the samples are gone and the directions
// of a log that are alike are one; every field that a page reads
// must be there with its type, others are kept as they are. kInvalidArgument names the file, the
// field and what is allowed.
Result<Measurement> readMeasurement(const std::string& file, std::string_view text);

}  // namespace railhead::report
