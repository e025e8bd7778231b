// How the flat space (shape.h) is cut: into buckets, whose gradients travel while the backward pass
// goes on, and each bucket into one part for each rank, whose optimizer state that rank keeps
// (S. Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models",
// 2020, stage 1). Pure; value types.
//
// Weights and gradients lie in buffers in which each bucket is padded, so that its parts are equal
// and aligned. Positions in the flat space know nothing of buckets or ranks: they are what
// checkpoints speak of.
#pragma once

#include "src/base/result.h"
#include "src/trainer/shape.h"

#include <cstdint>
#include <vector>

namespace railhead::trainer {

struct Range {  // of elements
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  std::uint64_t count() const { return end - begin; }
  bool operator==(const Range&) const = default;
};

struct Bucket {
  Range flat;
  std::uint64_t offset = 0;  // in the padded buffers
  std::uint64_t padded = 0;  // elements there; a multiple of ranks * kPartAlignment
  std::size_t firstParameter = 0;
  std::size_t parameters = 0;
};

// A run of one rank's part of a bucket whose elements are treated alike.
struct Piece {
  std::size_t bucket = 0;
  Range flat;
  std::uint64_t offset = 0;  // in the padded buffers
  bool decays = false;
};

class FlatPlan {
 public:
  static constexpr std::uint64_t kPartAlignment = 64;  // elements

  // Buckets end where parameters do and hold `bucketElements` at most, unless one parameter alone
  // is larger. Bucket 0 is what the backward pass comes to first: the end of the flat space.
  static FlatPlan make(const ModelShape& shape, std::uint64_t bucketElements, int ranks);

  const std::vector<Parameter>& parameters() const { return parameters_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  std::size_t bucketOf(std::size_t parameter) const { return bucketOf_[parameter]; }
  std::uint64_t elements() const { return elements_; }              // of the flat space
  std::uint64_t paddedElements() const { return paddedElements_; }  // of the buffers
  int ranks() const { return ranks_; }

  // Where parameter `index` begins in the padded buffers.
  std::uint64_t offsetOf(std::size_t index) const;
  // What rank `rank` keeps, in the order of buckets; all ranks together hold every element once.
  std::vector<Piece> piecesOf(int rank) const;
  // The same of the whole space: for a rank that keeps everything.
  std::vector<Piece> allPieces() const;

 private:
  void cut(std::size_t bucket, Range padded, std::vector<Piece>& out) const;

  std::vector<Parameter> parameters_;
  std::vector<Bucket> buckets_;
  std::vector<std::size_t> bucketOf_;
  std::uint64_t elements_ = 0;
  std::uint64_t paddedElements_ = 0;
  int ranks_ = 1;
};

}  // namespace railhead::trainer
