#include "src/trainer/corpus.h"

#include "src/base/text.h"
#include "src/base/units.h"
#include "src/digest/sha256.h"

#include <utility>

namespace railhead::trainer {
namespace {

Result<std::vector<std::string>> filesAt(os::Filesystem& files, const std::string& path) {
  RAILHEAD_TRY_ASSIGN(const auto status, files.status(path));
  if (status.kind == os::FileKind::kFile) return std::vector<std::string>{path};
  if (status.kind != os::FileKind::kDirectory) {
    return Error(ErrorCode::kInvalidArgument, inQuotes(path) + " is neither a file nor a folder");
  }
  RAILHEAD_TRY_ASSIGN(const auto names, files.listDirectory(path));
  std::vector<std::string> out;
  for (const auto& name : names) {
    const std::string inside = path + "/" + name;
    if (files.readLink(inside).has_value()) continue;  // another name of a file, most often
    RAILHEAD_TRY_ASSIGN(const auto found, files.status(inside));
    if (found.kind == os::FileKind::kFile) out.push_back(inside);
  }
  return out;
}

}  // namespace

Result<Corpus> Corpus::read(os::Filesystem& files, const std::vector<std::string>& paths,
                            const std::string& tokens, std::uint64_t window) {
  std::string all;
  std::size_t count = 0;
  for (const auto& path : paths) {
    RAILHEAD_TRY_ASSIGN(const auto found, filesAt(files, path).addContext("training text"));
    for (const auto& file : found) {
      if (++count > kMaxFiles) {
        return Error(ErrorCode::kExhausted,
                     "training text: more than " + std::to_string(kMaxFiles) + " files in " + path);
      }
      RAILHEAD_TRY_ASSIGN(const auto text,
                          files.readFile(file, kMaxBytes - all.size()).addContext("training text"));
      all += text;
    }
  }
  RAILHEAD_TRY_ASSIGN(const auto encoding, Tokens::named(tokens, all));
  Corpus out;
  out.sha256_ = digest::sha256Hex(all);
  out.tokens_ = encoding.encode(all);
  out.tokenCount_ = encoding.count();
  out.tokenName_ = tokens;
  out.window_ = window;
  if (out.tokens_.size() <= window) {
    return Error(ErrorCode::kInvalidArgument,
                 "the training text has " + std::to_string(out.tokens_.size()) +
                     " tokens: expected more than the " + std::to_string(window) +
                     " of one sequence",
                 "give more text with --data, or take a smaller --context");
  }
  return out;
}

std::uint64_t Corpus::windows() const { return (tokens_.size() - 1) / window_; }

void Corpus::copyWindow(std::uint64_t index, std::span<std::int32_t> out) const {
  const std::uint64_t first = index * window_;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = tokens_[first + i];
}

}  // namespace railhead::trainer
