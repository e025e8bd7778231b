// What a run was and what came of it: manifest.json, schema railhead.train/1
// (docs/reference/train.md). Value types; pure functions.
#pragma once

#include "src/base/result.h"
#include "src/checkpoint/record.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::train {

struct NamedFile {
  std::string path;
  std::uint64_t bytes = 0;
  std::string sha256;

  bool operator==(const NamedFile&) const = default;
};

struct Code {
  std::string folder;              // where the command ran
  std::string revision;            // of git; empty: it is under none
  bool modified = false;           // against that revision
  std::vector<NamedFile> scripts;  // words of the command that are files

  bool operator==(const Code&) const = default;
};

// What a node is and stands on, as its first rank tells.
struct NodeFacts {
  std::string node;
  std::string kernel;
  std::string architecture;
  std::string cpu;
  std::uint64_t cpus = 0;
  std::vector<std::string> gpus;      // "NVIDIA H200"
  std::string driver;                 // empty: no GPU driver
  std::string cuda;                   // newest that the driver runs
  std::string nccl;                   // that the loader finds; a framework may bring its own
  std::vector<std::string> nics;      // "mlx5_0 MT2910 fw 28.39"
  std::vector<std::string> topology;  // "gpu0 0000:01:00.0 numa 0"

  bool operator==(const NodeFacts&) const = default;
};

struct Place {
  std::string on;  // "local:2"
  int ranks = 1;
  int ranksPerNode = 1;
  std::vector<std::string> order;  // the node of each rank
  std::vector<NodeFacts> nodes;    // those that told

  bool operator==(const Place&) const = default;
};

struct Verdict {  // of `railhead verify` before the start
  std::string verdict;
  bool expected = false;
  std::optional<double> share;  // the lowest of all directions

  bool operator==(const Verdict&) const = default;
};

struct Attempt {
  std::uint64_t number = 0;
  std::optional<std::uint64_t> fromStep;  // absent: from the beginning
  std::string started;                    // UTC
  double seconds = 0;
  std::string end;  // "running", "finished", "failed", "hung", "stopped", "interrupted", "killed"
  std::string reason;  // with rank and node; empty when it went well
  std::optional<int> rank;
  std::string node;
  std::vector<std::string> lastLines;

  bool operator==(const Attempt&) const = default;
};

struct Totals {
  std::uint64_t steps = 0;  // the last one done
  std::optional<double> firstLoss;
  std::optional<double> lastLoss;
  std::uint64_t tokens = 0;
  double seconds = 0;           // of the steps that count
  std::uint64_t lostSteps = 0;  // done and given up by restarts; not in the figures above

  bool operator==(const Totals&) const = default;
};

struct Manifest {
  std::string id;     // the folder's name
  std::string state;  // "running", "finished", "failed", "stopped", "interrupted"
  std::string reason;
  std::string railhead;  // the version that ran it
  std::string started;   // UTC
  std::string ended;     // UTC; empty: not yet
  std::string replayOf;  // another run's id
  NamedFile runFile;     // as it is kept in the run's folder
  std::vector<std::string> command;
  std::string image;
  std::string imageDigest;  // behind the '@' of the image
  std::uint64_t seed = 0;
  Code code;
  std::vector<NamedFile> data;
  std::string profile;                             // hash; empty: none
  std::map<std::string, std::string> environment;  // what the run file, profile and launcher say
  std::map<std::string, std::string> facts;        // what the trainer told of itself
  Place place;
  std::optional<Verdict> verdict;
  std::vector<Attempt> attempts;
  Totals metrics;
  // All that were written; of those no longer kept without their files.
  std::vector<checkpoint::Checkpoint> checkpoints;

  bool operator==(const Manifest&) const = default;
};

// Ends with `digest`, a SHA-256 over all the rest.
std::string writeManifest(const Manifest& manifest);
// kCorrupt names `where` and the field, or says that the digest is not that of the content.
Result<Manifest> parseManifest(std::string_view text, const std::string& where);

struct FieldDifference {
  std::string field;  // "place.nodes[0].nccl"
  std::string first;  // as JSON; empty: not there
  std::string second;
};

// What makes a run come out as it does, and differs: command, code, data, seed, profile,
// environment, place, nodes. Not: names, times, what came of it.
std::vector<FieldDifference> differences(const Manifest& first, const Manifest& second);

}  // namespace railhead::train
