#include "src/netlink/socket.h"

#include "src/netlink/client.h"

#include <cerrno>
#include <cstring>

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <rdma/rdma_netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace railhead::netlink {

Request::Request(int type, int flags) : message_(nlmsg_alloc_simple(type, flags)) {}

void Request::Free::operator()(nl_msg* message) const { nlmsg_free(message); }

void Request::header(const void* data, std::size_t size) {
  if (!message_ || nlmsg_append(message_.get(), const_cast<void*>(data), size, NLMSG_ALIGNTO) < 0)
    overflow_ = true;
}

void Request::put(int attribute, const void* data, std::size_t size) {
  if (!message_ || nla_put(message_.get(), attribute, static_cast<int>(size), data) < 0)
    overflow_ = true;
}

void Request::open(int attribute) {
  nlattr* nest = message_ ? nla_nest_start(message_.get(), attribute) : nullptr;
  if (nest == nullptr) overflow_ = true;
  nests_.push_back(nest);
}

void Request::close() {
  if (!overflow_) nla_nest_end(message_.get(), static_cast<nlattr*>(nests_.back()));
  nests_.pop_back();
}

void Socket::Free::operator()(nl_sock* socket) const { nl_socket_free(socket); }

Result<Socket> Socket::open(int protocol, const os::Netns* netns) {
  Socket opened(nl_socket_alloc());
  if (!opened.socket_) return Error(ErrorCode::kExhausted, "netlink: out of memory");
  nl_sock* socket = opened.socket_.get();
  const auto connect = [&]() -> Result<void> {
    errno = 0;
    if (nl_connect(socket, protocol) < 0)
      return Error::fromErrno(errno != 0 ? errno : EIO, "open a netlink socket");
    return {};
  };
  RAILHEAD_TRY(netns != nullptr ? os::runInside(*netns, connect) : connect());
  nl_socket_disable_seq_check(socket);  // stale answers are filtered by sequence number below
  const timeval timeout{static_cast<time_t>(kAnswerDeadline.count()), 0};
  ::setsockopt(nl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  const int on = 1;
  ::setsockopt(nl_socket_get_fd(socket), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  return opened;
}

namespace {

using Answers = std::vector<std::vector<std::uint8_t>>;

constexpr int kMostShortages = 16;  // of the kernel's memory, in one dump

// The kernel's own explanation of a refusal, when it gave one.
std::string extendedAck(const nlmsghdr* header, const nlmsgerr* failure) {
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  std::size_t offset = sizeof(nlmsghdr) + sizeof(nlmsgerr);
  if ((header->nlmsg_flags & NLM_F_CAPPED) == 0) {
    offset += NLMSG_ALIGN(failure->msg.nlmsg_len) - sizeof(nlmsghdr);
  }
  std::string text;
  if (offset >= header->nlmsg_len) return text;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(header);
  forEachAttribute({bytes + offset, header->nlmsg_len - offset}, [&](const Attribute& a) {
    if (a.type == NLMSGERR_ATTR_MSG) text = " (" + a.text() + ")";
  });
  return text;
}

// Takes one datagram apart. Returns true when the conversation is over. `interrupted`: the list
// changed while the kernel wrote it, so what came is not to be believed; the rest still comes.
Result<bool> takeAnswers(unsigned char* buffer, int length, std::uint32_t sequence,
                         std::string_view what, bool dump, Answers& answers, bool& interrupted) {
  for (auto* header = reinterpret_cast<nlmsghdr*>(buffer); nlmsg_ok(header, length) != 0;
       header = nlmsg_next(header, &length)) {
    if (header->nlmsg_seq != sequence) continue;
    if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
    if (header->nlmsg_type == NLMSG_DONE) return true;
    if (header->nlmsg_type == NLMSG_ERROR) {
      if (header->nlmsg_len < sizeof(nlmsghdr) + sizeof(nlmsgerr))
        return Error(ErrorCode::kCorrupt, "netlink: short error");
      const auto* failure = static_cast<const nlmsgerr*>(nlmsg_data(header));
      if (failure->error == 0) return true;
      // Of a dump whose first part found no memory: it goes on all the same.
      if (failure->error == -ENOBUFS && dump) {
        interrupted = true;
        continue;
      }
      Error error = Error::fromErrno(-failure->error, what);
      error.message += extendedAck(header, failure);
      return error;
    }
    const auto* data = static_cast<const std::uint8_t*>(nlmsg_data(header));
    answers.emplace_back(data, data + nlmsg_datalen(header));
  }
  return false;
}

}  // namespace

int rdmaMessageType(int command) { return RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command); }

Result<Answers> Socket::exchange(Request& request, std::string_view what) {
  if (request.overflow_)
    return Error(ErrorCode::kExhausted, std::string(what) + ": netlink message too long");
  nlmsghdr* header = nlmsg_hdr(request.message_.get());
  const bool dump = (header->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  if (!dump) header->nlmsg_flags |= NLM_F_ACK;
  errno = 0;
  if (nl_send_auto(socket_.get(), request.message_.get()) < 0) {
    return Error::fromErrno(errno != 0 ? errno : EIO, what);
  }
  const std::uint32_t sequence = header->nlmsg_seq;
  Answers answers;
  // A dump is read to its end in any case: the kernel refuses the next one (EBUSY) until then.
  bool interrupted = false;
  int shortages = 0;
  for (;;) {
    sockaddr_nl from{};
    unsigned char* buffer = nullptr;
    errno = 0;
    const int length = nl_recv(socket_.get(), &from, &buffer, nullptr);
    const std::unique_ptr<unsigned char, decltype(&::free)> owned(buffer, &::free);
    if (length == 0 || errno == EAGAIN) {
      return Error(ErrorCode::kDeadlineExceeded,
                   std::string(what) + ": the kernel did not answer over netlink");
    }
    if (length < 0 && dump && errno == ENOBUFS && ++shortages <= kMostShortages) {
      interrupted = true;  // a part was lost, the others follow
      continue;
    }
    if (length < 0) return Error::fromErrno(errno != 0 ? errno : EIO, what);
    RAILHEAD_TRY_ASSIGN(const bool over,
                        takeAnswers(buffer, length, sequence, what, dump, answers, interrupted));
    if (!over) continue;
    if (!interrupted) return answers;
    return Error(ErrorCode::kUnavailable, std::string(what) + ": interrupted by a change");
  }
}

Result<void> Socket::change(Request request, std::string_view what) {
  RAILHEAD_TRY(exchange(request, what));
  return {};
}

Result<Answers> Socket::query(Request request, std::string_view what) {
  constexpr int kAttempts = 5;
  for (int attempt = 1;; ++attempt) {
    // A new sequence number each time, so that nothing of an earlier answer is taken for this
    // one's.
    nlmsg_hdr(request.message_.get())->nlmsg_seq = NL_AUTO_SEQ;
    auto answers = exchange(request, what);
    const bool interrupted =
        !answers.has_value() && answers.error().code == ErrorCode::kUnavailable;
    if (!interrupted || attempt == kAttempts) return answers;
  }
}

}  // namespace railhead::netlink
