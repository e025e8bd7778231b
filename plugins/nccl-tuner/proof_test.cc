// The proof between real processes over loopback. Each rank is a forked process with the
// environment of its own that a launcher would give it.
#include "plugins/nccl-tuner/proof.h"

#include "plugins/nccl-tuner/descriptor.h"
#include "plugins/nccl-tuner/process_tuner.h"
#include "src/base/random.h"
#include "tests/support/free_port.h"
#include "tests/support/tuner_fixture.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

namespace railhead::nccl_tuner {
namespace {

using testing::Each;
using testing::HasSubstr;

// Where a proof ends by itself: a machine under load shall not fail it. Those that end by their
// deadline set a short one.
constexpr std::uint16_t kGenerous = 40;

// A connection to the proof's port as soon as it is listened on; none after kGenerous.
int connectWhenOpen(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (const auto until = nowMs() + 1000 * kGenerous; nowMs() < until; ::usleep(2000)) {
    Descriptor connection(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0)
      return connection.release();
  }
  return -1;
}

ProofBytes helloOf(std::uint32_t rank, std::uint32_t world, const TableIdentity& table = {}) {
  ProofMessage hello{.seconds = kGenerous, .world = world, .rank = rank, .digest = table.bytes};
  if (table.hash[0] != '\0') hello.hash = hashBytes(table.hash);
  return encode(hello);
}

void say(const Descriptor& connection, const ProofBytes& bytes) {
  ASSERT_EQ(::send(connection.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), 64);
}

struct Running {
  pid_t process = -1;
  int log = -1;
};

class Proof : public TunerEnvironment {
 protected:
  Proof() {
    ::signal(SIGPIPE, SIG_IGN);
    set("MASTER_ADDR", "localhost");
    set("RAILHEAD_TUNER_PORT", std::to_string(port_));
    set("RAILHEAD_TUNER_PROOF_SECONDS", std::to_string(kGenerous));
    same_ = writeTable("proof.table", kHashA, kLines);
    set("RAILHEAD_TUNER_TABLE", same_);
  }

  static constexpr const char* kLines =
      "allreduce 2 1 0 9 tree ll 0\nallreduce 3 1 0 9 tree ll 0\nallreduce 4 1 0 9 tree ll 0\n"
      "allreduce 8 1 0 9 tree ll 0\n";

  // A process that opens communicators of these many ranks, one after the other.
  Running start(int rank, int world, const std::vector<std::size_t>& communicators,
                const std::function<void()>& before = {}) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    const pid_t process = ::fork();
    if (process == 0) {
      set("RANK", std::to_string(rank));
      set("WORLD_SIZE", std::to_string(world));
      if (before) before();
      const auto tuner = std::make_unique<ProcessTuner>();
      std::string told;
      for (const auto ranks : communicators) {
        tuner->open(ranks, 1, keepLog);
        told += lastLog() + "\n";
      }
      (void)!::write(ends[1], told.data(), told.size());
      ::_exit(0);
    }
    ::close(ends[1]);
    return {process, ends[0]};
  }

  static std::string end(const Running& running) {
    std::string told;
    char piece[512];
    for (ssize_t got = 0; (got = ::read(running.log, piece, sizeof piece)) > 0;)
      told.append(piece, static_cast<std::size_t>(got));
    ::close(running.log);
    int status = 0;
    ::waitpid(running.process, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) || WTERMSIG(status) == SIGKILL) << status;
    return told;
  }

  static std::vector<std::string> endAll(const std::vector<Running>& all) {
    std::vector<std::string> told;
    told.reserve(all.size());
    for (const auto& running : all) told.push_back(end(running));
    return told;
  }

  TableIdentity identity() const {  // what every rank's table has
    const auto table = std::make_unique<Table>();
    Remark why;
    EXPECT_TRUE(readTableFile(same_.c_str(), *table, why)) << why.text;
    return table->identity();
  }

  const std::uint16_t port_ = testing_support::freePort();
  std::string same_;
};

const auto kOn = testing::StartsWith("railhead tuner: on: table aaaaaaaaaaaa, proven, ");
auto offWith(const std::string& why) {
  return testing::AllOf(testing::StartsWith("railhead tuner: off: "), HasSubstr(why));
}

TEST_F(Proof, HoldsWhenAllRanksHaveOneTable) {
  for (const int world : {2, 3, 8}) {
    std::vector<Running> ranks;
    for (int rank = world - 1; rank >= 0; --rank)  // rank 0 last: the others wait for it
      ranks.push_back(start(rank, world, {static_cast<std::size_t>(world)}));
    EXPECT_THAT(endAll(ranks), Each(kOn)) << world;
  }
}

TEST_F(Proof, FindsItsPortFromMasterPort) {
  ::unsetenv("RAILHEAD_TUNER_PORT");
  set("MASTER_PORT", std::to_string(port_ - 17));
  EXPECT_THAT(endAll({start(0, 2, {2}), start(1, 2, {2})}), Each(kOn));
}

TEST_F(Proof, IsNotTakenFromAnotherJob) {
  set("MASTER_PORT", "29500");
  set("RAILHEAD_TUNER_PROOF_SECONDS", "3");
  const auto zero = start(0, 2, {2});
  set("RAILHEAD_TUNER_PROOF_SECONDS", "1");
  const auto stray = start(1, 2, {2}, [] { set("MASTER_PORT", "29600"); });
  EXPECT_THAT(end(stray), offWith("rank 0 did not answer"));
  EXPECT_THAT(end(zero), offWith("rank 1 did not come"));
}

TEST_F(Proof, FailsOnAllWhenOneHasAnotherTable) {
  const auto otherHash = writeTable("other_hash.table", kHashB, kLines);
  const auto otherLines = writeTable("other_lines.table", kHashA, "allreduce 4 1 0 9 ring ll 0\n");
  for (const auto& other : {otherHash, otherLines}) {
    std::vector<Running> ranks;
    ranks.reserve(4);
    for (int rank = 0; rank < 4; ++rank)
      ranks.push_back(start(rank, 4, {4}, [&] {
        if (rank == 2) set("RAILHEAD_TUNER_TABLE", other);
      }));
    EXPECT_THAT(endAll(ranks), Each(offWith("rank 2 has another table than rank 0")));
  }
}

TEST_F(Proof, FailsOnAllWhenOneIsMissing) {
  set("RAILHEAD_TUNER_PROOF_SECONDS", "3");  // for three of them to come
  EXPECT_THAT(endAll({start(0, 4, {4}), start(1, 4, {4}), start(3, 4, {4})}),
              Each(offWith("rank 2 did not come to the proof within 3 s")));
}

TEST_F(Proof, FailsOnAllWhenDeadlinesDiffer) {
  EXPECT_THAT(endAll({start(0, 2, {2}),
                      start(1, 2, {2}, [] { set("RAILHEAD_TUNER_PROOF_SECONDS", "3"); })}),
              Each(offWith("rank 1 has another RAILHEAD_TUNER_PROOF_SECONDS")));
}

TEST_F(Proof, IsInheritedByLaterCommunicatorsOfNoMoreRanks) {
  const auto told = endAll({start(0, 3, {3, 2, 4, 3}), start(1, 3, {3, 2}), start(2, 3, {3})});
  EXPECT_THAT(told[0], HasSubstr("for 3 ranks on 1 nodes\nrailhead tuner: on: table aaaaaaaaaaaa, "
                                 "proven, 1 of its 4 lines for 2 ranks"));
  EXPECT_THAT(told[0], HasSubstr("off: 4 ranks are more than the 3 that have proven"));
  EXPECT_THAT(told[2], kOn);
}

TEST_F(Proof, FailsOnAllWhenOneMadeAnotherCommunicatorBefore) {
  const auto told = endAll({start(0, 3, {3, 2}), start(1, 3, {2, 3, 2}), start(2, 3, {3})});
  for (const auto& lines : told)
    EXPECT_THAT(lines, HasSubstr("off: rank 1 made another communicator before that of all 3"));
  EXPECT_THAT(told, Each(testing::Not(HasSubstr(": on: "))));
  EXPECT_THAT(told[1], HasSubstr("off: the first communicator has 2 ranks, not all 3"));
}

TEST_F(Proof, FailsWhenSeveralRanksShareAProcess) {
  set("RAILHEAD_TUNER_PROOF_SECONDS", "1");  // two ranks in one: the environment counts one
  EXPECT_THAT(endAll({start(0, 2, {2, 2})}), Each(HasSubstr("rank 1 did not come")));
}

TEST_F(Proof, IsNotDisturbedByStrangers) {
  const auto zero = start(0, 3, {3});
  std::vector<int> strangers;
  SplitMix random(5);
  for (int i = 0; i < 100; ++i) {  // more than are heard at once
    const int stranger = connectWhenOpen(port_);
    ASSERT_GE(stranger, 0);
    std::string garbage(random.next() % 200, '\0');
    for (auto& byte : garbage) byte = static_cast<char>(random.next());
    (void)::send(stranger, garbage.data(), garbage.size(), MSG_NOSIGNAL);
    strangers.push_back(stranger);
  }
  for (const auto& wrong : {helloOf(0, 3), helloOf(3, 3), helloOf(1, 4), helloOf(UINT32_MAX, 3)}) {
    strangers.push_back(connectWhenOpen(port_));
    (void)::send(strangers.back(), wrong.data(), wrong.size(), MSG_NOSIGNAL);
  }
  EXPECT_THAT(endAll({start(1, 3, {3}), start(2, 3, {3}), zero}), Each(kOn));
  for (const int stranger : strangers) ::close(stranger);
}

TEST_F(Proof, FailsOnAllWhenTwoSayThatTheyAreOneRank) {
  const auto zero = start(0, 3, {3});
  const Descriptor one(connectWhenOpen(port_));
  say(one, helloOf(1, 3, identity()));
  const Descriptor twin(connectWhenOpen(port_));
  say(twin, helloOf(1, 3));
  char answer = 0;
  EXPECT_LE(::recv(twin.get(), &answer, 1, 0), 0) << "without an answer";
  EXPECT_THAT(endAll({start(2, 3, {3}), zero}), Each(offWith("two say that they are rank 1")));
  ProofBytes bytes;
  ASSERT_EQ(::recv(one.get(), bytes.data(), bytes.size(), MSG_WAITALL), 64);
  ProofMessage verdict;
  ASSERT_TRUE(decode(bytes, verdict));
  EXPECT_EQ(verdict.kind, ProofMessage::Kind::No);
  EXPECT_EQ(verdict.objection, Objection::Twice);
}

TEST_F(Proof, NamesWhatKeepsItFromHearing) {
  set("RAILHEAD_TUNER_PROOF_SECONDS", "1");
  const auto oneDescriptorLeft = [] {  // the listener takes it
    const rlimit limit{256, 256};
    ::setrlimit(RLIMIT_NOFILE, &limit);
    int last = -1;
    for (int next = 0; (next = ::open("/dev/null", O_RDONLY)) >= 0;) last = next;
    ::close(last);
  };
  const auto zero = start(0, 2, {2}, oneDescriptorLeft);
  const auto one = start(1, 2, {2});
  EXPECT_THAT(end(zero), offWith("rank 1 could not be heard at port " + std::to_string(port_) +
                                 ": Too many open files"));
  EXPECT_THAT(end(one), offWith("rank 0 did not answer"));
}

TEST_F(Proof, FailsOnAllWhenARankLeavesBeforeTheAnswer) {
  const auto zero = start(0, 3, {3});
  {
    const Descriptor leaver(connectWhenOpen(port_));
    say(leaver, helloOf(1, 3, identity()));
  }
  EXPECT_THAT(endAll({start(2, 3, {3}), zero}),
              Each(offWith("rank 1 left the proof before its end")));
}

TEST_F(Proof, FailsWhenRankZeroDies) {
  set("RAILHEAD_TUNER_PROOF_SECONDS", "2");
  const auto zero = start(0, 3, {3});
  const auto one = start(1, 3, {3});
  ::usleep(300'000);
  ::kill(zero.process, SIGKILL);
  EXPECT_THAT(end(one), offWith("rank 0 did not answer within 2 s at localhost, port"));
  EXPECT_EQ(end(zero), "");
}

// Rank 0's place is taken by who answers each hello with `answer`.
std::string answeredWith(const ProofBytes& answer, std::size_t length, std::uint16_t port,
                         const std::function<std::string()>& ask) {
  const Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(listener.get(), 8), 0);
  const pid_t server = ::fork();
  if (server == 0) {
    for (;;) {
      const Descriptor caller(::accept(listener.get(), nullptr, nullptr));
      ProofBytes hello;
      (void)::recv(caller.get(), hello.data(), hello.size(), MSG_WAITALL);
      (void)::send(caller.get(), answer.data(), length, MSG_NOSIGNAL);
    }
  }
  auto told = ask();
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  return told;
}

TEST_F(Proof, TakesNothingButAClearYes) {
  set("RAILHEAD_TUNER_PROOF_SECONDS", "1");
  const auto ask = [&] { return end(start(1, 2, {2})); };
  char hash[65];
  std::memcpy(hash, kHashA.c_str(), sizeof hash);
  // Everything is right but the digest of the table's bytes, which a stranger does not have.
  const ProofMessage yes{
      .kind = ProofMessage::Kind::Yes, .seconds = 1, .world = 2, .hash = hashBytes(hash)};
  EXPECT_THAT(answeredWith(encode(yes), 64, port_, ask), offWith("yes to another table"));
  EXPECT_THAT(answeredWith(encode(yes), 63, port_, ask), offWith("rank 0 did not answer"));
  auto garbled = encode(yes);
  garbled[0] ^= 1;
  EXPECT_THAT(answeredWith(garbled, 64, port_, ask), offWith("rank 0 did not answer"));
  auto no = yes;
  no.kind = ProofMessage::Kind::No;
  EXPECT_THAT(answeredWith(encode(no), 64, port_, ask), offWith("rank 0 says no and not why"));
  no.kind = ProofMessage::Kind::Hello;
  EXPECT_THAT(answeredWith(encode(no), 64, port_, ask), offWith("rank 0 did not answer"));
}

TEST_F(Proof, SaysThatItsPortIsTaken) {
  const Descriptor taken(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port_);
  if (::bind(taken.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    GTEST_SKIP() << "no IPv6 here: " << std::strerror(errno);
  ::listen(taken.get(), 1);
  EXPECT_THAT(end(start(0, 2, {2})), offWith("cannot be listened on: Address already in use"));
}

TEST(ProofMessage, ComesBackAsItWasAndRefusesTheRest) {
  ProofMessage message{.kind = ProofMessage::Kind::No,
                       .objection = Objection::Gone,
                       .seconds = 600,
                       .world = 4096,
                       .rank = 4095,
                       .job = 29500,
                       .digest = 0x0123456789abcdef};
  message.hash[0] = 0xfe;
  message.hash[31] = 0x01;
  const auto bytes = encode(message);
  ProofMessage read;
  ASSERT_TRUE(decode(bytes, read));
  EXPECT_EQ(read.kind, message.kind);
  EXPECT_EQ(read.objection, message.objection);
  EXPECT_EQ(read.seconds, 600);
  EXPECT_EQ(read.world, 4096U);
  EXPECT_EQ(read.rank, 4095U);
  EXPECT_TRUE(read.sameJob(message));
  EXPECT_TRUE(read.sameTable(message));
  EXPECT_EQ(encode(read), bytes);
  for (const std::size_t at : {0, 7}) {
    auto wrong = bytes;
    wrong[at] ^= 0x40;
    EXPECT_FALSE(decode(wrong, read)) << at;
  }
  for (const auto& [at, value] : {std::pair{8, 0}, {8, 4}, {9, 7}}) {
    auto wrong = bytes;
    wrong[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(value);
    EXPECT_FALSE(decode(wrong, read)) << at;
  }
}

}  // namespace
}  // namespace railhead::nccl_tuner
