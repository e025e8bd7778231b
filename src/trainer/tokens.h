// From bytes to tokens: each byte one, or byte pair encoding (R. Sennrich et al., "Neural Machine
// Translation of Rare Words with Subword Units", 2016) learned from the text itself, so that
// nothing has to be fetched. A pure function of the text; immutable, and then thread-safe.
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::trainer {

class Tokens {
 public:
  static constexpr std::uint32_t kBytes = 256;  // the first tokens are the bytes
  static constexpr std::uint32_t kMost = 1 << 16;
  static constexpr std::size_t kLearnedFrom = 16 << 20;  // bytes at the text's beginning

  static Tokens bytes() { return {}; }
  // The pair of tokens that stands most often side by side within a word becomes a token, the
  // smaller pair among equals, until there are `count` tokens or no pair stands twice. A word is
  // white space and what follows it up to the next, so that no token goes beyond one.
  static Tokens learn(std::string_view text, std::uint32_t count);
  // "bytes", or "bpe:N" with N of 257 to kMost, which is learned from `text`.
  static Result<Tokens> named(std::string_view name, std::string_view text);

  std::uint32_t count() const { return static_cast<std::uint32_t>(kBytes + pairs_.size()); }
  std::vector<std::uint16_t> encode(std::string_view text) const;
  std::string decode(const std::vector<std::uint16_t>& tokens) const;

 private:
  using Pair = std::pair<std::uint16_t, std::uint16_t>;
  std::vector<std::uint16_t> encodeWord(std::string_view word) const;

  std::vector<Pair> pairs_;               // of token kBytes + i
  std::map<Pair, std::uint16_t> joined_;  // the other way round
};

// Whether `name` can be given to Tokens::named; how many tokens it asks for. kInvalidArgument.
Result<std::uint32_t> tokensAskedFor(std::string_view name);

}  // namespace railhead::trainer
