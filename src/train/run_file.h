// What a training run is to be: the run file (docs/reference/train.md). Pure functions; value
// types.
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::train {

struct DataFile {
  std::string path;    // as written: relative to the run file's folder
  std::string sha256;  // 64 hexadecimal digits; empty: not said
  int line = 0;        // of the run file

  bool operator==(const DataFile&) const = default;
};

struct RetryPolicy {
  int restarts = 5;           // in all
  double backoffSeconds = 1;  // before the first; doubles until a checkpoint is reached
  double backoffMaxSeconds = 60;
  std::vector<int> notAfter = {2, 126, 127};  // exit codes: trying again cannot help

  bool operator==(const RetryPolicy&) const = default;
};

struct Deadlines {   // seconds; 0: none
  double start = 0;  // for the first step of each start, or the first line of output (rank_watch.h)
  double step = 0;   // from one step, or line of output, to the next
  double stop = 10;  // between SIGTERM and SIGKILL
  double run = 0;    // in all

  bool operator==(const Deadlines&) const = default;
};

struct VerifyFirst {
  std::string expect;  // "gdr" or "rdma"; empty: any
  std::optional<double> minShare;
  std::string backend = "auto";
  std::string transport = "auto";

  bool operator==(const VerifyFirst&) const = default;
};

struct KubernetesPart {
  std::string namespaceName = "default";
  std::string network = "dgx-qsfp";     // empty ("none"): no annotation
  std::string runtimeClass = "nvidia";  // empty ("none"): the node's default
  std::string claim;                    // the volume that holds the runs; needed for checkpoints
  std::string mountPath = "/runs";
  std::string scheduler;  // empty: the cluster's default
  std::string podGroup;   // "", "coscheduling" or "volcano"

  bool operator==(const KubernetesPart&) const = default;
};

struct RunFile {
  std::string name;  // a DNS label of at most 30 characters
  std::vector<std::string> command;
  std::string image;
  std::string on;  // empty: local
  int ranks = 1;
  int ranksPerNode = 1;
  std::map<std::string, std::string> resources = {{"nvidia.com/cx7_qsfp", "1"},
                                                  {"nvidia.com/gpu", "1"}};
  std::string profile;  // a path; empty: none
  std::vector<DataFile> data;
  std::uint64_t seed = 0;
  std::optional<std::uint64_t> steps;
  std::map<std::string, std::string> environment;
  std::uint64_t keepCheckpoints = 3;  // the newest; 0: all
  RetryPolicy retry;
  Deadlines deadlines;
  std::optional<VerifyFirst> verify;
  KubernetesPart kubernetes;
  std::string source;                // the run file's name in complaints
  std::map<std::string, int> lines;  // of the fields at the top that are there, from 1

  int nodes() const { return ranks / ranksPerNode; }
  // "run.yaml:5: on": how a complaint about a field at the top begins.
  std::string where(const std::string& field) const;
  bool operator==(const RunFile&) const = default;
};

// kInvalidArgument names `source`, line, field, value and what is allowed. Unknown fields are
// refused.
Result<RunFile> parseRunFile(std::string_view text, const std::string& source);

}  // namespace railhead::train
