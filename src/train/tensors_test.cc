#include "src/train/tensors.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace railhead::train {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Tensors : public testing::Test {
 protected:
  Tensors()
      : folder_(std::filesystem::temp_directory_path() /
                ("railhead-tensors-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~Tensors() override { std::filesystem::remove_all(folder_); }

  // The length is the header's unless it is said.
  std::string file(const char* name, const std::string& header, const std::string& data,
                   std::optional<std::uint64_t> length = std::nullopt) const {
    const std::string path = (folder_ / name).string();
    std::ofstream out(path, std::ios::binary);
    const std::uint64_t bytes = length.value_or(header.size());
    for (int i = 0; i < 8; ++i) out.put(static_cast<char>(bytes >> (8 * i)));
    out << header << data;
    return path;
  }
  template <typename T>
  static std::string bytesOf(const std::vector<T>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
  }
  static std::string one(const std::string& dtype, const std::string& shape, std::size_t bytes) {
    return R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":[0,)" +
           std::to_string(bytes) + R"(]},"__metadata__":{"by":"test"}})";
  }
  static std::vector<TensorDifference> differing(const std::string& a, const std::string& b) {
    const auto first = checkpoint::TensorFile::open(a);
    const auto second = checkpoint::TensorFile::open(b);
    EXPECT_TRUE(first.has_value() && second.has_value());
    return differingTensors(*first, *second).value();
  }

  std::filesystem::path folder_;
};

TEST_F(Tensors, TheSameAreNotTold) {
  const auto a = file("a", one("F32", "[2,2]", 16), bytesOf<float>({1, 2, 3, 4}));
  const auto b = file("b", one("F32", "[2,2]", 16) + "   ", bytesOf<float>({1, 2, 3, 4}));
  EXPECT_THAT(differing(a, b), IsEmpty());
}

TEST_F(Tensors, TheLargestDifferenceIsMeasuredInEveryType) {
  const auto close = differing(file("a", one("F32", "[3]", 12), bytesOf<float>({1, 2, 4})),
                               file("b", one("F32", "[3]", 12), bytesOf<float>({1, 2, 3})));
  ASSERT_THAT(close, SizeIs(1));
  EXPECT_EQ(close[0].tensor, "w");
  EXPECT_EQ(close[0].what, "1 of 3 values differ");
  EXPECT_DOUBLE_EQ(close[0].relative, 0.25);

  const auto wide = differing(file("a", one("F64", "[1]", 8), bytesOf<double>({1})),
                              file("b", one("F64", "[1]", 8), bytesOf<double>({1 + 1e-9})));
  ASSERT_THAT(wide, SizeIs(1));
  EXPECT_NEAR(wide[0].relative, 1e-9, 1e-12);

  // 1 and 1.5 in bfloat16; 1 and 2 in half precision.
  const auto brain = differing(file("a", one("BF16", "[1]", 2), bytesOf<std::uint16_t>({0x3f80})),
                               file("b", one("BF16", "[1]", 2), bytesOf<std::uint16_t>({0x3fc0})));
  EXPECT_DOUBLE_EQ(brain.at(0).relative, 0.5 / 1.5);
  const auto half = differing(file("a", one("F16", "[1]", 2), bytesOf<std::uint16_t>({0x3c00})),
                              file("b", one("F16", "[1]", 2), bytesOf<std::uint16_t>({0x4000})));
  EXPECT_DOUBLE_EQ(half.at(0).relative, 0.5);
  const auto whole = differing(file("a", one("I64", "[1]", 8), bytesOf<std::uint64_t>({1})),
                               file("b", one("I64", "[1]", 8), bytesOf<std::uint64_t>({2})));
  EXPECT_TRUE(std::isinf(whole.at(0).relative));
  const auto none = differing(file("a", one("F32", "[1]", 4), bytesOf<float>({NAN})),
                              file("b", one("F32", "[1]", 4), bytesOf<float>({1})));
  EXPECT_TRUE(std::isinf(none.at(0).relative));
  const auto sign = differing(file("a", one("F32", "[1]", 4), bytesOf<float>({0.0F})),
                              file("b", one("F32", "[1]", 4), bytesOf<float>({-0.0F})));
  ASSERT_THAT(sign, SizeIs(1));
  EXPECT_EQ(sign[0].relative, 0);
}

TEST_F(Tensors, ThoseOfOneOnlyAndOfAnotherShapeAreNamed) {
  const std::string two = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                          R"("w":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})";
  const auto found = differing(file("a", two, "xyz"), file("b", one("U8", "[1,2]", 2), "yz"));
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].what, "is only in the first");
  EXPECT_EQ(found[1].what, "has another type or shape");
}

TEST_F(Tensors, AHeaderThatCannotBeIsRefused) {
  struct Case {
    std::string header;
    std::optional<std::uint64_t> length;
  };
  for (const auto& [header, length] : std::vector<Case>{
           {"{}", 1ULL << 40},
           {"{}", 100},
           {"{", std::nullopt},
           {"[]", std::nullopt},
           {one("F32", "[3]", 16), std::nullopt},
           {one("F32", "[4]", 32), std::nullopt},
           {one("F31", "[4]", 16), std::nullopt},
           {one("F32", "[-4]", 16), std::nullopt},
           {one("F32", "[4294967296,4294967296,4294967296]", 16), std::nullopt},
           {R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}})", std::nullopt},
           {R"({"w":{"dtype":"F32","shape":[4]}})", std::nullopt},
           {R"({"w":3})", std::nullopt}}) {
    const auto read = checkpoint::TensorFile::open(file("a", header, std::string(16, 'x'), length));
    ASSERT_FALSE(read.has_value()) << header;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt) << header;
  }
  std::ofstream((folder_ / "short").string()) << "abc";
  EXPECT_THAT(checkpoint::TensorFile::open((folder_ / "short").string()).error().message,
              HasSubstr("too short"));
  EXPECT_EQ(checkpoint::TensorFile::open((folder_ / "none").string()).error().code,
            ErrorCode::kNotFound);
}

}  // namespace
}  // namespace railhead::train
