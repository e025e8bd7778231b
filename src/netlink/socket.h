// One netlink socket, bound to the network namespace in which it was opened. Hides libnl.
#pragma once

#include "src/base/result.h"
#include "src/netlink/codec.h"
#include "src/os/netns.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct nl_msg;
struct nl_sock;

namespace railhead::netlink {

// The type of a message to the RDMA subsystem; `command` is one of RDMA_NLDEV_CMD_*.
int rdmaMessageType(int command);

// A request under construction. A message that outgrows its buffer fails when it is sent.
class Request {
 public:
  Request(int type, int flags);
  void header(const void* data, std::size_t size);  // the family header after nlmsghdr
  void put(int attribute, const void* data, std::size_t size);
  void putU8(int attribute, std::uint8_t value) { put(attribute, &value, sizeof value); }
  void putU32(int attribute, std::uint32_t value) { put(attribute, &value, sizeof value); }
  void putText(int attribute, const std::string& text) {
    put(attribute, text.c_str(), text.size() + 1);
  }
  template <typename T>
  void putStruct(int attribute, const T& value) {
    put(attribute, &value, sizeof value);
  }
  // Attributes between open and close are nested in it.
  void open(int attribute);
  void close();

 private:
  friend class Socket;
  struct Free {
    void operator()(nl_msg* message) const;
  };
  std::unique_ptr<nl_msg, Free> message_;
  std::vector<void*> nests_;
  bool overflow_ = false;
};

class Socket {
 public:
  static Result<Socket> open(int protocol, const os::Netns* netns);

  // Sends and waits for the kernel's acknowledgement. `what` names the operation in errors.
  Result<void> change(Request request, std::string_view what);
  // Sends and collects the payload of every answer (a dump, or one message).
  Result<std::vector<std::vector<std::uint8_t>>> query(Request request, std::string_view what);

 private:
  struct Free {
    void operator()(nl_sock* socket) const;
  };
  explicit Socket(nl_sock* socket) : socket_(socket) {}
  Result<std::vector<std::vector<std::uint8_t>>> exchange(Request& request, std::string_view what);
  std::unique_ptr<nl_sock, Free> socket_;
};

}  // namespace railhead::netlink
