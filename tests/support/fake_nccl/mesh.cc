#include "tests/support/fake_nccl/mesh.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <iterator>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace railhead::testing_support {
namespace {

constexpr int kLookEveryMs = 10;

struct Address {
  sockaddr_un raw{};
  socklen_t length = 0;
};

// In the abstract namespace: gone with its last owner.
Address addressOf(const std::string& id, int rank) {
  Address out;
  out.raw.sun_family = AF_UNIX;
  const std::string name = id + "/" + std::to_string(rank);
  std::memcpy(out.raw.sun_path + 1, name.data(),
              std::min(name.size(), sizeof out.raw.sun_path - 1));
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return out;
}

os::UniqueFd newSocket() {
  return os::UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

const sockaddr* general(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address.raw);
}

// What stands before the bytes of one transfer.
struct Header {
  std::uint64_t bytes = 0;
};

// Bytes in one direction of one peer: pieces, one after the other.
template <typename Byte>
struct Queue {
  struct Piece {
    Byte* at;
    std::size_t left;
  };
  std::deque<Piece> pieces;
  void add(Byte* at, std::size_t bytes) {
    if (bytes > 0) pieces.push_back({at, bytes});
  }
  void advance(std::size_t bytes) {
    Piece& first = pieces.front();
    first.at += bytes;
    first.left -= bytes;
    if (first.left == 0) pieces.pop_front();
  }
};

struct Lane {
  int peer = 0;
  Queue<const std::byte> out;
  Queue<std::byte> in;
  std::deque<Header> outHeaders;  // stable addresses
  std::deque<Header> inHeaders;
  std::deque<std::size_t> expected;
};

// One send or receive that does not wait. kInProgress: nothing to be had now.
template <typename Byte, typename Call>
abi::Return move(Queue<Byte>& queue, Call call) {
  const auto moved = call(queue.pieces.front());
  if (moved > 0) {
    queue.advance(static_cast<std::size_t>(moved));
    return abi::kSuccess;
  }
  if (moved < 0 && (errno == EAGAIN || errno == EINTR)) return abi::kInProgress;
  return abi::kRemoteError;
}

abi::Return push(Lane& lane, int fd) {
  return move(lane.out, [fd](const auto& piece) {
    return ::send(fd, piece.at, piece.left, MSG_NOSIGNAL | MSG_DONTWAIT);
  });
}

abi::Return pull(Lane& lane, int fd) {
  return move(lane.in,
              [fd](const auto& piece) { return ::recv(fd, piece.at, piece.left, MSG_DONTWAIT); });
}

// A peer that made another call announces another size.
bool headersFit(const Lane& lane) {
  for (std::size_t i = 0; i < lane.expected.size(); ++i) {
    const bool arrived = lane.in.pieces.empty() || lane.inHeaders[i].bytes != 0;
    if (arrived && lane.inHeaders[i].bytes != lane.expected[i] + 1) return false;
  }
  return true;
}

// A deque: what a lane points to in itself must stay where it is.
std::deque<Lane> lanesOf(const std::vector<Transfer>& transfers, int rank) {
  std::deque<Lane> lanes;
  for (const Transfer& transfer : transfers) {
    if (transfer.peer == rank) {
      if (transfer.out != nullptr && transfer.in != nullptr)
        std::memmove(transfer.in, transfer.out, transfer.outBytes);
      continue;
    }
    auto lane = std::find_if(lanes.begin(), lanes.end(),
                             [&](const Lane& each) { return each.peer == transfer.peer; });
    if (lane == lanes.end()) {
      lanes.emplace_back();
      lane = std::prev(lanes.end());
      lane->peer = transfer.peer;
    }
    if (transfer.out != nullptr) {
      lane->outHeaders.push_back({transfer.outBytes + 1});
      lane->out.add(reinterpret_cast<const std::byte*>(&lane->outHeaders.back()), sizeof(Header));
      lane->out.add(transfer.out, transfer.outBytes);
    }
    if (transfer.in != nullptr) {
      lane->inHeaders.push_back({});
      lane->expected.push_back(transfer.inBytes);
      lane->in.add(reinterpret_cast<std::byte*>(&lane->inHeaders.back()), sizeof(Header));
      lane->in.add(transfer.in, transfer.inBytes);
    }
  }
  return lanes;
}

}  // namespace

void Mesh::close() {
  for (const os::UniqueFd& peer : peers_) {
    if (peer) ::shutdown(peer.get(), SHUT_RDWR);
  }
}

// Every rank listens; each calls the lower ones and is called by the higher ones.
abi::Return Mesh::meet(const std::string& id, const std::atomic<bool>& stop) {
  const os::UniqueFd listener = newSocket();
  const Address own = addressOf(id, rank_);
  if (::bind(listener.get(), general(own), own.length) != 0 || ::listen(listener.get(), 512) != 0)
    return abi::kSystemError;
  int missing = ranks_ - 1;
  while (missing > 0) {
    if (stop) return abi::kRemoteError;
    for (int peer = 0; peer < rank_; ++peer) {
      auto& fd = peers_[static_cast<std::size_t>(peer)];
      if (fd) continue;
      const Address address = addressOf(id, peer);
      os::UniqueFd called = newSocket();
      if (::connect(called.get(), general(address), address.length) != 0) continue;
      const std::int32_t self = rank_;
      if (::send(called.get(), &self, sizeof self, MSG_NOSIGNAL) != sizeof self) continue;
      fd = std::move(called);
      --missing;
    }
    pollfd readable{listener.get(), POLLIN, 0};
    if (::poll(&readable, 1, 1) <= 0) continue;
    os::UniqueFd caller(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::int32_t who = -1;
    if (!caller || ::recv(caller.get(), &who, sizeof who, MSG_WAITALL) != sizeof who) continue;
    if (who <= rank_ || who >= ranks_) continue;
    peers_[static_cast<std::size_t>(who)] = std::move(caller);
    --missing;
  }
  return abi::kSuccess;
}

abi::Return Mesh::greet(const std::string& host, int device, const std::atomic<bool>& stop) {
  std::array<std::byte, 64> own{};
  std::memcpy(own.data(), &device, sizeof device);
  std::memcpy(own.data() + sizeof device, host.data(),
              std::min(host.size(), own.size() - sizeof device));
  std::vector<std::array<std::byte, 64>> others(static_cast<std::size_t>(ranks_));
  std::vector<Transfer> transfers;
  for (int peer = 0; peer < ranks_; ++peer) {
    if (peer == rank_) continue;
    transfers.push_back(
        {peer, own.data(), own.size(), others[static_cast<std::size_t>(peer)].data(), own.size()});
  }
  const abi::Return code = exchange(transfers, stop);
  if (code != abi::kSuccess) return code;
  return std::count(others.begin(), others.end(), own) == 0 ? abi::kSuccess : abi::kInvalidUsage;
}

abi::Return Mesh::connect(const std::string& id, int rank, int ranks, const std::string& host,
                          int device, const std::atomic<bool>& stop) {
  rank_ = rank;
  ranks_ = ranks;
  peers_.resize(static_cast<std::size_t>(ranks));
  const abi::Return code = meet(id, stop);
  return code == abi::kSuccess ? greet(host, device, stop) : code;
}

abi::Return Mesh::exchange(const std::vector<Transfer>& transfers, const std::atomic<bool>& stop) {
  std::deque<Lane> lanes = lanesOf(transfers, rank_);
  while (true) {
    std::vector<pollfd> fds;
    for (const Lane& lane : lanes) {
      const auto out = lane.out.pieces.empty() ? 0 : POLLOUT;
      const auto in = lane.in.pieces.empty() ? 0 : POLLIN;
      fds.push_back(
          {peers_[static_cast<std::size_t>(lane.peer)].get(), static_cast<short>(out | in), 0});
    }
    if (std::all_of(fds.begin(), fds.end(), [](const pollfd& fd) { return fd.events == 0; }))
      return abi::kSuccess;
    if (stop) return abi::kInternalError;
    if (::poll(fds.data(), fds.size(), kLookEveryMs) <= 0) continue;
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      abi::Return code = abi::kSuccess;
      if (!lanes[i].in.pieces.empty() && (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
        code = pull(lanes[i], fds[i].fd);
      if (code != abi::kRemoteError && !lanes[i].out.pieces.empty() &&
          (fds[i].revents & (POLLOUT | POLLHUP | POLLERR)) != 0)
        code = push(lanes[i], fds[i].fd);
      if (code == abi::kRemoteError) return code;
      if (!headersFit(lanes[i])) return abi::kInternalError;
    }
  }
}

}  // namespace railhead::testing_support
