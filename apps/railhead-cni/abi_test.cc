// What a node relies on: the shim is one small file that needs no other.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <elf.h>
#include <gtest/gtest.h>

namespace railhead {
namespace {

// The one that was built beside this test, unless another architecture's is to be looked at.
std::string shimPath() {
  const char* other = std::getenv("RAILHEAD_CNI_UNDER_TEST");
  return other != nullptr ? other : RAILHEAD_CNI;
}

class ShimFile : public testing::Test {
 protected:
  void SetUp() override {
    std::ifstream file(shimPath(), std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    ASSERT_GT(bytes_.size(), sizeof(Elf64_Ehdr));
    std::memcpy(&header_, bytes_.data(), sizeof header_);
    ASSERT_EQ(std::memcmp(header_.e_ident, ELFMAG, SELFMAG), 0);
  }

  std::vector<char> bytes_;
  Elf64_Ehdr header_{};
};

TEST_F(ShimFile, IsAtMostTwoMegabytes) { EXPECT_LE(bytes_.size(), std::size_t{2} << 20); }

TEST_F(ShimFile, IsFullyStatic) {
  for (int i = 0; i < header_.e_phnum; ++i) {
    Elf64_Phdr segment{};
    const std::size_t at = header_.e_phoff + static_cast<std::size_t>(i) * header_.e_phentsize;
    ASSERT_LE(at + sizeof segment, bytes_.size());
    std::memcpy(&segment, bytes_.data() + at, sizeof segment);
    EXPECT_NE(segment.p_type, static_cast<Elf64_Word>(PT_INTERP)) << "it needs a loader";
    EXPECT_NE(segment.p_type, static_cast<Elf64_Word>(PT_DYNAMIC)) << "it needs libraries";
  }
}

TEST_F(ShimFile, IsStripped) {
  for (int i = 0; i < header_.e_shnum; ++i) {
    Elf64_Shdr section{};
    const std::size_t at = header_.e_shoff + static_cast<std::size_t>(i) * header_.e_shentsize;
    ASSERT_LE(at + sizeof section, bytes_.size());
    std::memcpy(&section, bytes_.data() + at, sizeof section);
    EXPECT_NE(section.sh_type, static_cast<Elf64_Word>(SHT_SYMTAB));
  }
}

}  // namespace
}  // namespace railhead
