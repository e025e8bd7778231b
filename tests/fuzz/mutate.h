// Mutated texts for the parsers. Same seed, same inputs: a failure repeats.
#pragma once

#include "src/base/random.h"

#include <functional>
#include <string>
#include <vector>

namespace railhead::testing_support {

inline std::string mutated(std::string text, SplitMix& random) {
  static const std::vector<std::string> kPieces{"{",
                                                "}",
                                                "[",
                                                "]",
                                                "\"",
                                                ",",
                                                ":",
                                                "null",
                                                "1e999",
                                                "-1",
                                                "\\u0",
                                                "\xff",
                                                "@",
                                                "/",
                                                "..",
                                                "=",
                                                ";",
                                                std::string(1, '\0'),
                                                "99999999999999999999",
                                                "[[[[[[[["};
  const auto changes = 1 + random.next() % 4;
  for (std::uint64_t i = 0; i < changes; ++i) {
    const std::size_t at = text.empty() ? 0 : random.next() % text.size();
    const std::size_t length = random.next() % 8;
    switch (random.next() % 4) {
      case 0:
        text.insert(at, kPieces[random.next() % kPieces.size()]);
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        if (!text.empty()) text[at] = static_cast<char>(random.next());
        break;
      default:
        text.insert(at, text.substr(at, length * 4));
        break;
    }
  }
  return text;
}

inline void fuzz(const std::vector<std::string>& seeds,
                 const std::function<void(const std::string&)>& eat, int rounds = 4000) {
  SplitMix random(20240607);
  for (int round = 0; round < rounds; ++round)
    eat(mutated(seeds[static_cast<std::size_t>(round) % seeds.size()], random));
}

}  // namespace railhead::testing_support
