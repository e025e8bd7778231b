#include "src/collective/call.h"

#include "src/base/text.h"

#include <algorithm>
#include <array>

namespace railhead::collective {
namespace {

template <typename Kind>
struct Named {
  Kind kind;
  std::string_view name;
};

constexpr std::array kOperations{
    Named<Operation>{Operation::kAllReduce, "all_reduce"},
    Named<Operation>{Operation::kAllGather, "all_gather"},
    Named<Operation>{Operation::kReduceScatter, "reduce_scatter"},
    Named<Operation>{Operation::kBroadcast, "broadcast"},
    Named<Operation>{Operation::kReduce, "reduce"},
    Named<Operation>{Operation::kAllToAll, "all_to_all"},
    Named<Operation>{Operation::kSendReceive, "sendrecv"},
};
constexpr std::array kTypes{
    Named<ElementType>{ElementType::kInt8, "int8"},
    Named<ElementType>{ElementType::kUint8, "uint8"},
    Named<ElementType>{ElementType::kInt32, "int32"},
    Named<ElementType>{ElementType::kInt64, "int64"},
    Named<ElementType>{ElementType::kFloat16, "float16"},
    Named<ElementType>{ElementType::kBfloat16, "bfloat16"},
    Named<ElementType>{ElementType::kFloat32, "float32"},
    Named<ElementType>{ElementType::kFloat64, "float64"},
};

template <typename Table>
constexpr auto kindsOf(const Table& table) {
  std::array<decltype(table[0].kind), std::tuple_size_v<Table>> out{};
  std::transform(table.begin(), table.end(), out.begin(), [](const auto& row) { return row.kind; });
  return out;
}
constexpr auto kOperationKinds = kindsOf(kOperations);
constexpr auto kTypeKinds = kindsOf(kTypes);

template <typename Table, typename Kind>
std::string_view nameIn(const Table& table, Kind kind) {
  const auto row =
      std::find_if(table.begin(), table.end(), [&](const auto& r) { return r.kind == kind; });
  return row == table.end() ? std::string_view("unknown") : row->name;
}

template <typename Table>
auto parseIn(const Table& table, std::string_view what, std::string_view name)
    -> Result<decltype(table[0].kind)> {
  std::string allowed;
  for (const auto& row : table) {
    if (row.name == name) return row.kind;
    allowed += (allowed.empty() ? "" : ", ") + std::string(row.name);
  }
  return Error(ErrorCode::kInvalidArgument,
               std::string(what) + " " + inQuotes(name) + ": expected one of " + allowed);
}

// The larger buffer holds a part for each rank.
bool isShared(Operation operation) {
  return operation == Operation::kAllGather || operation == Operation::kReduceScatter ||
         operation == Operation::kAllToAll;
}

Error badCall(const Call& call, const std::string& why) {
  return Error(ErrorCode::kInvalidArgument,
               std::string(operationName(call.operation)) + ": " + why);
}

}  // namespace

std::span<const Operation> allOperations() { return kOperationKinds; }
std::string_view operationName(Operation operation) { return nameIn(kOperations, operation); }
Result<Operation> parseOperation(std::string_view name) {
  return parseIn(kOperations, "operation", name);
}
bool reduces(Operation operation) {
  return operation == Operation::kAllReduce || operation == Operation::kReduceScatter ||
         operation == Operation::kReduce;
}

std::span<const ElementType> allElementTypes() { return kTypeKinds; }
std::string_view elementTypeName(ElementType type) { return nameIn(kTypes, type); }
Result<ElementType> parseElementType(std::string_view name) {
  return parseIn(kTypes, "element type", name);
}

std::size_t elementBytes(ElementType type) {
  switch (type) {
    case ElementType::kInt8:
    case ElementType::kUint8:
      return 1;
    case ElementType::kFloat16:
    case ElementType::kBfloat16:
      return 2;
    case ElementType::kInt32:
    case ElementType::kFloat32:
      return 4;
    case ElementType::kInt64:
    case ElementType::kFloat64:
      return 8;
  }
  return 1;
}

Result<CallShape> shapeOf(const Call& call, int rank, int ranks) {
  if (call.count == 0) return badCall(call, "a count of 0 elements: expected at least 1");
  if (call.root < 0 || call.root >= ranks) {
    return badCall(call, "root " + std::to_string(call.root) + ": expected a rank from 0 to " +
                             std::to_string(ranks - 1));
  }
  const auto parts = static_cast<std::size_t>(ranks);
  if (isShared(call.operation) && call.count % parts != 0) {
    return badCall(call, std::to_string(call.count) + " elements do not share out among " +
                             std::to_string(ranks) + " ranks: expected a multiple of it");
  }
  if (call.inPlace &&
      (call.operation == Operation::kAllToAll || call.operation == Operation::kSendReceive)) {
    return badCall(call, "it cannot run in place");
  }
  CallShape shape{call.count, call.count, 0};
  const std::size_t part = call.count / parts;
  if (call.operation == Operation::kAllGather) shape.sendCount = part;
  if (call.operation == Operation::kReduceScatter) shape.receiveCount = part;
  if (isShared(call.operation)) shape.inPlaceOffset = static_cast<std::size_t>(rank) * part;
  return shape;
}

double busFactor(Operation operation, int ranks) {
  const double n = ranks;
  switch (operation) {
    case Operation::kAllReduce:
      return 2 * (n - 1) / n;
    case Operation::kAllGather:
    case Operation::kReduceScatter:
    case Operation::kAllToAll:
      return (n - 1) / n;
    case Operation::kBroadcast:
    case Operation::kReduce:
    case Operation::kSendReceive:
      return 1;
  }
  return 1;
}

}  // namespace railhead::collective
