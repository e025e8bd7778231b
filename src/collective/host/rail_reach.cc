#include "src/collective/host/rail_reach.h"

#include "src/base/text.h"
#include "src/os/tcp.h"

#include <future>
#include <utility>

namespace railhead::collective {
namespace {

// Where a rank listens on one of its rails.
struct Door {
  os::UniqueFd listener;
  std::string endpoint;  // or why it cannot listen
};

Door openDoor(const HostRail& rail) {
  Door door;
  const auto address = IpAddress::parse(rail.address);
  auto listener =
      address.has_value() ? os::listenTcp({*address, 0}) : Result<os::UniqueFd>(address.error());
  const auto bound = listener.has_value() ? os::boundEndpoint(listener->get())
                                          : Result<os::Endpoint>(listener.error());
  if (!bound.has_value()) {
    door.endpoint = bound.error().message;
    return door;
  }
  door.endpoint = bound->toString();
  door.listener = std::move(*listener);
  return door;
}

// Empty when the other end answered.
std::string knock(const HostRail& rail, const std::string& endpoint, os::Deadline deadline) {
  const auto there = os::Endpoint::parse(endpoint);
  const auto own = IpAddress::parse(rail.address);
  if (!own.has_value()) return own.error().message;
  if (!there.has_value()) return "the other end cannot listen: " + endpoint;
  const auto connected = os::connectTcp(*there, deadline, *own);
  return connected.has_value() ? "" : connected.error().message;
}

// One field for each rail of every rank; a field holds no line end.
Result<std::vector<std::vector<std::string>>> gatherFields(const std::vector<std::string>& own,
                                                           const Gather& gather) {
  RAILHEAD_TRY_ASSIGN(const auto texts, gather(join(own, "\n")));
  std::vector<std::vector<std::string>> out;
  for (std::size_t peer = 0; peer < texts.size(); ++peer) {
    out.emplace_back();
    for (const auto field : split(texts[peer], '\n')) out.back().emplace_back(field);
    if (out.back().size() != own.size()) return unequalRails(peer, out.back().size(), own.size());
  }
  return out;
}

}  // namespace

Error unequalRails(std::size_t peer, std::size_t theirs, std::size_t ours) {
  return Error(ErrorCode::kCheckFailed,
               "rank " + std::to_string(peer) + " has " + std::to_string(theirs) +
                   " rails, this one " + std::to_string(ours),
               "give every rank the same rails, by --rail or a rail set for each pod");
}

Result<std::vector<std::string>> railHindrances(int rank, int ranks,
                                                const std::vector<HostRail>& rails,
                                                std::chrono::milliseconds patience,
                                                const Gather& gather) {
  std::vector<Door> doors;
  std::vector<std::string> own;
  for (const auto& rail : rails) {
    doors.push_back(openDoor(rail));
    own.push_back(doors.back().endpoint);
  }
  RAILHEAD_TRY_ASSIGN(const auto endpoints, gatherFields(own, gather));
  const auto next = static_cast<std::size_t>((rank + 1) % ranks);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::vector<std::future<std::string>> tried;
  for (std::size_t i = 0; i < rails.size(); ++i) {
    tried.push_back(std::async(std::launch::async, knock, std::cref(rails[i]),
                               std::cref(endpoints[next][i]), deadline));
  }
  std::vector<std::string> found;
  for (auto& answer : tried) found.push_back(answer.get());
  RAILHEAD_TRY_ASSIGN(const auto all, gatherFields(found, gather));
  std::vector<std::string> hindrances(rails.size());
  for (std::size_t from = 0; from < all.size(); ++from) {
    for (std::size_t i = 0; i < rails.size(); ++i) {
      if (all[from][i].empty() || !hindrances[i].empty()) continue;
      hindrances[i] = "from rank " + std::to_string(from) + " to rank " +
                      std::to_string((from + 1) % all.size()) + ": " + all[from][i];
    }
  }
  return hindrances;
}

}  // namespace railhead::collective
