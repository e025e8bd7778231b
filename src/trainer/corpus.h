// The text that is trained on, as tokens. Immutable once read, and then thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"
#include "src/trainer/tokens.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace railhead::trainer {

class Corpus {
 public:
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{16} << 30;
  static constexpr std::size_t kMaxFiles = 10'000;

  // Files, or folders whose regular files are taken in the order of their names (links are not
  // followed there), all behind each other. kInvalidArgument: shorter than one window.
  // `tokens`: as Tokens::named has them. `window`: tokens of one sample.
  static Result<Corpus> read(os::Filesystem& files, const std::vector<std::string>& paths,
                             const std::string& tokens, std::uint64_t window);

  std::uint64_t windows() const;
  // The tokens of one window and, one later, those that follow each of them: window + 1 values.
  void copyWindow(std::uint64_t index, std::span<std::int32_t> out) const;
  std::uint64_t length() const { return tokens_.size(); }      // in tokens
  std::uint32_t tokenCount() const { return tokenCount_; }     // different ones
  const std::string& tokenName() const { return tokenName_; }  // "bytes", "bpe:512"
  const std::string& sha256() const { return sha256_; }        // of the text

 private:
  Corpus() = default;

  std::vector<std::uint16_t> tokens_;
  std::uint32_t tokenCount_ = 0;
  std::string tokenName_;
  std::uint64_t window_ = 1;
  std::string sha256_;
};

}  // namespace railhead::trainer
