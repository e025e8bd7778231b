// The first line: how many bytes of tensors the file has. The rest: the header's JSON.
#include "src/base/text.h"
#include "src/checkpoint/safetensors.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {

bool tensorHeader(std::string_view input) {
  const auto length = checkpoint::tensorJsonBytes(input, input.size());
  if (taken(length)) must(*length <= input.size() - 8, "a header lies in its file");
  const std::uint64_t data = parseUnsigned(cutLine(input)).value_or(0) % (std::uint64_t{1} << 40);
  const std::uint64_t file = checkpoint::kTensorPrefix + input.size() + data;
  const auto header = checkpoint::decodeTensorHeader(input, file);
  if (!taken(header)) return false;
  std::uint64_t at = 0;
  std::vector<checkpoint::TensorPlan> plans;
  for (const auto& tensor : header->tensors) {
    must(tensor.begin == at && tensor.end >= at, "tensors lie behind each other");
    at = tensor.end;
    plans.push_back({tensor.name, tensor.type, tensor.shape});
  }
  must(header->dataOffset + at == file, "and fill the file");
  const auto written = checkpoint::encodeTensorHeader(header->metadata, plans);
  must(written.has_value(), "a header that was read can be written");
  const auto again = checkpoint::decodeTensorHeader(
      std::string_view(*written).substr(checkpoint::kTensorPrefix), written->size() + at);
  must(again.has_value() && again->tensors == header->tensors, "and read again");
  return true;
}

}  // namespace railhead::fuzz
