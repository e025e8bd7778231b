// Preloaded into ranks: who connects by TCP elsewhere than to MASTER_PORT dies instead. Of the two
// ranks of a gang that is the one that Gloo lets connect to the other, once both have said where
// they are.
#include <csignal>
#include <cstdlib>

#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

extern "C" [[gnu::visibility("default")]] int connect(int fd, const sockaddr* address,
                                                      socklen_t length) {
  int type = 0;
  socklen_t size = sizeof type;
  ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
  const bool ip = address->sa_family == AF_INET || address->sa_family == AF_INET6;
  const char* meeting = std::getenv("MASTER_PORT");
  // Where an IPv4 address has its port an IPv6 address has it, too.
  const auto port = ntohs(reinterpret_cast<const sockaddr_in*>(address)->sin_port);
  if (ip && type == SOCK_STREAM && meeting != nullptr && port != std::atoi(meeting))
    ::kill(::getpid(), SIGKILL);
  using Connect = int (*)(int, const sockaddr*, socklen_t);
  static const auto next = reinterpret_cast<Connect>(::dlsym(RTLD_NEXT, "connect"));
  return next(fd, address, length);
}
