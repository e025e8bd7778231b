#include "src/digest/sha256.h"

#include <gtest/gtest.h>

namespace railhead::digest {
namespace {

// The answers of FIPS 180-2, appendix B.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256Hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PartsGiveWhatTheWholeGives) {
  const std::string whole(1000, 'r');
  Sha256 hash;
  for (std::size_t at = 0; at < whole.size(); at += 7) {
    hash.add(std::string_view(whole).substr(at, 7));
  }
  EXPECT_EQ(hash.hex(), sha256Hex(whole));
  EXPECT_EQ(hash.hex(), sha256Hex(whole));  // asking does not end it
  hash.add("x");
  EXPECT_EQ(hash.hex(), sha256Hex(whole + "x"));
}

// Every way that a text can end in a block; the digest of all digests was computed with Python's.
TEST(Sha256, EveryLength) {
  std::string digests;
  for (std::size_t length = 0; length < 200; ++length) {
    digests += sha256Hex(std::string(length, 'r'));
  }
  EXPECT_EQ(sha256Hex(digests), "cff0e942e3421c5fe5c769dc3158f0b8cc407d37d0c7030695f2c9d315bc8eed");
}

}  // namespace
}  // namespace railhead::digest
