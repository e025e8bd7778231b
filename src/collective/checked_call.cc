#include "src/collective/checked_call.h"

namespace railhead::collective {
namespace {

using Kind = Expectation::Kind;

class Plan {
 public:
  Plan(const Call& call, int rank, int ranks, std::uint32_t seed)
      : call_(call),
        rank_(rank),
        ranks_(ranks),
        seed_(seed),
        width_(elementBytes(call.type)),
        bytes_(call.count * width_),
        partBytes_(bytes_ / static_cast<std::size_t>(ranks)) {}

  CheckedCall make() const {
    switch (call_.operation) {
      case Operation::kAllReduce:
        return {{numbers()}, {sums(0, bytes_)}};
      case Operation::kReduce:
        return {{numbers()}, rank_ == call_.root ? one(sums(0, bytes_)) : nothing()};
      case Operation::kReduceScatter:
        return {{numbers()}, {sums(static_cast<std::size_t>(rank_) * partBytes_, partBytes_)}};
      case Operation::kBroadcast:
        return {{words(rank_, bytes_, 0, 0)}, {words(call_.root, bytes_, 0, 0)}};
      case Operation::kAllGather:
        return {{words(rank_, partBytes_, 0, 0)}, fromAll(0)};
      case Operation::kAllToAll:
        return {toAll(), fromAll(rank_)};
      case Operation::kSendReceive:
        return {{words(rank_, bytes_, 0, 0)}, {words((rank_ + ranks_ - 1) % ranks_, bytes_, 0, 0)}};
    }
    return {};
  }

 private:
  static std::vector<Expectation> one(const Expectation& part) { return {part}; }
  static std::vector<Expectation> nothing() { return {}; }

  Expectation numbers() const {
    return {Kind::kNumbers, call_.type, 0, bytes_, rank_, 0, seed_, ranks_};
  }
  // Of elements that begin at byte `first` of the whole buffer; they lie at the receive buffer's
  // begin.
  Expectation sums(std::size_t first, std::size_t bytes) const {
    return {Kind::kSums, call_.type, 0, bytes, 0, static_cast<std::uint32_t>(first / width_),
            seed_,       ranks_};
  }
  // `stream` tells the parts of one rank apart, so that swapped parts are seen. Each part is a
  // pattern of its own from index 0: a part need not be whole words long.
  Expectation words(int rank, std::size_t bytes, std::size_t offset, int stream) const {
    return {Kind::kWords,
            call_.type,
            offset,
            bytes,
            rank,
            0,
            seed_ + 0x01000193U * static_cast<std::uint32_t>(stream),
            ranks_};
  }
  std::vector<Expectation> toAll() const {
    std::vector<Expectation> out;
    for (int peer = 0; peer < ranks_; ++peer) {
      out.push_back(words(rank_, partBytes_, static_cast<std::size_t>(peer) * partBytes_, peer));
    }
    return out;
  }
  std::vector<Expectation> fromAll(int stream) const {
    std::vector<Expectation> out;
    for (int peer = 0; peer < ranks_; ++peer) {
      out.push_back(words(peer, partBytes_, static_cast<std::size_t>(peer) * partBytes_, stream));
    }
    return out;
  }

  const Call& call_;
  int rank_;
  int ranks_;
  std::uint32_t seed_;
  std::size_t width_;
  std::size_t bytes_;
  std::size_t partBytes_;
};

}  // namespace

Result<CheckedCall> checkedCall(const Call& call, int rank, int ranks, std::uint32_t seed) {
  RAILHEAD_TRY(shapeOf(call, rank, ranks));
  return Plan(call, rank, ranks, seed).make();
}

}  // namespace railhead::collective
