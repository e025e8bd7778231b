#include "src/checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::checkpoint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<TensorHeader> decodeJson(const std::string& json, std::uint64_t dataBytes) {
  return decodeTensorHeader(json, kTensorPrefix + json.size() + dataBytes);
}

TEST(Safetensors, AHeaderIsReadAsItWasWritten) {
  const auto text = encodeTensorHeader(
      {{"format", "x"}}, {{"a", "F32", {2, 3}}, {"b", "BF16", {5}}, {"c", "F32", {}}});
  ASSERT_TRUE(text.has_value()) << text.error().describe();
  EXPECT_EQ(text->size() % 64, 0U);
  const std::uint64_t file = text->size() + 24 + 10 + 4;
  const auto length = tensorJsonBytes(*text, file);
  ASSERT_TRUE(length.has_value()) << length.error().describe();
  EXPECT_EQ(*length, text->size() - kTensorPrefix);
  const auto header = decodeTensorHeader(std::string_view(*text).substr(kTensorPrefix), file);
  ASSERT_TRUE(header.has_value()) << header.error().describe();
  EXPECT_EQ(header->metadata.at("format"), "x");
  EXPECT_EQ(header->dataOffset, text->size());
  EXPECT_THAT(header->tensors, ElementsAre(TensorEntry{"a", "F32", {2, 3}, 0, 24},
                                           TensorEntry{"b", "BF16", {5}, 24, 34},
                                           TensorEntry{"c", "F32", {}, 34, 38}));
  EXPECT_EQ(header->find("b")->begin, 24U);
  EXPECT_EQ(header->find("d"), nullptr);
}

// As the format's own description shows one.
TEST(Safetensors, AForeignHeaderIsRead) {
  const auto header =
      decodeJson(R"({"weight":{"dtype":"F16","shape":[1,16,256],"data_offsets":[0,8192]},)"
                 R"("bias":{"dtype":"I64","shape":[2],"data_offsets":[8192,8208]}}  )",
                 8208);
  ASSERT_TRUE(header.has_value()) << header.error().describe();
  EXPECT_EQ(header->tensors.size(), 2U);
}

TEST(Safetensors, WhatCannotBeIsNamed) {
  const auto fault = [](const std::string& json, std::uint64_t bytes) {
    const auto header = decodeJson(json, bytes);
    return header.has_value() ? std::string("none") : header.error().message;
  };
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
              HasSubstr("its shape and dtype do not"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8),
              HasSubstr("begins at byte 4: expected 0"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                    R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                    4),
              HasSubstr("begins at byte 0: expected 4"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8),
              HasSubstr("have 4 bytes, the file 8"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4),
              HasSubstr("expected a dtype"));
  EXPECT_THAT(
      fault(R"({"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
      HasSubstr("its shape and dtype do not"));
  EXPECT_THAT(fault(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}})", 0),
              HasSubstr("shape has '-1'"));
  EXPECT_THAT(fault("[]", 0), HasSubstr("expected a JSON object"));
  EXPECT_THAT(
      tensorJsonBytes(std::string("\xff\xff\xff\xff\xff\xff\xff\x7f"), 1000).error().message,
      HasSubstr("expected at most"));
  EXPECT_THAT(tensorJsonBytes("abc", 3).error().message, HasSubstr("shorter than 8"));
  EXPECT_FALSE(encodeTensorHeader({}, {{"a", "F32", {1}}, {"a", "F32", {1}}}).has_value());
}

}  // namespace
}  // namespace railhead::checkpoint
