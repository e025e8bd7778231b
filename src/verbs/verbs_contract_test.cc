// What every implementation of the verbs seam must do. The same body runs over the fake, and over
// the first real device with a RoCE v2 address in this namespace, connected to itself.
#include "src/os/unique_fd.h"
#include "src/verbs/buffer.h"
#include "src/verbs/gid_choice.h"
#include "src/verbs/poller.h"
#include "src/verbs/system_verbs.h"
#include "tests/support/fake_verbs.h"

#include <array>
#include <chrono>
#include <cstring>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

namespace railhead::verbs {
namespace {

using namespace std::chrono_literals;
using testing_support::FakeFabric;
using testing_support::FakeVerbs;

Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

// One end of a connection with everything it needs.
struct End {
  std::unique_ptr<DeviceContext> context;
  GidEntry gid;
  Buffer memory;
  std::unique_ptr<MemoryRegion> region;
  std::unique_ptr<CompletionQueue> queue;
  std::unique_ptr<QueuePair> pair;
};

class VerbsContract : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    if (GetParam() == "fake") {
      verbs_ = std::make_unique<FakeVerbs>(
          fabric_, std::vector<testing_support::FakeRdmaDevice>{{"rocep1s0f0", "10.0.0.1"}});
    } else {
      verbs_ = std::make_unique<SystemVerbs>();
    }
    const auto devices = verbs_->listDevices();
    ASSERT_TRUE(devices.has_value()) << devices.error().describe();
    for (const DeviceInfo& device : *devices) {
      const auto gids = localIpv4Gids(device);
      if (gids.empty() || device.state != PortState::kActive) continue;
      device_ = device.name;
      gid_ = gids.front();
      return;
    }
    GTEST_SKIP() << "no RDMA device with a RoCE v2 IPv4 address in this network namespace";
  }

  End open() {
    End end;
    end.context = verbs_->open(device_).value();
    end.gid = gid_;
    end.memory = Buffer::allocate(16384).value();
    end.region = end.context->registerMemory(end.memory.bytes()).value();
    end.queue = end.context->createCompletionQueue(64).value();
    end.pair = end.context->createQueuePair(*end.queue, {8, 4}).value();
    return end;
  }

  static void connect(End& from, const End& to) {
    QueuePairPath path;
    path.localGidIndex = from.gid.index;
    path.localPsn = 100 + from.pair->number();
    path.remoteGid = to.gid.gid;
    path.remoteNumber = to.pair->number();
    path.remotePsn = 100 + to.pair->number();
    path.mtu = std::min(from.context->info().activeMtu, to.context->info().activeMtu);
    path.timeoutExponent = 10;
    path.retryCount = 2;
    const auto connected = from.pair->connect(path);
    ASSERT_TRUE(connected.has_value()) << connected.error().describe();
  }

  static Completion next(End& end, std::chrono::milliseconds within = 5s) {
    Completion out;
    out.status = CompletionStatus::kOther;
    Poller poller({end.queue.get()}, {});
    const auto waited = poller.wait(in(within), [&](std::size_t, const Completion& completion) {
      out = completion;
      return Result<void>();
    });
    EXPECT_TRUE(waited.has_value()) << waited.error().describe();
    return out;
  }

  static WriteRequest write(const End& from, const End& to, std::size_t offset,
                            std::size_t length) {
    WriteRequest request;
    request.id = 42;
    request.source = {from.region.get(), offset, length};
    request.remoteAddress = to.region->address() + offset;
    request.remoteKey = to.region->remoteKey();
    return request;
  }

  static void fill(End& end, std::string_view text, std::size_t offset) {
    std::memcpy(end.memory.bytes().data() + offset, text.data(), text.size());
  }
  static std::string read(const End& end, std::size_t offset, std::size_t length) {
    return {reinterpret_cast<const char*>(end.memory.bytes().data()) + offset, length};
  }

  FakeFabric fabric_;
  std::unique_ptr<Verbs> verbs_;
  std::string device_;
  GidEntry gid_;
};

TEST_P(VerbsContract, ListsTheDeviceWithItsGids) {
  EXPECT_EQ(gid_.type, GidType::kRoceV2);
  EXPECT_FALSE(gid_.netdev.empty());
  const auto context = verbs_->open(device_).value();
  EXPECT_EQ(context->info().name, device_);
  EXPECT_GE(context->info().activeMtu, 256);
  EXPECT_EQ(gidForAddress(context->info(), gid_.gid.ip()).value().index, gid_.index);
}

TEST_P(VerbsContract, RefusesAnUnknownDeviceByName) {
  const auto opened = verbs_->open("nosuchdevice");
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(opened.error().message, testing::HasSubstr("nosuchdevice"));
}

TEST_P(VerbsContract, WriteCopiesExactlyTheBytesGiven) {
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  fill(a, "rail", 4100);
  ASSERT_TRUE(a.pair->postWrite(write(a, b, 4100, 4)).has_value());
  const Completion done = next(a);
  EXPECT_EQ(done.status, CompletionStatus::kSuccess) << describe(done);
  EXPECT_EQ(done.id, 42U);
  EXPECT_EQ(done.kind, CompletionKind::kWrite);
  EXPECT_EQ(done.queuePair, a.pair->number());
  EXPECT_EQ(read(b, 4099, 6), std::string("\0rail\0", 6));
}

TEST_P(VerbsContract, ImmediateArrivesAfterEarlierWrites) {
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  ASSERT_TRUE(b.pair->postReceive(7, {}).has_value());
  fill(a, "head", 0);
  ASSERT_TRUE(a.pair->postWrite(write(a, b, 0, 4096)).has_value());
  WriteRequest fence = write(a, b, 0, 0);
  fence.immediate = 0xfeedU;
  ASSERT_TRUE(a.pair->postWrite(fence).has_value());
  const Completion arrived = next(b);
  EXPECT_EQ(arrived.status, CompletionStatus::kSuccess) << describe(arrived);
  EXPECT_EQ(arrived.kind, CompletionKind::kReceiveImmediate);
  EXPECT_EQ(arrived.id, 7U);
  EXPECT_EQ(arrived.immediate, 0xfeedU);
  EXPECT_EQ(read(b, 0, 4), "head");
}

TEST_P(VerbsContract, SendLandsInThePostedReceive) {
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  ASSERT_TRUE(b.pair->postReceive(9, {b.region.get(), 512, 64}).has_value());
  fill(a, "hello", 0);
  ASSERT_TRUE(a.pair->postSend(5, {a.region.get(), 0, 5}).has_value());
  const Completion arrived = next(b);
  EXPECT_EQ(arrived.kind, CompletionKind::kReceive);
  EXPECT_EQ(arrived.byteLength, 5U);
  EXPECT_EQ(read(b, 512, 5), "hello");
  EXPECT_EQ(next(a).kind, CompletionKind::kSend);
}

TEST_P(VerbsContract, ReadFetchesExactlyTheBytesNamed) {
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  fill(b, "rail", 4100);
  ReadRequest request;
  request.id = 43;
  request.target = {a.region.get(), 512, 4};
  request.remoteAddress = b.region->address() + 4100;
  request.remoteKey = b.region->remoteKey();
  ASSERT_TRUE(a.pair->postRead(request).has_value());
  const Completion done = next(a);
  EXPECT_EQ(done.status, CompletionStatus::kSuccess) << describe(done);
  EXPECT_EQ(done.id, 43U);
  EXPECT_EQ(done.kind, CompletionKind::kRead);
  EXPECT_EQ(read(a, 511, 6), std::string("\0rail\0", 6));
}

TEST_P(VerbsContract, ReadPastTheEndIsRefused) {
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  ReadRequest request;
  request.target = {a.region.get(), 0, 16};
  request.remoteAddress = b.region->address() + b.memory.bytes().size() - 8;
  request.remoteKey = b.region->remoteKey();
  ASSERT_TRUE(a.pair->postRead(request).has_value());
  EXPECT_EQ(next(a).status, CompletionStatus::kRemoteAccess);
}

TEST_P(VerbsContract, ASendWaitsForAReceiveAndKeepsItsPlace) {
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  fill(a, "first", 0);
  fill(a, "later", 8);
  ASSERT_TRUE(a.pair->postSend(1, {a.region.get(), 0, 5}, 77).has_value());
  ASSERT_TRUE(a.pair->postWrite(write(a, b, 8, 5)).has_value());
  ASSERT_TRUE(b.pair->postReceive(9, {b.region.get(), 512, 64}).has_value());
  const Completion arrived = next(b);
  EXPECT_EQ(arrived.kind, CompletionKind::kReceive);
  EXPECT_EQ(arrived.immediate, 77U);
  EXPECT_EQ(read(b, 512, 5), "first");
  std::vector<std::uint64_t> done;
  Poller poller({a.queue.get()}, {});
  while (done.size() < 2) {
    ASSERT_TRUE(poller
                    .wait(in(5s),
                          [&](std::size_t, const Completion& completion) {
                            done.push_back(completion.id);
                            return Result<void>();
                          })
                    .has_value());
  }
  EXPECT_EQ(done, (std::vector<std::uint64_t>{1, 42}));
  EXPECT_EQ(read(b, 8, 5), "later");
}

TEST_P(VerbsContract, WrongKeyIsRefusedAndTakesTheConnectionDown) {
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  WriteRequest request = write(a, b, 0, 8);
  request.remoteKey ^= 0x5a5a00U;
  ASSERT_TRUE(a.pair->postWrite(request).has_value());
  EXPECT_EQ(next(a).status, CompletionStatus::kRemoteAccess);
  ASSERT_TRUE(a.pair->postWrite(write(a, b, 0, 8)).has_value());
  EXPECT_EQ(next(a).status, CompletionStatus::kFlushed);
  EXPECT_EQ(read(b, 0, 8), std::string(8, '\0'));
}

TEST_P(VerbsContract, WritePastTheEndIsRefused) {
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  WriteRequest request = write(a, b, 0, 16);
  request.remoteAddress = b.region->address() + b.memory.bytes().size() - 8;
  ASSERT_TRUE(a.pair->postWrite(request).has_value());
  EXPECT_EQ(next(a).status, CompletionStatus::kRemoteAccess);
}

TEST_P(VerbsContract, PeerThatIsGoneEndsInRetryExceeded) {
  End a = open();
  {
    End b = open();
    connect(a, b);
    connect(b, a);
  }
  WriteRequest request;
  request.source = {a.region.get(), 0, 8};
  ASSERT_TRUE(a.pair->postWrite(request).has_value());
  EXPECT_EQ(next(a).status, CompletionStatus::kRetryExceeded);
}

TEST_P(VerbsContract, AFullQueueSaysSo) {
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  Result<void> posted;
  for (int i = 0; i < 4096 && posted.has_value(); ++i)
    posted = a.pair->postWrite(write(a, b, 0, 4));
  ASSERT_FALSE(posted.has_value());
  EXPECT_EQ(posted.error().code, ErrorCode::kExhausted);
}

TEST_P(VerbsContract, NoCompletionMeansDeadline) {
  End a = open();
  Poller poller({a.queue.get()}, {});
  const auto waited =
      poller.wait(in(20ms), [](std::size_t, const Completion&) { return Result<void>(); });
  ASSERT_FALSE(waited.has_value());
  EXPECT_EQ(waited.error().code, ErrorCode::kDeadlineExceeded);
}

TEST_P(VerbsContract, WaitEndsWhenTheOtherDescriptorSpeaks) {
  End a = open();
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  ASSERT_EQ(::write(pipe[1], "x", 1), 1);
  Poller poller({a.queue.get()}, {});
  const auto readable = poller.waitOrReadable(
      in(5s), pipe[0], [](std::size_t, const Completion&) { return Result<void>(); });
  EXPECT_TRUE(readable.has_value() && *readable);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_P(VerbsContract, DeviceMemoryThatNobodyTranslatesIsRefused) {
  fabric_.setDeviceMemory(false, false);
  End a = open();
  void* gone = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(gone, MAP_FAILED);
  ::munmap(gone, 4096);
  const DeviceSpan nowhere{reinterpret_cast<std::uintptr_t>(gone), 4096};
  const auto refused = a.context->registerDevicePointer(nowhere);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported) << refused.error().describe();
  EXPECT_FALSE(refused.error().remedy.empty());
}

INSTANTIATE_TEST_SUITE_P(Fake, VerbsContract, testing::Values("fake"));
INSTANTIATE_TEST_SUITE_P(Real, VerbsContract, testing::Values("real"));

// What only the fake can be asked to do.
class FakeFaults : public VerbsContract {};

TEST_P(FakeFaults, FaultsHitTheChosenWriteOnce) {
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  fill(a, "0123456789abcdef", 0);
  fabric_.dropWrite(device_, 0);
  fabric_.corruptByte(device_, 1, 3);
  ASSERT_TRUE(a.pair->postWrite(write(a, b, 0, 8)).has_value());
  EXPECT_EQ(next(a).status, CompletionStatus::kSuccess);
  EXPECT_EQ(read(b, 0, 8), std::string(8, '\0'));
  ASSERT_TRUE(a.pair->postWrite(write(a, b, 0, 8)).has_value());
  EXPECT_EQ(next(a).status, CompletionStatus::kSuccess);
  EXPECT_EQ(read(b, 0, 8), "012#4567");
  ASSERT_TRUE(a.pair->postWrite(write(a, b, 0, 8)).has_value());
  EXPECT_EQ(next(a).status, CompletionStatus::kSuccess);
  EXPECT_EQ(read(b, 0, 8), "01234567");
  fabric_.failWrite(device_, 0, CompletionStatus::kRetryExceeded);
  ASSERT_TRUE(a.pair->postWrite(write(a, b, 0, 8)).has_value());
  EXPECT_EQ(next(a).status, CompletionStatus::kRetryExceeded);
}

TEST_P(FakeFaults, FaultsHitReadsAndSendsToo) {
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  fill(a, "01234567", 0);
  fill(b, "abcdefgh", 1024);
  ReadRequest request;
  request.target = {a.region.get(), 2048, 8};
  request.remoteAddress = b.region->address() + 1024;
  request.remoteKey = b.region->remoteKey();
  fabric_.dropWrite(device_, 0);
  fabric_.corruptByte(device_, 1, 0);
  ASSERT_TRUE(a.pair->postRead(request).has_value());
  EXPECT_EQ(next(a).status, CompletionStatus::kSuccess);
  EXPECT_EQ(read(a, 2048, 8), std::string(8, '\0'));
  ASSERT_TRUE(a.pair->postRead(request).has_value());
  EXPECT_EQ(next(a).status, CompletionStatus::kSuccess);
  EXPECT_EQ(read(a, 2048, 8), "qbcdefgh");
  fabric_.corruptByte(device_, 0, 3);
  ASSERT_TRUE(b.pair->postReceive(9, {b.region.get(), 512, 64}).has_value());
  ASSERT_TRUE(a.pair->postSend(1, {a.region.get(), 0, 8}).has_value());
  EXPECT_EQ(next(b).kind, CompletionKind::kReceive);
  EXPECT_EQ(read(b, 512, 8), "012#4567");
}

// A file stands for the device's memory: what arrives is in it.
TEST_P(FakeFaults, AWriteLandsInDeviceMemoryRegisteredEitherWay) {
  const os::UniqueFd device(::memfd_create("device", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(device.get(), 16384), 0);
  void* seen = ::mmap(nullptr, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, device.get(), 0);
  ASSERT_NE(seen, MAP_FAILED);
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  fill(a, "rail", 0);
  const DeviceSpan byDmabuf{0x7700000000, 8192};  // an address that is the device's alone
  const auto dmabuf = b.context->registerDmabuf(device.get(), 4096, byDmabuf).value();
  const DeviceSpan byPointer{reinterpret_cast<std::uintptr_t>(seen), 4096};
  const auto pointer = b.context->registerDevicePointer(byPointer).value();
  for (const auto* region : {dmabuf.get(), pointer.get()}) {
    EXPECT_TRUE(region->bytes().empty());
    WriteRequest request;
    request.source = {a.region.get(), 0, 4};
    request.remoteAddress = region->address() + 100;
    request.remoteKey = region->remoteKey();
    ASSERT_TRUE(a.pair->postWrite(request).has_value());
    EXPECT_EQ(next(a).status, CompletionStatus::kSuccess);
  }
  EXPECT_EQ(std::memcmp(static_cast<char*>(seen) + 4096 + 100, "rail", 4), 0);
  EXPECT_EQ(std::memcmp(static_cast<char*>(seen) + 100, "rail", 4), 0);
  ::munmap(seen, 16384);
}

TEST_P(FakeFaults, RateDelaysCompletions) {
  End a = open();
  End b = open();
  connect(a, b);
  connect(b, a);
  fabric_.setRate(device_, {8e6});  // 16384 bytes take 16 ms
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(a.pair->postWrite(write(a, b, 0, 16384)).has_value());
  EXPECT_EQ(next(a).status, CompletionStatus::kSuccess);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 16ms);
}

TEST_P(FakeFaults, MemoryLimitAndNothingLeftBehind) {
  {
    End a = open();
    fabric_.setMemoryLimit(4096);
    const auto refused = a.context->registerMemory(a.memory.bytes());
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
    EXPECT_FALSE(refused.error().remedy.empty());
  }
  EXPECT_EQ(fabric_.liveObjects(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Fake, FakeFaults, testing::Values("fake"));

}  // namespace
}  // namespace railhead::verbs
