#include "src/checkpoint/safetensors.h"

#include "src/base/text.h"
#include "src/json/json.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include <nlohmann/json.hpp>

namespace railhead::checkpoint {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kDataAlignment = 64;
constexpr std::string_view kMetadata = "__metadata__";

struct ElementKind {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr std::array kElementKinds{
    ElementKind{"F32", 4}, ElementKind{"BF16", 2}, ElementKind{"F16", 2}, ElementKind{"F64", 8},
    ElementKind{"I64", 8}, ElementKind{"I32", 4},  ElementKind{"I16", 2}, ElementKind{"I8", 1},
    ElementKind{"U64", 8}, ElementKind{"U32", 4},  ElementKind{"U16", 2}, ElementKind{"U8", 1},
    ElementKind{"BOOL", 1}};

Error corrupt(const std::string& what) {
  return {ErrorCode::kCorrupt, "safetensors header: " + what};
}

// nullopt: more than fits into 64 bits.
std::optional<std::uint64_t> bytesOf(std::string_view type,
                                     const std::vector<std::uint64_t>& shape) {
  std::uint64_t bytes = tensorElementBytes(type);
  for (const std::uint64_t size : shape) {
    if (size != 0 && bytes > std::numeric_limits<std::uint64_t>::max() / size) return std::nullopt;
    bytes *= size;
  }
  return bytes;
}

Result<std::vector<std::uint64_t>> numbersIn(const Json* list, std::size_t most,
                                             const std::string& what) {
  if (list == nullptr || !list->is_array() || list->size() > most) {
    return corrupt(what + ": expected a list of at most " + std::to_string(most) + " numbers");
  }
  std::vector<std::uint64_t> out;
  for (const auto& number : *list) {
    if (!number.is_number_unsigned()) return corrupt(what + " has " + json::shown(number));
    out.push_back(number.get<std::uint64_t>());
  }
  return out;
}

Result<TensorEntry> readEntry(const std::string& name, const Json& value) {
  const std::string where = "tensor " + inQuotes(name);
  if (name.empty() || name.size() > kMaxTensorName) {
    return corrupt(where + ": expected a name of 1 to " + std::to_string(kMaxTensorName) +
                   " bytes");
  }
  TensorEntry out;
  out.name = name;
  const Json* type = json::member(value, "dtype");
  if (type == nullptr || !type->is_string() ||
      tensorElementBytes(type->get_ref<const std::string&>()) == 0) {
    return corrupt(where + ": expected a dtype like F32 or BF16");
  }
  out.type = type->get<std::string>();
  RAILHEAD_TRY_ASSIGN(
      out.shape, numbersIn(json::member(value, "shape"), kMaxTensorDimensions, where + ": shape"));
  RAILHEAD_TRY_ASSIGN(const auto offsets,
                      numbersIn(json::member(value, "data_offsets"), 2, where + ": data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    return corrupt(where + ": data_offsets: expected where it begins and ends");
  }
  out.begin = offsets[0];
  out.end = offsets[1];
  if (bytesOf(out.type, out.shape) != out.end - out.begin) {
    return corrupt(where + " has " + std::to_string(out.end - out.begin) +
                   " bytes, which its shape and dtype do not");
  }
  return out;
}

Result<void> readMetadata(const Json& value, TensorHeader& header) {
  if (!value.is_object()) return corrupt("__metadata__: expected an object");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      return corrupt("__metadata__: " + inQuotes(key) + " is " + json::shown(text) +
                     ": expected a text");
    }
    header.metadata[key] = text.get<std::string>();
  }
  return {};
}

// Every byte belongs to one tensor.
Result<void> checkLayout(std::vector<TensorEntry>& tensors, std::uint64_t dataBytes) {
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::uint64_t at = 0;
  for (const auto& tensor : tensors) {
    if (tensor.begin != at) {
      return corrupt("tensor " + inQuotes(tensor.name) + " begins at byte " +
                     std::to_string(tensor.begin) + ": expected " + std::to_string(at));
    }
    at = tensor.end;
  }
  if (at != dataBytes) {
    return corrupt("the tensors have " + std::to_string(at) + " bytes, the file " +
                   std::to_string(dataBytes));
  }
  return {};
}

}  // namespace

std::uint64_t tensorElementBytes(std::string_view type) {
  for (const auto& kind : kElementKinds) {
    if (kind.name == type) return kind.bytes;
  }
  return 0;
}

const TensorEntry* TensorHeader::find(std::string_view name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const TensorEntry& entry) { return entry.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

Result<std::string> encodeTensorHeader(const std::map<std::string, std::string>& metadata,
                                       const std::vector<TensorPlan>& tensors) {
  Json root = Json::object();
  if (!metadata.empty()) root[std::string(kMetadata)] = metadata;
  std::uint64_t at = 0;
  for (const auto& tensor : tensors) {
    const auto bytes = bytesOf(tensor.type, tensor.shape);
    if (tensorElementBytes(tensor.type) == 0 || !bytes || tensor.name.empty() ||
        tensor.name.size() > kMaxTensorName || root.contains(tensor.name)) {
      return Error(ErrorCode::kInvalidArgument,
                   "tensor " + inQuotes(tensor.name) + " cannot be written as safetensors");
    }
    root[tensor.name] = {
        {"dtype", tensor.type}, {"shape", tensor.shape}, {"data_offsets", {at, at + *bytes}}};
    at += *bytes;
  }
  std::string json = json::dump(root);
  json.append((kDataAlignment - (kTensorPrefix + json.size()) % kDataAlignment) % kDataAlignment,
              ' ');
  std::string out;
  for (std::size_t byte = 0; byte < kTensorPrefix; ++byte) {
    out += static_cast<char>(json.size() >> (8 * byte) & 0xff);
  }
  return out + json;
}

Result<std::uint64_t> tensorJsonBytes(std::string_view prefix, std::uint64_t fileBytes) {
  if (prefix.size() < kTensorPrefix || fileBytes < kTensorPrefix) {
    return corrupt("the file is too short, shorter than 8 bytes");
  }
  std::uint64_t length = 0;
  for (std::size_t byte = 0; byte < kTensorPrefix; ++byte) {
    length |= std::uint64_t{static_cast<unsigned char>(prefix[byte])} << (8 * byte);
  }
  if (length > kMaxTensorHeader || length > fileBytes - kTensorPrefix) {
    return corrupt("its length is " + std::to_string(length) +
                   ": expected at most what the file has, and " + std::to_string(kMaxTensorHeader));
  }
  return length;
}

Result<TensorHeader> decodeTensorHeader(std::string_view json, std::uint64_t fileBytes) {
  TensorHeader out;
  out.dataOffset = kTensorPrefix + json.size();
  if (out.dataOffset > fileBytes) return corrupt("it is longer than the file");
  auto root = json::parseObject(json, "safetensors header");
  if (!root.has_value()) return Error(ErrorCode::kCorrupt, root.error().message);
  if (root->size() > kMaxTensors) return corrupt("it has too many tensors");
  for (const auto& [name, value] : root->items()) {
    if (name == kMetadata) {
      RAILHEAD_TRY(readMetadata(value, out));
      continue;
    }
    RAILHEAD_TRY_ASSIGN(auto entry, readEntry(name, value));
    out.tensors.push_back(std::move(entry));
  }
  RAILHEAD_TRY(checkLayout(out.tensors, fileBytes - out.dataOffset));
  return out;
}

}  // namespace railhead::checkpoint
