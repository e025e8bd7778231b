#include "src/os/bound_process.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

namespace railhead::os {
namespace {

constexpr char kNull[] = "/dev/null";

std::pair<UniqueFd, UniqueFd> socketPair() {
  std::array<int, 2> fds{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::string readToEnd(int fd) {
  std::string text;
  std::array<char, 256> chunk{};
  for (;;) {
    pollfd entry{fd, POLLIN, 0};
    if (::poll(&entry, 1, 10000) != 1) return text + "(timed out)";
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got <= 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

TEST(BoundProcess, InheritsOnlyWhatIsNamed) {
  auto [mine, theirs] = socketPair();
  auto [other, secret] = socketPair();
  ::fcntl(secret.get(), F_SETFD, 0);  // leaked on purpose
  auto [output, outputEnd] = socketPair();
  const std::string script = "echo kept >&" + std::to_string(theirs.get()) + "; (echo leaked >&" +
                             std::to_string(secret.get()) + ") 2>/dev/null || echo closed";
  auto process =
      BoundProcess::start({{"sh", "-c", script}, {theirs.get()}, outputEnd.get()}, kNull);
  ASSERT_TRUE(process) << process.error().describe();
  theirs.reset();
  outputEnd.reset();
  EXPECT_EQ(readToEnd(mine.get()), "kept\n");
  EXPECT_EQ(readToEnd(output.get()), "closed\n");
}

TEST(BoundProcess, SaysHowItEnded) {
  auto process = BoundProcess::start({{"sh", "-c", "exit 3"}}, kNull);
  ASSERT_TRUE(process);
  pollfd entry{process->pidFd(), POLLIN, 0};
  ASSERT_EQ(::poll(&entry, 1, 10000), 1);
  EXPECT_EQ(process->ended(), "exit code 3");
  EXPECT_EQ(process->ended(), "exit code 3");
}

TEST(BoundProcess, WhatItLeftInItsSessionIsKilled) {
  auto [mine, theirs] = socketPair();
  BoundProcessSpec spec{{"sh", "-c", "sleep 1000 & exit 3"}};
  spec.output = theirs.get();
  spec.ownSession = true;
  auto process = BoundProcess::start(spec, kNull);
  ASSERT_TRUE(process);
  theirs.reset();
  pollfd entry{process->pidFd(), POLLIN, 0};
  ASSERT_EQ(::poll(&entry, 1, 10000), 1);
  EXPECT_EQ(process->ended(), "exit code 3");
  EXPECT_EQ(readToEnd(mine.get()), "");  // which the sleep held open
}

TEST(BoundProcess, MissingProgramIsAnError) {
  const auto process = BoundProcess::start({{"railhead-no-such-program"}}, kNull);
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code, ErrorCode::kNotFound);
}

TEST(BoundProcess, DestructorKills) {
  pid_t pid = 0;
  {
    auto process = BoundProcess::start({{"sleep", "1000"}}, kNull);
    ASSERT_TRUE(process);
    pid = process->pid();
    EXPECT_EQ(process->ended(), std::nullopt);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

// A parent that is killed outright takes its child along: the socket that only the child holds
// reads end of file.
TEST(BoundProcess, DiesWithItsParent) {
  auto [mine, theirs] = socketPair();
  const pid_t parent = ::fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    auto process = BoundProcess::start(
        {{"sh", "-c", "echo up >&" + std::to_string(theirs.get()) + "; exec sleep 1000"},
         {theirs.get()}},
        kNull);
    if (!process) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  theirs.reset();
  std::array<char, 3> up{};
  ASSERT_EQ(::read(mine.get(), up.data(), up.size()), 3);
  ::kill(parent, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(parent, &status, 0), parent);
  EXPECT_EQ(readToEnd(mine.get()), "");
}

}  // namespace
}  // namespace railhead::os
