// The tuner table: which algorithm, protocol and number of channels a collective of a size shall
// take on communicators of one shape. docs/reference/nccl-tuner.md holds the format.
//
// A table is of fixed size (a quarter of a MiB: not for the stack) and never allocates. Parsed
// once, it may be read by any number of threads.
#pragma once

#include "plugins/nccl-tuner/remark.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace railhead::nccl_tuner {

inline constexpr int kCollectives = 5;  // NCCL's numbers: broadcast 0 ... allreduce 4
inline constexpr unsigned kMaxChannels = 64;

// Whether a line may name a number of channels. NCCL bounds it by what the communicator has for
// tree and ring. For collnet it takes the number as given, and one too large reaches channels that
// are not there; the others have channels of their own count, and are left alone as well.
constexpr bool takesChannels(unsigned algorithm) { return algorithm <= 1; }

struct Choice {
  std::uint8_t algorithm = 0;  // NCCL's numbers: tree 0 ... pat 6
  std::uint8_t protocol = 0;   // ll 0, ll128 1, simple 2
  std::uint8_t channels = 0;   // 0: NCCL's own number; more only where takesChannels()
};

// What two ranks compare: the profile's hash as the file states it, and a digest of the file's
// bytes, so that a table edited by hand under its old hash is another one.
struct TableIdentity {
  char hash[65] = "";  // 64 lowercase hexadecimal digits
  std::uint64_t bytes = 0;
};

class Table {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
  static constexpr std::size_t kMaxLines = 4096;

  // The lines of communicators with these ranks and nodes.
  struct Shape {
    std::uint32_t ranks = 0;
    std::uint32_t nodes = 0;
    struct Run {
      std::uint16_t first = 0;
      std::uint16_t count = 0;
    };
    std::array<Run, kCollectives> runs{};

    unsigned lines() const;
  };

  // False, with the line and what is wrong with it, unless `text` is a table; this one is empty
  // then.
  bool parse(std::string_view text, Remark& why);

  const TableIdentity& identity() const { return identity_; }
  std::size_t lines() const { return lineCount_; }

  // Null when there is no line for such communicators.
  const Shape* find(std::size_t ranks, std::size_t nodes) const;

  // `pointer` if it is one that find() has given, else null: for what comes back from outside.
  const Shape* recognize(const void* pointer) const;

  // Null when no line covers this. At most 12 comparisons.
  const Choice* choose(const Shape& shape, int collective, std::uint64_t bytes) const;

 private:
  struct Line {
    std::uint64_t minBytes = 0;
    std::uint64_t maxBytes = 0;
    std::uint32_t ranks = 0;
    std::uint32_t nodes = 0;
    std::uint8_t collective = 0;
    Choice choice;
  };

  static const char* parseLine(std::string_view text, Line& line);
  const char* append(const Line& line);
  Shape* shapeOf(const Line& line);

  TableIdentity identity_;
  std::size_t lineCount_ = 0;
  std::size_t shapeCount_ = 0;
  std::array<Line, kMaxLines> lines_{};
  std::array<std::uint64_t, kMaxLines>
      starts_{};                           // each line's minBytes, close together to be searched
  std::array<Shape, kMaxLines> shapes_{};  // sorted by ranks, nodes
};

}  // namespace railhead::nccl_tuner
