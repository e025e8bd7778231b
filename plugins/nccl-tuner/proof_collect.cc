#include "plugins/nccl-tuner/descriptor.h"
#include "plugins/nccl-tuner/proof_sides.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace railhead::nccl_tuner {
namespace {

constexpr std::size_t kCallers = 64;         // at once, not yet known; then the oldest goes
constexpr std::int64_t kCallerMs = 2000;     // for a hello, once connected
constexpr std::int64_t kLongestLookMs = 50;  // so that an overdue caller goes in time

bool listenOn(int family, std::uint16_t port, Descriptor& listener) {
  listener.reset(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener.open()) return false;
  const int on = 1;
  const int off = 0;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  if (family == AF_INET6) ::setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  const auto* address = family == AF_INET6 ? reinterpret_cast<const sockaddr*>(&six)
                                           : reinterpret_cast<const sockaddr*>(&four);
  const auto length = static_cast<socklen_t>(family == AF_INET6 ? sizeof six : sizeof four);
  return ::bind(listener.get(), address, length) == 0 &&
         ::listen(listener.get(), static_cast<int>(kMaxWorld)) == 0;
}

class Gathering {
 public:
  Gathering(const ProofPlace& place, const ProofMessage& own, int listener)
      : place_(place), own_(own), listener_(listener), awaited_(place.world - 1) {
    verdict_ = own;
    verdict_.kind = ProofMessage::Kind::Yes;
    object(0, own.objection);
  }

  // Of the last connection that could not be accepted, 0 when all could.
  int acceptError() const { return acceptError_; }

  ProofMessage run() {
    const auto until = nowMs() + std::int64_t{place_.seconds} * 1000;
    for (auto now = nowMs(); awaited_ > 0 && now < until; now = nowMs()) look(until - now);
    for (std::uint32_t rank = 1; rank < place_.world; ++rank) {
      if (!members_[rank].open()) object(rank, Objection::Missing);
    }
    objectToTheGone();
    answer();
    return verdict_;
  }

 private:
  struct Caller {
    Descriptor connection;
    std::int64_t until = 0;
    std::size_t got = 0;
    ProofBytes bytes{};
  };

  // The lowest rank is named: every run of one mistake then tells the same.
  void object(std::uint32_t rank, Objection objection) {
    if (objection == Objection::None) return;
    if (verdict_.kind == ProofMessage::Kind::No && verdict_.rank <= rank) return;
    verdict_.kind = ProofMessage::Kind::No;
    verdict_.objection = objection;
    verdict_.rank = rank;
  }

  void look(std::int64_t left) {
    std::array<pollfd, kCallers + 1> polled{};
    polled[kCallers] = {listener_, POLLIN, 0};
    for (std::size_t i = 0; i < kCallers; ++i)
      polled[i] = {callers_[i].connection.get(), POLLIN, 0};  // -1 is passed over
    if (::poll(polled.data(), polled.size(), static_cast<int>(std::min(left, kLongestLookMs))) < 0)
      return pause(left);
    const auto now = nowMs();
    for (std::size_t i = 0; i < kCallers; ++i) {
      if (polled[i].revents != 0) hear(callers_[i]);
      if (callers_[i].connection.open() && now >= callers_[i].until) callers_[i].connection.reset();
    }
    if (polled[kCallers].revents != 0) accept(now, left);
  }

  // Where a look would fail again at once.
  static void pause(std::int64_t left) {
    ::poll(nullptr, 0, static_cast<int>(std::min(left, kLongestLookMs)));
  }

  void accept(std::int64_t now, std::int64_t left) {
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0) {
      if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
      acceptError_ = errno;  // EMFILE: the caller stays in the queue, and poll() would not wait
      return pause(left);
    }
    // A free place, else that of who has been silent for longest.
    auto& caller =
        *std::min_element(callers_.begin(), callers_.end(), [](const Caller& a, const Caller& b) {
          if (a.connection.open() != b.connection.open()) return !a.connection.open();
          return a.until < b.until;
        });
    caller.connection.reset(connection);
    caller.until = now + kCallerMs;
    caller.got = 0;
  }

  void hear(Caller& caller) {
    const auto got = ::recv(caller.connection.get(), caller.bytes.data() + caller.got,
                            caller.bytes.size() - caller.got, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got > 0) caller.got += static_cast<std::size_t>(got);
    if (got > 0 && caller.got < caller.bytes.size()) return;
    if (got > 0) admit(caller);
    caller.connection.reset();
  }

  void admit(Caller& caller) {
    ProofMessage hello;
    if (!decode(caller.bytes, hello) || hello.kind != ProofMessage::Kind::Hello) return;
    if (!hello.sameJob(own_) || hello.rank == 0 || hello.rank >= place_.world) return;
    auto& member = members_[hello.rank];
    if (member.open()) return object(hello.rank, Objection::Twice);
    member.reset(caller.connection.release());
    --awaited_;
    object(hello.rank, hello.objection);
    if (!hello.sameTable(own_)) object(hello.rank, Objection::OtherTable);
    if (hello.seconds != own_.seconds) object(hello.rank, Objection::OtherDeadline);
  }

  // Whoever has ended, or waited in vain, since its hello would be off while the others are on.
  void objectToTheGone() {
    for (std::uint32_t rank = 1; rank < place_.world; ++rank) {
      if (!members_[rank].open()) continue;
      char more = 0;
      const auto got = ::recv(members_[rank].get(), &more, 1, MSG_PEEK | MSG_DONTWAIT);
      if (got >= 0 || (errno != EAGAIN && errno != EINTR)) object(rank, Objection::Gone);
    }
  }

  // Into the empty buffer of a connection just seen alive: where that fails, the rank has died, and
  // starts no collective.
  void answer() {
    const auto bytes = encode(verdict_);
    for (std::uint32_t rank = 1; rank < place_.world; ++rank) {
      if (members_[rank].open())
        (void)::send(members_[rank].get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
  }

  const ProofPlace& place_;
  const ProofMessage& own_;
  const int listener_;
  std::uint32_t awaited_;
  int acceptError_ = 0;
  ProofMessage verdict_;
  std::array<Caller, kCallers> callers_{};
  std::array<Descriptor, kMaxWorld> members_;  // by rank
};

}  // namespace

bool collectHellos(const ProofPlace& place, const ProofMessage& own, ProofMessage& verdict,
                   Remark& why) {
  Descriptor listener;
  if (!listenOn(AF_INET6, place.port, listener) && !listenOn(AF_INET, place.port, listener)) {
    why.say("port %u, where the ranks meet for the proof, cannot be listened on: %s", place.port,
            std::strerror(errno));
    return false;
  }
  Gathering gathering(place, own, listener.get());
  verdict = gathering.run();
  if (verdict.objection == Objection::Missing && gathering.acceptError() != 0) {
    why.say("rank %u could not be heard at port %u: %s", verdict.rank, place.port,
            std::strerror(gathering.acceptError()));
    return false;
  }
  return true;
}

}  // namespace railhead::nccl_tuner
