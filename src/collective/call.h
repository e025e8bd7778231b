// One collective operation as every rank must call it: names, types, sizes. Value types; pure.
//
// Sizes are counted as nccl-tests counts them: `count` elements of the larger of the two buffers.
// all_gather receives them in all, reduce_scatter and all_to_all send them in all, so that there
// each rank's part is count / ranks. Bandwidths (algbw, busbw) follow from that size.
#pragma once

#include "src/base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace railhead::collective {

enum class Operation {
  kAllReduce,
  kAllGather,
  kReduceScatter,
  kBroadcast,
  kReduce,
  kAllToAll,
  kSendReceive,  // to the next rank, from the previous one
};
std::span<const Operation> allOperations();
std::string_view operationName(Operation operation);  // "all_reduce"
// kInvalidArgument lists what is allowed.
Result<Operation> parseOperation(std::string_view name);
bool reduces(Operation operation);  // adds numbers up, rather than only moving bytes

enum class ElementType { kInt8, kUint8, kInt32, kInt64, kFloat16, kBfloat16, kFloat32, kFloat64 };
std::span<const ElementType> allElementTypes();
std::string_view elementTypeName(ElementType type);  // "bfloat16"
Result<ElementType> parseElementType(std::string_view name);
std::size_t elementBytes(ElementType type);

struct Call {
  Operation operation = Operation::kAllReduce;
  ElementType type = ElementType::kFloat32;
  std::size_t count = 0;  // elements of the larger buffer
  int root = 0;           // of broadcast and reduce
  bool inPlace = false;   // all_to_all and send/receive cannot

  bool operator==(const Call&) const = default;
};

// What this call needs of each rank, in elements.
struct CallShape {
  std::size_t sendCount = 0;
  std::size_t receiveCount = 0;
  // In place the smaller part lies inside the larger one: where, in elements.
  std::size_t inPlaceOffset = 0;
};
// kInvalidArgument: a count that the ranks cannot share evenly, a root that is none, in place where
// there is no such thing.
Result<CallShape> shapeOf(const Call& call, int rank, int ranks);

// busbw = algbw * busFactor; algbw = bytes of the larger buffer / time.
double busFactor(Operation operation, int ranks);

}  // namespace railhead::collective
