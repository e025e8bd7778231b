#include "plugins/nccl-tuner/table.h"

#include <algorithm>

namespace railhead::nccl_tuner {
namespace {

constexpr std::uint64_t kMaxRanks = 1'000'000;
constexpr std::string_view kHeader = "railhead-tuner 1";
constexpr std::string_view kHashWord = "hash ";
constexpr std::string_view kCollectiveNames[] = {"broadcast", "reduce", "allgather",
                                                 "reducescatter", "allreduce"};
constexpr std::string_view kAlgorithmNames[] = {
    "tree", "ring", "collnetdirect", "collnetchain", "nvls", "nvlstree", "pat"};
constexpr std::string_view kProtocolNames[] = {"ll", "ll128", "simple"};

template <std::size_t count>
bool readName(std::string_view text, const std::string_view (&names)[count],
              std::uint8_t& position) {
  for (std::size_t i = 0; i < count; ++i) {
    if (names[i] != text) continue;
    position = static_cast<std::uint8_t>(i);
    return true;
  }
  return false;
}

bool readHash(std::string_view line, char (&hash)[65]) {
  if (line.size() != kHashWord.size() + 64 || !line.starts_with(kHashWord)) return false;
  line.remove_prefix(kHashWord.size());
  for (const char digit : line) {
    if ((digit < '0' || digit > '9') && (digit < 'a' || digit > 'f')) return false;
  }
  std::copy(line.begin(), line.end(), hash);
  hash[64] = '\0';
  return true;
}

std::uint64_t digestOf(std::string_view text) {  // FNV-1a: against mistakes, not against malice
  std::uint64_t digest = 0xcbf29ce484222325;
  for (const char byte : text) digest = (digest ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return digest;
}

template <typename T>
int compareShapes(const T& a, std::uint64_t ranks, std::uint64_t nodes) {
  if (a.ranks != ranks) return a.ranks < ranks ? -1 : 1;
  if (a.nodes != nodes) return a.nodes < nodes ? -1 : 1;
  return 0;
}

}  // namespace

unsigned Table::Shape::lines() const {
  unsigned sum = 0;
  for (const auto& run : runs) sum += run.count;
  return sum;
}

bool Table::parse(std::string_view text, Remark& why) {
  lineCount_ = shapeCount_ = 0;
  identity_ = {};
  if (text.size() > kMaxBytes) {
    why.say("it is larger than 1 MiB");
    return false;
  }
  unsigned number = 0;
  const auto refuse = [&](const char* what) {
    lineCount_ = shapeCount_ = 0;
    identity_ = {};
    why.say("line %u: %s", number, what);
    return false;
  };

  const auto whole = text;
  std::string_view line;
  ++number;
  if (!cutBefore('\n', text, line) || line != kHeader)
    return refuse("it does not begin with 'railhead-tuner 1'");
  ++number;
  if (!cutBefore('\n', text, line) || !readHash(line, identity_.hash))
    return refuse("it is not 'hash' and 64 lowercase hexadecimal digits");
  while (!text.empty()) {
    ++number;
    if (!cutBefore('\n', text, line)) return refuse("it has no end: the table is cut off");
    Line read;
    const char* fault = parseLine(line, read);
    if (fault == nullptr) fault = append(read);
    if (fault != nullptr) return refuse(fault);
  }
  identity_.bytes = digestOf(whole);
  return true;
}

const char* Table::parseLine(std::string_view text, Line& line) {
  std::array<std::string_view, 8> words;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (!cutBefore(' ', text, words[i])) return "it has less than 8 words";
  }
  words[7] = text;
  std::uint64_t ranks = 0;
  std::uint64_t nodes = 0;
  std::uint64_t channels = 0;
  if (!readName(words[0], kCollectiveNames, line.collective))
    return "the collective is none of broadcast reduce allgather reducescatter allreduce";
  if (!readNumber(words[1], kMaxRanks, ranks) || ranks < 2)
    return "the ranks are not a number from 2 to 1000000";
  if (!readNumber(words[2], ranks, nodes) || nodes < 1)
    return "the nodes are not a number from 1 to the ranks";
  if (!readNumber(words[3], UINT64_MAX, line.minBytes)) return "the smallest size is not a number";
  if (!readNumber(words[4], UINT64_MAX, line.maxBytes) || line.maxBytes < line.minBytes)
    return "the largest size is not a number from the smallest on";
  if (!readName(words[5], kAlgorithmNames, line.choice.algorithm))
    return "the algorithm is none of tree ring collnetdirect collnetchain nvls nvlstree pat";
  if (!readName(words[6], kProtocolNames, line.choice.protocol))
    return "the protocol is none of ll ll128 simple";
  if (!readNumber(words[7], kMaxChannels, channels))
    return "the channels are not a number from 0 to 64, the last of 8 words";
  if (channels > 0 && !takesChannels(line.choice.algorithm))
    return "the channels are not 0, and only tree and ring take another number";
  line.ranks = static_cast<std::uint32_t>(ranks);
  line.nodes = static_cast<std::uint32_t>(nodes);
  line.choice.channels = static_cast<std::uint8_t>(channels);
  return nullptr;
}

const char* Table::append(const Line& line) {
  if (lineCount_ == kMaxLines) return "the table has more than 4096 lines";
  if (lineCount_ > 0) {
    const Line& last = lines_[lineCount_ - 1];
    if (line.collective < last.collective) return "it belongs before the line above it";
    if (line.collective == last.collective) {
      const int order = compareShapes(line, last.ranks, last.nodes);
      if (order < 0) return "it belongs before the line above it";
      if (order == 0 && line.minBytes <= last.maxBytes)
        return line.maxBytes < last.minBytes ? "it belongs before the line above it"
                                             : "its sizes overlap with those of the line above it";
    }
  }
  auto& run = shapeOf(line)->runs[line.collective];
  if (run.count == 0) run.first = static_cast<std::uint16_t>(lineCount_);
  ++run.count;
  starts_[lineCount_] = line.minBytes;
  lines_[lineCount_++] = line;
  return nullptr;
}

Table::Shape* Table::shapeOf(const Line& line) {
  auto* end = shapes_.data() + shapeCount_;
  auto* at =
      std::lower_bound(shapes_.data(), end, line, [](const Shape& shape, const Line& wanted) {
        return compareShapes(shape, wanted.ranks, wanted.nodes) < 0;
      });
  if (at != end && compareShapes(*at, line.ranks, line.nodes) == 0) return at;
  std::move_backward(at, end, end + 1);  // fits: there are never more shapes than lines
  *at = Shape{.ranks = line.ranks, .nodes = line.nodes};
  ++shapeCount_;
  return at;
}

const Table::Shape* Table::find(std::size_t ranks, std::size_t nodes) const {
  const auto* end = shapes_.data() + shapeCount_;
  const auto* at =
      std::lower_bound(shapes_.data(), end, ranks, [nodes](const Shape& shape, std::size_t wanted) {
        return compareShapes(shape, wanted, nodes) < 0;
      });
  return at != end && compareShapes(*at, ranks, nodes) == 0 ? at : nullptr;
}

const Table::Shape* Table::recognize(const void* pointer) const {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  const auto begin = reinterpret_cast<std::uintptr_t>(shapes_.data());
  if (address < begin || address - begin >= shapeCount_ * sizeof(Shape)) return nullptr;
  if ((address - begin) % sizeof(Shape) != 0) return nullptr;
  return &shapes_[(address - begin) / sizeof(Shape)];
}

const Choice* Table::choose(const Shape& shape, int collective, std::uint64_t bytes) const {
  if (collective < 0 || collective >= kCollectives) return nullptr;
  const auto run = shape.runs[static_cast<std::size_t>(collective)];
  if (run.count == 0) return nullptr;
  // The last line that begins at or below the size, by moves instead of branches: a size comes
  // without a warning, and a branch mispredicted at each step would cost more than all the rest.
  const auto* at = starts_.data() + run.first;
  for (std::size_t left = run.count; left > 1;) {
    const auto half = left / 2;
    at = at[half] <= bytes ? at + half : at;
    left -= half;
  }
  const Line& line = lines_[static_cast<std::size_t>(at - starts_.data())];
  return *at <= bytes && bytes <= line.maxBytes ? &line.choice : nullptr;
}

}  // namespace railhead::nccl_tuner
