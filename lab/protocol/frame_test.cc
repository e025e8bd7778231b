#include "lab/protocol/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

std::vector<Frame> popAll(FrameDecoder& decoder) {
  std::vector<Frame> frames;
  while (true) {
    auto next = decoder.next();
    EXPECT_TRUE(next.has_value()) << next.error().describe();
    if (!next.has_value() || !next->has_value()) return frames;
    frames.push_back(std::move(**next));
  }
}

TEST(FrameTest, EncodesTheAgreedBytes) {
  EXPECT_EQ(encodeFrame(FrameType::kStdin, 0x04030201, "hi"),
            std::string("\x02\x00\x00\x00\x01\x02\x03\x04\x02hi", 11));
}

TEST(FrameTest, EmptyPayloadIsNineBytes) {
  EXPECT_EQ(encodeFrame(FrameType::kPing, 0).size(), kFrameHeaderBytes);
}

TEST(FrameTest, EveryTypeHasANameAndSurvivesTheRoundTrip) {
  for (int type : {1, 2, 3, 4, 5, 16, 17, 18, 19, 20}) {
    const Frame frame{static_cast<FrameType>(type), 7, "payload"};
    EXPECT_FALSE(frameTypeName(frame.type).empty()) << type;
    FrameDecoder decoder;
    decoder.feed(encodeFrame(frame));
    EXPECT_THAT(popAll(decoder), testing::ElementsAre(frame));
  }
}

TEST(FrameTest, BytesFedOneByOneGiveTheSameFrames) {
  const Frame first{FrameType::kExec, 1, R"({"argv":["true"]})"};
  const Frame second{FrameType::kStdinEnd, 1, ""};
  const Frame third{FrameType::kStdout, 0xffffffff, std::string("\0\xff\n", 3)};
  const std::string bytes = encodeFrame(first) + encodeFrame(second) + encodeFrame(third);
  FrameDecoder decoder;
  std::vector<Frame> frames;
  for (char byte : bytes) {
    decoder.feed(std::string_view(&byte, 1));
    for (Frame& frame : popAll(decoder)) frames.push_back(std::move(frame));
  }
  EXPECT_THAT(frames, testing::ElementsAre(first, second, third));
  EXPECT_EQ(decoder.bufferedBytes(), 0U);
}

TEST(FrameTest, EverySplitOfTwoFramesGivesBoth) {
  const Frame first{FrameType::kStdout, 3, "abc"};
  const Frame second{FrameType::kStderr, 4, "defg"};
  const std::string bytes = encodeFrame(first) + encodeFrame(second);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    FrameDecoder decoder;
    decoder.feed(std::string_view(bytes).substr(0, cut));
    std::vector<Frame> frames = popAll(decoder);
    decoder.feed(std::string_view(bytes).substr(cut));
    for (Frame& frame : popAll(decoder)) frames.push_back(std::move(frame));
    EXPECT_THAT(frames, testing::ElementsAre(first, second)) << "cut at " << cut;
  }
}

TEST(FrameTest, LargestPayloadIsTaken) {
  const Frame frame{FrameType::kStdout, 9, std::string(kMaxFramePayload, 'x')};
  FrameDecoder decoder;
  decoder.feed(encodeFrame(frame));
  EXPECT_THAT(popAll(decoder), testing::ElementsAre(frame));
}

TEST(FrameTest, OversizeIsRefusedFromTheHeaderAlone) {
  std::string header = encodeFrame(FrameType::kStdout, 1);
  header[2] = 0x04;  // 256 KiB
  header[0] = 0x01;  // and one byte
  FrameDecoder decoder;
  decoder.feed(header);
  const auto next = decoder.next();
  ASSERT_FALSE(next.has_value());
  EXPECT_EQ(next.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(next.error().message, testing::HasSubstr("262145 bytes"));
}

TEST(FrameTest, AnErrorLastsUntilReset) {
  FrameDecoder decoder;
  decoder.feed("Debian GNU/Linux login: ");
  ASSERT_FALSE(decoder.next().has_value());
  decoder.feed(encodeFrame(FrameType::kPing, 0));
  ASSERT_FALSE(decoder.next().has_value());
  decoder.reset();
  decoder.feed(encodeFrame(FrameType::kPing, 0));
  EXPECT_THAT(popAll(decoder), testing::ElementsAre(Frame{FrameType::kPing, 0, ""}));
}

TEST(FrameTest, UnknownTypesAreRefused) {
  for (int type : {0, 6, 15, 21, 255}) {
    FrameDecoder decoder;
    decoder.feed(encodeFrame(static_cast<FrameType>(type), 1, ""));
    EXPECT_FALSE(decoder.next().has_value()) << type;
  }
}

TEST(FrameTest, FramesBeforeGarbageAreStillDelivered) {
  FrameDecoder decoder;
  decoder.feed(encodeFrame(FrameType::kPing, 0) + std::string(20, '\xff'));
  const auto good = decoder.next();
  ASSERT_TRUE(good.has_value() && good->has_value());
  EXPECT_FALSE(decoder.next().has_value());
}

TEST(FrameTest, ManyFramesDoNotGrowTheBuffer) {
  FrameDecoder decoder;
  const std::string bytes = encodeFrame(FrameType::kStdout, 1, std::string(1000, 'y'));
  for (int i = 0; i < 1000; ++i) {
    decoder.feed(bytes);
    ASSERT_EQ(popAll(decoder).size(), 1U);
    ASSERT_EQ(decoder.bufferedBytes(), 0U);
  }
}

TEST(FrameTest, ChunksCarryAllBytesInOrder) {
  std::string bytes(kMaxFramePayload * 2 + 5, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31);
  std::string wire;
  appendChunked(wire, FrameType::kStdout, 5, bytes);
  FrameDecoder decoder;
  decoder.feed(wire);
  std::string joined;
  const auto frames = popAll(decoder);
  EXPECT_EQ(frames.size(), 3U);
  for (const Frame& frame : frames) joined += frame.payload;
  EXPECT_EQ(joined, bytes);
}

TEST(FrameTest, NoBytesMakeNoChunk) {
  std::string wire;
  appendChunked(wire, FrameType::kStdout, 5, "");
  EXPECT_TRUE(wire.empty());
}

TEST(FrameDeathTest, OversizePayloadBreaksTheContract) {
  EXPECT_DEATH(encodeFrame(FrameType::kStdout, 1, std::string(kMaxFramePayload + 1, 'x')), "");
}

}  // namespace
}  // namespace railhead::lab
