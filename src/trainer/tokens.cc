#include "src/trainer/tokens.h"

#include "src/base/text.h"

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>

namespace railhead::trainer {
namespace {

using Pair = std::pair<std::uint16_t, std::uint16_t>;

constexpr std::string_view kBytesName = "bytes";
constexpr std::string_view kBpePrefix = "bpe:";
constexpr std::size_t kLongestWord = 64;  // bytes: what is longer is cut

bool isSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// The next word's length: white space, then what is none, up to the next white space.
std::size_t wordLength(std::string_view text) {
  const std::size_t most = std::min(text.size(), kLongestWord);
  std::size_t at = 1;
  while (at < most && isSpace(text[at - 1]) && isSpace(text[at])) ++at;
  while (at < most && !isSpace(text[at])) ++at;
  return at;
}

std::vector<std::uint16_t> asBytes(std::string_view word) {
  std::vector<std::uint16_t> out;
  for (const char c : word) out.push_back(static_cast<unsigned char>(c));
  return out;
}

void join(std::vector<std::uint16_t>& tokens, const Pair& pair, std::uint16_t into) {
  std::size_t out = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i, ++out) {
    const bool joined =
        i + 1 < tokens.size() && tokens[i] == pair.first && tokens[i + 1] == pair.second;
    tokens[out] = joined ? into : tokens[i];
    if (joined) ++i;
  }
  tokens.resize(out);
}

// The words of a text with their pairs, kept up to date as pairs become tokens.
class PairCounts {
 public:
  explicit PairCounts(std::string_view text) {
    std::map<std::string_view, std::uint64_t> counts;
    while (!text.empty()) {
      const std::size_t length = wordLength(text);
      ++counts[text.substr(0, length)];
      text.remove_prefix(length);
    }
    for (const auto& [word, count] : counts) {
      words_.push_back({asBytes(word), count});
      countPairs(words_.size() - 1);
    }
    for (const auto& [pair, uses] : uses_) byCount_.insert({-signedCount(uses), pair});
  }

  // The most frequent one; nullopt: none stands twice.
  std::optional<Pair> best() const {
    if (byCount_.empty() || byCount_.begin()->first > -2) return std::nullopt;
    return byCount_.begin()->second;
  }

  void joinEverywhere(const Pair& pair, std::uint16_t into) {
    const auto words = uses_[pair].words;
    for (const std::size_t index : words) {
      Word& word = words_[index];
      change(word, index, -1);
      join(word.tokens, pair, into);
      change(word, index, 1);
    }
  }

 private:
  struct Word {
    std::vector<std::uint16_t> tokens;
    std::uint64_t count = 0;
  };
  struct Uses {
    std::uint64_t count = 0;
    std::set<std::size_t> words;  // those that have it
  };

  static std::int64_t signedCount(const Uses& uses) {
    return static_cast<std::int64_t>(uses.count);
  }

  void countPairs(std::size_t index) {
    const Word& word = words_[index];
    for (std::size_t i = 0; i + 1 < word.tokens.size(); ++i) {
      Uses& uses = uses_[{word.tokens[i], word.tokens[i + 1]}];
      uses.count += word.count;
      uses.words.insert(index);
    }
  }

  // Takes a word's pairs out of the counts, or puts them in.
  void change(const Word& word, std::size_t index, int sign) {
    for (std::size_t i = 0; i + 1 < word.tokens.size(); ++i) {
      const Pair pair{word.tokens[i], word.tokens[i + 1]};
      Uses& uses = uses_[pair];
      byCount_.erase({-signedCount(uses), pair});
      if (sign > 0) {
        uses.count += word.count;
        uses.words.insert(index);
      } else {
        uses.count -= word.count;
        uses.words.erase(index);
      }
      if (uses.count > 0) byCount_.insert({-signedCount(uses), pair});
    }
  }

  std::vector<Word> words_;
  std::map<Pair, Uses> uses_;
  std::set<std::pair<std::int64_t, Pair>> byCount_;  // the largest count first, then the pair
};

}  // namespace

Tokens Tokens::learn(std::string_view text, std::uint32_t count) {
  Tokens out;
  PairCounts counts(text.substr(0, kLearnedFrom));
  while (out.count() < count) {
    const auto pair = counts.best();
    if (!pair) break;
    const auto token = static_cast<std::uint16_t>(out.count());
    out.pairs_.push_back(*pair);
    out.joined_[*pair] = token;
    counts.joinEverywhere(*pair, token);
  }
  return out;
}

Result<std::uint32_t> tokensAskedFor(std::string_view name) {
  if (name == kBytesName) return Tokens::kBytes;
  const auto count =
      name.starts_with(kBpePrefix) ? parseUnsigned(name.substr(kBpePrefix.size())) : std::nullopt;
  if (count && *count > Tokens::kBytes && *count <= Tokens::kMost) {
    return static_cast<std::uint32_t>(*count);
  }
  return Error(ErrorCode::kInvalidArgument,
               "tokens " + inQuotes(name) + ": expected bytes, or bpe:N with N of " +
                   std::to_string(Tokens::kBytes + 1) + " to " + std::to_string(Tokens::kMost));
}

Result<Tokens> Tokens::named(std::string_view name, std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const auto count, tokensAskedFor(name));
  return count == kBytes ? bytes() : learn(text, count);
}

// Joins what was joined first, as learning did.
std::vector<std::uint16_t> Tokens::encodeWord(std::string_view word) const {
  auto tokens = asBytes(word);
  while (tokens.size() > 1) {
    auto first = joined_.end();
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      const auto found = joined_.find({tokens[i], tokens[i + 1]});
      const bool earlier =
          found != joined_.end() && (first == joined_.end() || found->second < first->second);
      if (earlier) first = found;
    }
    if (first == joined_.end()) break;
    join(tokens, first->first, first->second);
  }
  return tokens;
}

std::vector<std::uint16_t> Tokens::encode(std::string_view text) const {
  if (pairs_.empty()) return asBytes(text);
  std::unordered_map<std::string_view, std::vector<std::uint16_t>> known;
  std::vector<std::uint16_t> out;
  while (!text.empty()) {
    const auto word = text.substr(0, wordLength(text));
    auto found = known.find(word);
    if (found == known.end()) found = known.emplace(word, encodeWord(word)).first;
    out.insert(out.end(), found->second.begin(), found->second.end());
    text.remove_prefix(word.size());
  }
  return out;
}

std::string Tokens::decode(const std::vector<std::uint16_t>& tokens) const {
  std::string out;
  std::vector<std::uint16_t> open(tokens.rbegin(), tokens.rend());
  while (!open.empty()) {
    const std::uint16_t token = open.back();
    open.pop_back();
    if (token < kBytes) {
      out += static_cast<char>(token);
    } else {
      open.push_back(pairs_[token - kBytes].second);
      open.push_back(pairs_[token - kBytes].first);
    }
  }
  return out;
}

}  // namespace railhead::trainer
