#include "plugins/nccl-tuner/table.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

#include <cstring>

namespace railhead::fuzz {
namespace {

// What is chosen is one of NCCL's, on whatever communicator and size.
void lookUp(const nccl_tuner::Table& table) {
  unsigned lines = 0;
  for (std::size_t ranks = 0; ranks < 70; ++ranks) {
    for (std::size_t nodes = 0; nodes < 9; ++nodes) {
      const auto* shape = table.find(ranks, nodes);
      if (shape == nullptr) continue;
      must(table.recognize(shape) == shape, "a shape is known again");
      must(shape->lines() > 0, "a shape has lines");
      lines += shape->lines();
      for (int collective = -1; collective <= nccl_tuner::kCollectives; ++collective) {
        for (int bit = 0; bit < 64; bit += 3) {
          const auto* choice = table.choose(*shape, collective, std::uint64_t{1} << bit);
          if (choice == nullptr) continue;
          must(choice->algorithm < 7 && choice->protocol < 3, "a choice is one of NCCL's");
          must(choice->channels <= nccl_tuner::kMaxChannels, "and its channels are in bounds");
          must(choice->channels == 0 || choice->algorithm < 2, "and NCCL bounds them");
        }
      }
    }
  }
  must(lines <= table.lines(), "no line is in two shapes");
}

}  // namespace

bool tunerTable(std::string_view input) {
  static nccl_tuner::Table table;  // too large for the stack, and used again as it is left
  nccl_tuner::Remark why;
  const bool good = table.parse(input, why);
  must(good || std::strlen(why.text) > 8, "a refusal says why");
  must(good || table.lines() == 0, "what was refused leaves nothing");
  must(!good || std::strlen(table.identity().hash) == 64, "a table has its hash");
  lookUp(table);
  return good;
}

}  // namespace railhead::fuzz
