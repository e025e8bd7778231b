#include "src/collective/host/algorithms.h"

#include "src/base/text.h"
#include "src/collective/host/element_math.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace railhead::collective {
namespace {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

// What broadcast and reduce hand along the chain at once.
constexpr std::size_t kChainSegment = 256 << 10;

// One running call: the two buffers cut down to this rail's share.
class Run {
 public:
  Run(Lanes& lanes, const Call& call, const Share& share, const std::byte* send, std::byte* receive)
      : lanes_(lanes), call_(call), share_(share), send_(send), receive_(receive) {}

  Result<void> run(Algorithm algorithm) {
    if (ranks() == 1) return alone();
    switch (call_.operation) {
      case Operation::kAllReduce:
        return algorithm == Algorithm::kDirect ? allReduceDirect() : allReduceRing();
      case Operation::kReduceScatter:
        return algorithm == Algorithm::kDirect ? reduceScatterDirect() : reduceScatterRing();
      case Operation::kAllGather:
        return algorithm == Algorithm::kDirect ? allGatherDirect() : allGatherRing();
      case Operation::kBroadcast:
        return broadcast();
      case Operation::kReduce:
        return reduce();
      case Operation::kAllToAll:
        return allToAll();
      case Operation::kSendReceive:
        return shift(1, sent(0), received(0));
    }
    return Error(ErrorCode::kInternal, "an operation without an algorithm");
  }

 private:
  // Every operation of one rank gives what was put in; there is no lane to send it by.
  Result<void> alone() {
    std::memmove(received(0).data(), sent(0).data(), bytes());
    return {};
  }
  int ranks() const { return lanes_.ranks(); }
  int rank() const { return lanes_.rank(); }
  int wrap(int rank) const { return ((rank % ranks()) + ranks()) % ranks(); }
  std::size_t width() const { return elementBytes(call_.type); }
  std::size_t bytes() const { return share_.count * width(); }
  std::size_t partBytes() const {
    return call_.count / static_cast<std::size_t>(ranks()) * width();
  }
  // This rail's share of part `part`; of buffers without parts, part 0 is all there is.
  ConstBytes sent(int part) const {
    return {send_ + static_cast<std::size_t>(part) * partBytes() + share_.first * width(), bytes()};
  }
  Bytes received(int part) const {
    return {receive_ + static_cast<std::size_t>(part) * partBytes() + share_.first * width(),
            bytes()};
  }
  static void copy(Bytes to, ConstBytes from) {
    if (!from.empty() && to.data() != from.data())
      std::memmove(to.data(), from.data(), from.size());
  }

  Result<void> swap(int to, ConstBytes out, int from, Bytes in, bool add = false) {
    return lanes_.exchange({to, out, from, in.size(), [&](std::size_t at, ConstBytes piece) {
                              const Bytes target = in.subspan(at, piece.size());
                              if (add) {
                                addElements(call_.type, target, piece);
                              } else {
                                copy(target, piece);
                              }
                            }});
  }
  Result<void> shift(int by, ConstBytes out, Bytes in) {
    return swap(wrap(rank() + by), out, wrap(rank() - by), in);
  }

  // The buffer cut into a piece for each rank, of whole elements; some may be empty.
  Bytes pieceOf(Bytes whole, int piece) const {
    const std::size_t n = static_cast<std::size_t>(ranks());
    const std::size_t elements = whole.size() / width();
    const std::size_t p = static_cast<std::size_t>(wrap(piece));
    const std::size_t begin = elements * p / n;
    const std::size_t end = elements * (p + 1) / n;
    return whole.subspan(begin * width(), (end - begin) * width());
  }

  // pieces(rank) of this rank becomes the sum of all ranks' pieces(rank).
  template <typename Pieces>
  Result<void> ringAdd(Pieces pieces) {
    const int own = rank();
    for (int step = 1; step < ranks(); ++step) {
      RAILHEAD_TRY(swap(wrap(rank() + 1), pieces(own - step), wrap(rank() - 1),
                        pieces(own - step - 1), true));
    }
    return {};
  }
  // pieces(rank) of each rank comes to all.
  template <typename Pieces>
  Result<void> ringGather(Pieces pieces) {
    const int own = rank();
    for (int step = 0; step + 1 < ranks(); ++step) {
      RAILHEAD_TRY(
          swap(wrap(rank() + 1), pieces(own - step), wrap(rank() - 1), pieces(own - step - 1)));
    }
    return {};
  }

  Result<void> allReduceRing() {
    copy(received(0), sent(0));
    const auto pieces = [&](int i) { return pieceOf(received(0), i); };
    RAILHEAD_TRY(ringAdd(pieces));
    return ringGather(pieces);
  }

  Result<void> allReduceDirect() {
    // Everybody's numbers, added in the order of ranks: the same bits everywhere.
    std::vector<std::byte> all(bytes() * static_cast<std::size_t>(ranks()));
    const auto of = [&](int r) {
      return Bytes(all).subspan(static_cast<std::size_t>(r) * bytes(), bytes());
    };
    copy(of(rank()), sent(0));
    for (int by = 1; by < ranks(); ++by) {
      RAILHEAD_TRY(swap(wrap(rank() + by), sent(0), wrap(rank() - by), of(wrap(rank() - by))));
    }
    for (int r = 1; r < ranks(); ++r) addElements(call_.type, of(0), of(r));
    copy(received(0), of(0));
    return {};
  }

  Result<void> reduceScatterRing() {
    std::vector<std::byte> sums(bytes() * static_cast<std::size_t>(ranks()));
    const auto part = [&](int i) {
      return Bytes(sums).subspan(static_cast<std::size_t>(wrap(i)) * bytes(), bytes());
    };
    for (int i = 0; i < ranks(); ++i) copy(part(i), sent(i));
    RAILHEAD_TRY(ringAdd(part));
    copy(scattered(), part(rank()));
    return {};
  }

  Result<void> reduceScatterDirect() {
    std::vector<std::byte> all(bytes() * static_cast<std::size_t>(ranks()));
    const auto of = [&](int r) {
      return Bytes(all).subspan(static_cast<std::size_t>(r) * bytes(), bytes());
    };
    copy(of(rank()), sent(rank()));
    for (int by = 1; by < ranks(); ++by) {
      const int to = wrap(rank() + by);
      const int from = wrap(rank() - by);
      RAILHEAD_TRY(swap(to, sent(to), from, of(from)));
    }
    for (int r = 1; r < ranks(); ++r) addElements(call_.type, of(0), of(r));
    copy(scattered(), of(0));
    return {};
  }
  // reduce_scatter receives one part only, wherever its buffer is.
  Bytes scattered() const { return {receive_ + share_.first * width(), bytes()}; }

  Result<void> allGatherRing() {
    copy(received(rank()), gatheredFrom());
    return ringGather([&](int i) { return received(wrap(i)); });
  }
  Result<void> allGatherDirect() {
    copy(received(rank()), gatheredFrom());
    for (int by = 1; by < ranks(); ++by) {
      RAILHEAD_TRY(shift(by, received(rank()), received(wrap(rank() - by))));
    }
    return {};
  }
  ConstBytes gatheredFrom() const { return {send_ + share_.first * width(), bytes()}; }

  Result<void> allToAll() {
    copy(received(rank()), sent(rank()));
    for (int by = 1; by < ranks(); ++by) {
      const int to = wrap(rank() + by);
      const int from = wrap(rank() - by);
      RAILHEAD_TRY(swap(to, sent(to), from, received(from)));
    }
    return {};
  }

  // root, root + 1, ... hand segments along, so that all links work at once.
  Result<void> broadcast() {
    const int place = wrap(rank() - call_.root);
    const bool last = place == ranks() - 1;
    if (place == 0) copy(received(0), sent(0));
    return inSegments([&](std::size_t at, std::size_t size) -> Result<void> {
      const Bytes segment = received(0).subspan(at, size);
      if (place > 0) RAILHEAD_TRY(swap(0, {}, wrap(rank() - 1), segment));
      if (!last) RAILHEAD_TRY(swap(wrap(rank() + 1), segment, 0, {}));
      return {};
    });
  }

  // root + 1, root + 2, ..., root add their own to what comes along.
  Result<void> reduce() {
    const int place = wrap(rank() - call_.root - 1);
    const bool last = place == ranks() - 1;
    std::vector<std::byte> scratch(last ? 0 : std::min(kChainSegment, bytes()));
    return inSegments([&](std::size_t at, std::size_t size) -> Result<void> {
      const Bytes sum = last ? received(0).subspan(at, size) : Bytes(scratch).first(size);
      copy(sum, sent(0).subspan(at, size));
      if (place > 0) RAILHEAD_TRY(swap(0, {}, wrap(rank() - 1), sum, true));
      if (!last) RAILHEAD_TRY(swap(wrap(rank() + 1), sum, 0, {}));
      return {};
    });
  }

  template <typename Step>
  Result<void> inSegments(Step step) {
    for (std::size_t at = 0; at < bytes(); at += kChainSegment) {
      RAILHEAD_TRY(step(at, std::min(kChainSegment, bytes() - at)));
    }
    return {};
  }

  Lanes& lanes_;
  const Call& call_;
  const Share& share_;
  const std::byte* send_;
  std::byte* receive_;
};

}  // namespace

std::string_view algorithmName(Algorithm algorithm) {
  return algorithm == Algorithm::kRing ? "ring" : "direct";
}

Result<Algorithm> parseAlgorithm(std::string_view name) {
  if (name == "ring") return Algorithm::kRing;
  if (name == "direct") return Algorithm::kDirect;
  return Error(ErrorCode::kInvalidArgument,
               "algorithm " + inQuotes(name) + ": expected ring or direct");
}

Result<Share> shareOf(const Call& call, int ranks, std::size_t rail, std::size_t rails) {
  RAILHEAD_TRY_ASSIGN(const CallShape shape, shapeOf(call, 0, ranks));
  const bool parts =
      shape.sendCount != shape.receiveCount || call.operation == Operation::kAllToAll;
  const std::size_t all = parts ? call.count / static_cast<std::size_t>(ranks) : call.count;
  const std::size_t first = all * rail / rails;
  return Share{first, all * (rail + 1) / rails - first};
}

Result<void> runCall(Lanes& lanes, const Call& call, const Share& share, Algorithm algorithm,
                     const std::byte* send, std::byte* receive) {
  return Run(lanes, call, share, send, receive).run(algorithm);
}

}  // namespace railhead::collective
