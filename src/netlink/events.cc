#include "src/netlink/events.h"

#include "src/os/unique_fd.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace railhead::netlink {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kReceiveBuffer = 1 << 20;  // a node that starts hundreds of pods at once

// Group 1 of NETLINK_KOBJECT_UEVENT is the kernel's own; udev repeats on group 2.
constexpr std::uint32_t kKernelUevents = 1;

Result<os::UniqueFd> openGroup(int protocol, std::uint32_t groups, const char* what) {
  os::UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!fd) return Error::fromErrno(errno, std::string("open a netlink socket for ") + what);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error::fromErrno(errno, std::string("listen to ") + what);
  }
  return fd;
}

void add(NodeNews& news, std::string told) {
  if (news.what.size() >= NodeEvents::kMaxTold) {
    news.missedSome = true;
    return;
  }
  if (news.what.empty() || news.what.back() != told) news.what.push_back(std::move(told));
}

class KernelEvents final : public NodeEvents {
 public:
  KernelEvents(os::UniqueFd links, os::UniqueFd uevents, os::UniqueFd wake)
      : links_(std::move(links)), uevents_(std::move(uevents)), wake_(std::move(wake)) {}

  NodeNews wait(Clock::time_point until, const Settling& settling) override {
    NodeNews news;
    while (news.empty() && pollUntil(until)) drain(news);
    if (news.empty() || news.woken) return news;
    const auto end = Clock::now() + settling.most;
    while (!news.woken && pollUntil(std::min(end, Clock::now() + settling.quiet))) drain(news);
    return news;
  }

  void wake() override {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
  }

 private:
  // False: nothing until the deadline.
  bool pollUntil(Clock::time_point until) {
    std::array<pollfd, 3> fds{pollfd{links_.get(), POLLIN, 0}, pollfd{uevents_.get(), POLLIN, 0},
                              pollfd{wake_.get(), POLLIN, 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) return false;
    constexpr std::int64_t kLongest = 3600 * 1000;
    const int got = ::poll(fds.data(), fds.size(), static_cast<int>(std::min(left, kLongest)));
    return got > 0 || (got < 0 && errno == EINTR) || left > kLongest;
  }

  void drain(NodeNews& news) {
    std::uint64_t count = 0;
    if (::read(wake_.get(), &count, sizeof count) == sizeof count) news.woken = true;
    receive(links_.get(), news, [&](Bytes message) { linkMessages(message, news); });
    receive(uevents_.get(), news, [&](Bytes message) {
      auto told = tellUevent(message);
      if (!told) return;
      add(news, std::move(told->what));
    });
  }

  template <typename Handle>
  void receive(int fd, NodeNews& news, const Handle& handle) {
    for (;;) {
      sockaddr_nl from{};
      iovec into{buffer_.data(), buffer_.size()};
      msghdr header{};
      header.msg_name = &from;
      header.msg_namelen = sizeof from;
      header.msg_iov = &into;
      header.msg_iovlen = 1;
      const ssize_t got = ::recvmsg(fd, &header, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == ENOBUFS) {
        news.missedSome = true;
        continue;
      }
      if (got <= 0) return;
      if (from.nl_pid != 0) continue;  // not from the kernel
      if ((header.msg_flags & MSG_TRUNC) != 0) {
        news.missedSome = true;
        continue;
      }
      handle(Bytes(buffer_.data(), static_cast<std::size_t>(got)));
    }
  }

  static void linkMessages(Bytes bytes, NodeNews& news) {
    while (bytes.size() >= sizeof(nlmsghdr)) {
      nlmsghdr header{};
      std::memcpy(&header, bytes.data(), sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > bytes.size()) return;
      if (header.nlmsg_type == RTM_NEWLINK || header.nlmsg_type == RTM_DELLINK) {
        auto told = tellLink(header.nlmsg_type == RTM_DELLINK,
                             bytes.subspan(sizeof header, header.nlmsg_len - sizeof header));
        if (told) add(news, std::move(*told));
      }
      const std::size_t step = NLMSG_ALIGN(header.nlmsg_len);
      if (step >= bytes.size()) return;
      bytes = bytes.subspan(step);
    }
  }

  os::UniqueFd links_;
  os::UniqueFd uevents_;
  os::UniqueFd wake_;
  std::array<std::uint8_t, 65536> buffer_{};
};

}  // namespace

std::optional<std::string> tellLink(bool gone, Bytes payload) {
  const auto link = parseLink(payload);
  // Hardware has no kind; IPoIB, whose carrier follows its InfiniBand port's state, has its own.
  // The loopback has none either.
  if (!link.has_value() || link->name.empty() || link->name == "lo") return std::nullopt;
  if (!link->kind.empty() && link->kind != "ipoib") return std::nullopt;
  std::string told = "link " + link->name + ": ";
  if (gone) return told + "gone";
  told += link->up ? "up" : "down";
  return told + (link->carrier ? ", carrier" : ", no carrier");
}

std::optional<UeventNews> tellUevent(Bytes message) {
  std::string_view text(reinterpret_cast<const char*>(message.data()), message.size());
  std::string_view action;
  std::string_view subsystem;
  std::string_view path;
  for (bool first = true; !text.empty(); first = false) {
    const auto end = text.find('\0');
    const auto entry = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (first) continue;  // "action@path", which the entries repeat
    if (entry.starts_with("ACTION=")) action = entry.substr(7);
    if (entry.starts_with("SUBSYSTEM=")) subsystem = entry.substr(10);
    if (entry.starts_with("DEVPATH=")) path = entry.substr(8);
  }
  if (subsystem != "pci" && subsystem != "infiniband") return std::nullopt;
  constexpr std::size_t kLongestName = 64;
  const auto slash = path.rfind('/');
  if (action.empty() || slash == std::string_view::npos) return std::nullopt;
  return UeventNews{std::string(subsystem) + " " +
                    std::string(path.substr(slash + 1, kLongestName)) + ": " +
                    std::string(action.substr(0, kLongestName))};
}

Result<std::unique_ptr<NodeEvents>> openNodeEvents() {
  RAILHEAD_TRY_ASSIGN(auto links, openGroup(NETLINK_ROUTE, RTMGRP_LINK, "link changes"));
  RAILHEAD_TRY_ASSIGN(auto uevents,
                      openGroup(NETLINK_KOBJECT_UEVENT, kKernelUevents, "device events"));
  os::UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return Error::fromErrno(errno, "make an eventfd");
  return std::unique_ptr<NodeEvents>(
      std::make_unique<KernelEvents>(std::move(links), std::move(uevents), std::move(wake)));
}

}  // namespace railhead::netlink
