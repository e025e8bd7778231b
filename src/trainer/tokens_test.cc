#include "src/trainer/tokens.h"

#include "src/base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::trainer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Tokens, BytesAreThemselves) {
  const auto tokens = Tokens::bytes();
  EXPECT_EQ(tokens.count(), 256U);
  EXPECT_THAT(tokens.encode("a\xff"), ElementsAre('a', 255));
  EXPECT_EQ(tokens.decode({'a', 255}), "a\xff");
}

// "ab" stands four times, then "abc" twice, then nothing stands twice.
TEST(Tokens, TheMostFrequentPairComesFirst) {
  const auto tokens = Tokens::learn("abc ab abx abc", 300);
  EXPECT_THAT(tokens.encode("ab"), ElementsAre(256));
  EXPECT_EQ(tokens.decode({257}), " ab");  // three times, before "abc" with two
  EXPECT_THAT(tokens.encode("xab"), ElementsAre('x', 256));
  EXPECT_LT(tokens.count(), 300U);
}

TEST(Tokens, AmongEqualsTheSmallerPairComesFirst) {
  EXPECT_EQ(Tokens::learn("cdab cdab", 257).decode({256}), "ab");
}

TEST(Tokens, RepeatedLettersAreJoinedFromTheLeft) {
  const auto tokens = Tokens::learn("aaa aaa aaa", 257);
  EXPECT_EQ(tokens.decode({256}), "aa");
  EXPECT_THAT(tokens.encode("aaa"), ElementsAre(256, 'a'));
}

TEST(Tokens, AnyTextComesBackFromItsTokens) {
  SplitMix random(4);
  std::string text;
  for (int i = 0; i < 20'000; ++i) {
    const auto value = random.next();
    text += value % 5 == 0 ? ' ' : static_cast<char>('a' + value / 5 % 7);
  }
  for (int i = 0; i < 500; ++i) text += static_cast<char>(random.next());
  text += std::string(500, 'z') + "\n\n\t  end";
  const auto tokens = Tokens::learn(text, 1000);
  EXPECT_EQ(tokens.count(), 1000U);
  const auto encoded = tokens.encode(text);
  EXPECT_EQ(tokens.decode(encoded), text);
  EXPECT_LT(encoded.size(), text.size() * 2 / 3);
  EXPECT_EQ(Tokens::learn(text, 1000).encode(text), encoded);
}

TEST(Tokens, Names) {
  EXPECT_EQ(*tokensAskedFor("bytes"), 256U);
  EXPECT_EQ(*tokensAskedFor("bpe:512"), 512U);
  for (const char* wrong : {"bpe:256", "bpe:65537", "bpe:", "bpe:x", "words"}) {
    EXPECT_THAT(tokensAskedFor(wrong).error().message, HasSubstr("bpe:N with N of 257")) << wrong;
  }
  EXPECT_EQ(Tokens::named("bpe:257", "ab ab")->count(), 257U);
}

}  // namespace
}  // namespace railhead::trainer
