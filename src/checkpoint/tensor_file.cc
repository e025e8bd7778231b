#include "src/checkpoint/tensor_file.h"

#include "src/base/text.h"

#include <algorithm>

namespace railhead::checkpoint {
namespace {

Result<TensorHeader> readHeader(const os::RandomAccessFile& file) {
  std::string text(std::min<std::uint64_t>(kTensorPrefix, file.size()), '\0');
  RAILHEAD_TRY(file.read(0, std::as_writable_bytes(std::span(text))));
  RAILHEAD_TRY_ASSIGN(const auto length, tensorJsonBytes(text, file.size()));
  text.resize(length);
  RAILHEAD_TRY(file.read(kTensorPrefix, std::as_writable_bytes(std::span(text))));
  return decodeTensorHeader(text, file.size());
}

}  // namespace

Result<TensorFile> TensorFile::open(const std::string& path) {
  RAILHEAD_TRY_ASSIGN(auto file, os::RandomAccessFile::open(path));
  RAILHEAD_TRY_ASSIGN(auto header, readHeader(file).addContext(path));
  return TensorFile(std::move(file), std::move(header));
}

Result<void> TensorFile::read(const TensorEntry& tensor, std::uint64_t offset,
                              std::span<std::byte> into) const {
  const std::uint64_t bytes = tensor.end - tensor.begin;
  if (offset > bytes || into.size() > bytes - offset) {
    return Error(ErrorCode::kCorrupt, "tensor " + inQuotes(tensor.name) + " has " +
                                          std::to_string(bytes) + " bytes: expected " +
                                          std::to_string(into.size()) + " from byte " +
                                          std::to_string(offset) + " on");
  }
  return file_.read(header_.dataOffset + tensor.begin + offset, into);
}

}  // namespace railhead::checkpoint
