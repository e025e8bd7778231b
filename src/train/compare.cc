#include "src/train/compare.h"

#include "src/checkpoint/tensor_file.h"
#include "src/train/tensors.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>

namespace railhead::train {
namespace {

constexpr std::string_view kTensors = ".safetensors";

std::string exactly(const std::optional<double>& value) {
  if (!value) return "none";
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", *value);
  return text;
}

bool sameBits(const std::optional<double>& a, const std::optional<double>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return std::memcmp(&*a, &*b, sizeof(double)) == 0;
}

double relativeOf(const std::optional<double>& a, const std::optional<double>& b) {
  if (!a || !b) return std::numeric_limits<double>::infinity();
  const double larger = std::max(std::abs(*a), std::abs(*b));
  return larger > 0 ? std::abs(*a - *b) / larger : 0;
}

class Comparing {
 public:
  Comparing(os::Filesystem& files, const RunFolder& first, const RunFolder& second)
      : files_(files), first_(first), second_(second) {}

  Result<RunComparison> compare(double within) {
    RAILHEAD_TRY_ASSIGN(const Manifest a, first_.readManifest(files_));
    RAILHEAD_TRY_ASSIGN(const Manifest b, second_.readManifest(files_));
    out_.fields = differences(a, b);
    out_.scaling = scalingOf(a, b);
    const int ranks = std::min(a.place.ranks, b.place.ranks);
    for (int rank = 0; rank < ranks; ++rank) RAILHEAD_TRY(compareLosses(rank));
    RAILHEAD_TRY(compareCheckpoints(a, b));
    out_.sameness = judged(within);
    return std::move(out_);
  }

 private:
  void found(Difference difference) {
    out_.largest = std::max(out_.largest, difference.relative);
    if (!out_.first || difference.step < out_.first->step) out_.first = std::move(difference);
  }

  Sameness judged(double within) const {
    if (out_.steps == 0 && out_.checkpoints == 0) return Sameness::kNothing;
    if (!out_.first) return Sameness::kBitwise;
    return out_.largest <= within ? Sameness::kWithin : Sameness::kDifferent;
  }

  Result<void> compareLosses(int rank) {
    RAILHEAD_TRY_ASSIGN(const StepSeries left, first_.readSeries(files_, rank));
    RAILHEAD_TRY_ASSIGN(const StepSeries right, second_.readSeries(files_, rank));
    const auto& a = left.steps();
    const auto& b = right.steps();
    // One that tells nothing on either side, as ranks beside the first may.
    if (a.empty() && b.empty()) return {};
    const std::string what = "the loss of rank " + std::to_string(rank);
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < a.size() && j < b.size()) {
      if (a[i].step != b[j].step) {
        const bool one = a[i].step < b[j].step;
        found(
            {one ? a[i].step : b[j].step, what, one ? "only in the first" : "only in the second"});
        one ? ++i : ++j;
        continue;
      }
      if (rank == 0 && (a[i].loss || b[j].loss)) ++out_.steps;
      if (!sameBits(a[i].loss, b[j].loss)) {
        found({a[i].step, what, exactly(a[i].loss) + " and " + exactly(b[j].loss),
               relativeOf(a[i].loss, b[j].loss)});
      }
      ++i;
      ++j;
    }
    if (i < a.size()) found({a[i].step, what, "only in the first"});
    if (j < b.size()) found({b[j].step, what, "only in the second"});
    return {};
  }

  Result<void> compareCheckpoints(const Manifest& a, const Manifest& b) {
    std::map<std::uint64_t, const checkpoint::Checkpoint*> others;
    for (const auto& one : b.checkpoints) others[one.step] = &one;
    std::size_t alone = b.checkpoints.size();
    for (const auto& one : a.checkpoints) {
      const auto other = others.find(one.step);
      if (other == others.end()) {
        ++alone;
        continue;
      }
      --alone;
      RAILHEAD_TRY(compareCheckpoint(one, *other->second));
    }
    if (unknown_ > 0) {
      out_.notes.push_back(std::to_string(unknown_) +
                           " checkpoints were written where they cannot be read from here");
    }
    if (alone > 0) {
      out_.notes.push_back(std::to_string(alone) +
                           " checkpoints are of steps at which the other run has none");
    }
    return {};
  }

  Result<void> compareCheckpoint(const checkpoint::Checkpoint& a, const checkpoint::Checkpoint& b) {
    // Of one that was written where it cannot be read from here nothing is known.
    if (a.content.empty() || b.content.empty()) {
      ++unknown_;
      return {};
    }
    ++out_.checkpoints;
    // Of one that is gone only the digest of its content is left.
    if (a.files.empty() || b.files.empty()) {
      if (a.content != b.content) found({a.step, "checkpoint", "the digests differ"});
      return {};
    }
    std::map<std::string, std::string> others;
    for (const auto& file : b.files) others[file.name] = file.sha256;
    for (const auto& file : a.files) {
      const auto other = others.find(file.name);
      if (other == others.end()) {
        found({a.step, "file " + file.name, "only in the first"});
        continue;
      }
      if (other->second != file.sha256) RAILHEAD_TRY(compareFile(a.step, file.name));
      others.erase(other);
    }
    for (const auto& [name, digest] : others) found({a.step, "file " + name, "only in the second"});
    return {};
  }

  // Two files whose digests differ.
  Result<void> compareFile(std::uint64_t step, const std::string& name) {
    const auto pathIn = [&](const RunFolder& folder) {
      return folder.checkpoints() + "/" + checkpoint::checkpointName(step) + "/" + name;
    };
    const bool kept = files_.exists(pathIn(first_)) && files_.exists(pathIn(second_));
    if (!name.ends_with(kTensors) || !kept) {
      found({step, "file " + name, "the digests differ"});
      if (!kept && name.ends_with(kTensors)) {
        out_.notes.push_back("the tensors of step " + std::to_string(step) +
                             " are kept no longer (checkpoints.keep)");
      }
      return {};
    }
    RAILHEAD_TRY_ASSIGN(const auto left, checkpoint::TensorFile::open(pathIn(first_)));
    RAILHEAD_TRY_ASSIGN(const auto right, checkpoint::TensorFile::open(pathIn(second_)));
    RAILHEAD_TRY_ASSIGN(const auto differing, differingTensors(left, right));
    for (const auto& one : differing)
      found({step, "tensor " + one.tensor + " of " + name, one.what, one.relative});
    // The header alone: nothing that a step computed.
    if (differing.empty()) {
      out_.notes.push_back("step " + std::to_string(step) + ": " + name +
                           " has the same tensors in other bytes");
    }
    return {};
  }

  os::Filesystem& files_;
  const RunFolder& first_;
  const RunFolder& second_;
  RunComparison out_;
  std::size_t unknown_ = 0;  // checkpoints
};

}  // namespace

const char* samenessName(Sameness sameness) {
  switch (sameness) {
    case Sameness::kBitwise:
      return "bitwise";
    case Sameness::kWithin:
      return "within";
    case Sameness::kDifferent:
      return "different";
    case Sameness::kNothing:
      return "nothing";
  }
  return "";
}

std::optional<Scaling> scalingOf(const Manifest& first, const Manifest& second) {
  const bool grows = first.place.ranks < second.place.ranks;
  const Manifest& fewer = grows ? first : second;
  const Manifest& more = grows ? second : first;
  const auto told = [](const Totals& totals) { return totals.tokens > 0 && totals.seconds > 0; };
  const auto speed = [](const Totals& totals) {
    return static_cast<double>(totals.tokens) / totals.seconds;
  };
  if (fewer.place.ranks < 1 || fewer.place.ranks == more.place.ranks || !told(fewer.metrics) ||
      !told(more.metrics))
    return std::nullopt;
  Scaling out{fewer.place.ranks, more.place.ranks, speed(fewer.metrics), speed(more.metrics), 0};
  out.efficiency = out.moreTokensPerSecond / out.fewerTokensPerSecond * out.fewerRanks /
                   static_cast<double>(out.moreRanks);
  return out;
}

Result<RunComparison> compareRuns(os::Filesystem& files, const RunFolder& first,
                                  const RunFolder& second, double within) {
  return Comparing(files, first, second).compare(within);
}

}  // namespace railhead::train
