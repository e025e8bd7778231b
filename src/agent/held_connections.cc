#include "src/agent/held_connections.h"

#include <iterator>
#include <utility>

#include <poll.h>

namespace railhead::agent {

void HeldConnections::add(std::vector<KeptConnection> connections) {
  const std::lock_guard lock(mutex_);
  std::move(connections.begin(), connections.end(), std::back_inserter(connections_));
}

bool HeldConnections::prune() {
  const std::lock_guard lock(mutex_);
  bool asked = false;
  std::erase_if(connections_, [&](const KeptConnection& connection) {
    pollfd state{connection.fd.get(), POLLIN, 0};
    if (::poll(&state, 1, 0) <= 0) return false;
    asked = asked || (state.revents & (POLLHUP | POLLERR | POLLNVAL)) == 0;
    return true;
  });
  return asked;
}

void HeldConnections::keepOnly(const std::function<bool(const std::string&)>& wanted) {
  const std::lock_guard lock(mutex_);
  std::erase_if(connections_,
                [&](const KeptConnection& connection) { return !wanted(connection.resource); });
}

std::vector<KeptConnection> HeldConnections::takeAll() {
  const std::lock_guard lock(mutex_);
  return std::exchange(connections_, {});
}

}  // namespace railhead::agent
