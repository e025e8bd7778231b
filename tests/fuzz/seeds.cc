#include "tests/fuzz/seeds.h"

#include "src/base/text.h"

#include <fstream>
#include <optional>
#include <sstream>

namespace railhead::fuzz {
namespace {

Result<std::string> readText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error(ErrorCode::kNotFound, "open " + path);
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

Result<std::string> unescaped(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') continue;
    if (text[i] != '\\') {
      bytes += text[i];
      continue;
    }
    const auto byte = text.substr(i, 2) == "\\x" && text.size() >= i + 4
                          ? parseHex(text.substr(i + 2, 2))
                          : std::nullopt;
    if (!byte)
      return Error(ErrorCode::kCorrupt, "expected \\xNN at " + inQuotes(text.substr(i, 8)));
    bytes += static_cast<char>(*byte);
    i += 3;
  }
  return bytes;
}

struct Head {
  Seed seed;
  bool escaped = false;
  std::string from;
};

Result<Head> readHead(std::string_view line) {
  Head head;
  const auto words = split(line, ' ');
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (i == 1) {
      head.seed.name = words[i];
    } else if (words[i] == "refused") {
      head.seed.refused = true;
    } else if (words[i] == "escaped") {
      head.escaped = true;
    } else if (words[i] == "from" && i + 1 < words.size()) {
      head.from = words[++i];
    } else {
      return Error(ErrorCode::kCorrupt,
                   "expected refused, escaped or from PATH, not " + inQuotes(words[i]));
    }
  }
  const bool named = !head.seed.name.empty() && head.seed.name.find('/') == std::string::npos;
  if (!named) return Error(ErrorCode::kCorrupt, "expected '==== NAME'");
  return head;
}

Result<Seed> finish(const Head& head, std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  Seed seed = head.seed;
  if (!head.from.empty()) {
    RAILHEAD_TRY_ASSIGN(seed.bytes, readText(head.from));
  } else if (head.escaped) {
    RAILHEAD_TRY_ASSIGN(seed.bytes, unescaped(text));
  } else {
    seed.bytes = text;
  }
  return seed;
}

}  // namespace

Result<std::vector<Seed>> parseSeeds(std::string_view text) {
  std::vector<Seed> seeds;
  std::optional<Head> head;
  std::string body;
  const auto endSeed = [&]() -> Result<void> {
    if (!head) return {};
    RAILHEAD_TRY_ASSIGN(Seed seed, finish(*head, body));
    seeds.push_back(std::move(seed));
    return {};
  };
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::size_t number = 0;
  for (const auto line : split(text, '\n')) {
    const std::string where = "line " + std::to_string(++number);
    if (line.starts_with("====")) {
      RAILHEAD_TRY(endSeed().addContext("before " + where));
      RAILHEAD_TRY_ASSIGN(head, readHead(line).addContext(where));
      body.clear();
    } else if (head) {
      body.append(line).append("\n");
    } else if (!line.empty() && !line.starts_with('#')) {
      return Error(ErrorCode::kCorrupt, where + ": text before the first '==== NAME'");
    }
  }
  RAILHEAD_TRY(endSeed().addContext("the last seed"));
  return seeds;
}

Result<std::vector<Seed>> readSeeds(const std::string& path) {
  RAILHEAD_TRY_ASSIGN(const std::string text, readText(path));
  return parseSeeds(text).addContext(path);
}

}  // namespace railhead::fuzz
