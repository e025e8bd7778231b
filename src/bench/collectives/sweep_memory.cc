#include "src/bench/collectives/sweep_memory.h"

#include "src/collective/checked_call.h"

namespace railhead::bench {
namespace {

using collective::Call;
using collective::Expectation;

// Where the send and the receive part begin, in bytes of their buffers.
struct Offsets {
  std::size_t send = 0;
  std::size_t receive = 0;
};

Offsets offsetsOf(const Call& call, int rank, int ranks) {
  const auto shape = collective::shapeOf(call, rank, ranks);
  if (!call.inPlace || !shape.has_value()) return {};
  const std::size_t inside = shape->inPlaceOffset * collective::elementBytes(call.type);
  if (shape->sendCount < shape->receiveCount) return {inside, 0};
  if (shape->receiveCount < shape->sendCount) return {0, inside};
  return {};
}

std::vector<Expectation> shifted(std::vector<Expectation> parts, std::size_t by) {
  for (auto& part : parts) part.offset += by;
  return parts;
}

}  // namespace

Result<SweepMemory> SweepMemory::allocate(collective::Memory& memory, std::uint64_t bytes,
                                          std::uint64_t turns) {
  RAILHEAD_TRY_ASSIGN(auto first, memory.allocate(bytes * turns));
  RAILHEAD_TRY_ASSIGN(auto second, memory.allocate(bytes * turns));
  return SweepMemory(memory, bytes, turns, std::move(first), std::move(second));
}

SweepMemory::Place SweepMemory::placeFor(const Call& call, int rank, int ranks,
                                         std::uint64_t turn) const {
  Offsets at = offsetsOf(call, rank, ranks);
  at.send += turn % turns_ * bytes_;
  at.receive += turn % turns_ * bytes_;
  auto* sends = static_cast<std::byte*>(first_->data());
  auto* receives = call.inPlace ? sends : static_cast<std::byte*>(second_->data());
  return {sends + at.send, receives + at.receive};
}

Result<void> SweepMemory::prepare(const Call& call, int rank, int ranks, std::uint32_t seed) {
  RAILHEAD_TRY_ASSIGN(auto plan, collective::checkedCall(call, rank, ranks, seed));
  RAILHEAD_TRY(memory_->spoil(*first_));
  RAILHEAD_TRY(memory_->spoil(*second_));
  return memory_->fill(*first_, shifted(std::move(plan.before), offsetsOf(call, rank, ranks).send));
}

Result<collective::DataCheck> SweepMemory::check(const Call& call, int rank, int ranks,
                                                 std::uint32_t seed) const {
  RAILHEAD_TRY_ASSIGN(auto plan, collective::checkedCall(call, rank, ranks, seed));
  return memory_->check(call.inPlace ? *first_ : *second_,
                        shifted(std::move(plan.after), offsetsOf(call, rank, ranks).receive));
}

}  // namespace railhead::bench
