#include "src/trainer/flat_plan.h"

#include <algorithm>

namespace railhead::trainer {

FlatPlan FlatPlan::make(const ModelShape& shape, std::uint64_t bucketElements, int ranks) {
  FlatPlan plan;
  plan.ranks_ = ranks;
  plan.parameters_ = parametersOf(shape);
  plan.elements_ = plan.parameters_.back().end();
  plan.bucketOf_.resize(plan.parameters_.size());
  const std::uint64_t grain = kPartAlignment * static_cast<std::uint64_t>(ranks);
  const auto close = [&](std::size_t first, std::size_t behind) {
    Bucket bucket;
    bucket.flat = {plan.parameters_[first].begin, plan.parameters_[behind - 1].end()};
    bucket.offset = plan.paddedElements_;
    bucket.padded = (bucket.flat.count() + grain - 1) / grain * grain;
    bucket.firstParameter = first;
    bucket.parameters = behind - first;
    plan.paddedElements_ += bucket.padded;
    std::fill(plan.bucketOf_.begin() + static_cast<std::ptrdiff_t>(first),
              plan.bucketOf_.begin() + static_cast<std::ptrdiff_t>(behind), plan.buckets_.size());
    plan.buckets_.push_back(bucket);
  };
  std::size_t behind = plan.parameters_.size();
  for (std::size_t first = behind; first-- > 0;) {
    const std::uint64_t end = plan.parameters_[behind - 1].end();
    // Would this parameter make the bucket too large? Then it begins another one.
    if (first + 1 < behind && end - plan.parameters_[first].begin > bucketElements) {
      close(first + 1, behind);
      behind = first + 1;
    }
    if (first == 0) close(0, behind);
  }
  return plan;
}

std::uint64_t FlatPlan::offsetOf(std::size_t index) const {
  const Bucket& bucket = buckets_[bucketOf_[index]];
  return bucket.offset + parameters_[index].begin - bucket.flat.begin;
}

void FlatPlan::cut(std::size_t index, Range padded, std::vector<Piece>& out) const {
  const Bucket& bucket = buckets_[index];
  const auto flatOf = [&](std::uint64_t offset) {
    return std::min(bucket.flat.begin + (offset - bucket.offset), bucket.flat.end);
  };
  const Range wanted{flatOf(padded.begin), flatOf(padded.end)};
  for (std::size_t i = 0; i < bucket.parameters; ++i) {
    const Parameter& parameter = parameters_[bucket.firstParameter + i];
    const Range part{std::max(wanted.begin, parameter.begin),
                     std::min(wanted.end, parameter.end())};
    if (part.begin >= part.end) continue;
    if (!out.empty() && out.back().bucket == index && out.back().decays == parameter.decays &&
        out.back().flat.end == part.begin) {
      out.back().flat.end = part.end;
    } else {
      out.push_back(
          {index, part, bucket.offset + part.begin - bucket.flat.begin, parameter.decays});
    }
  }
}

std::vector<Piece> FlatPlan::piecesOf(int rank) const {
  std::vector<Piece> out;
  for (std::size_t index = 0; index < buckets_.size(); ++index) {
    const std::uint64_t part = buckets_[index].padded / static_cast<std::uint64_t>(ranks_);
    const std::uint64_t begin = buckets_[index].offset + part * static_cast<std::uint64_t>(rank);
    cut(index, {begin, begin + part}, out);
  }
  return out;
}

std::vector<Piece> FlatPlan::allPieces() const {
  std::vector<Piece> out;
  for (std::size_t index = 0; index < buckets_.size(); ++index) {
    const Bucket& bucket = buckets_[index];
    cut(index, {bucket.offset, bucket.offset + bucket.padded}, out);
  }
  return out;
}

}  // namespace railhead::trainer
