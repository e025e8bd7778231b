// A port for a test whose ranks are told where to meet, and who bind it themselves.
#pragma once

#include "src/base/random.h"
#include "src/os/tcp.h"

#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include <unistd.h>

namespace railhead::testing_support {

// Free at every IPv4 address when it returns, and the next ones with it where `inARow` is more than
// one. Nobody holds it: rank 0 may be faster than this process. None of those that the kernel gives
// to connections, of which other tests make many meanwhile. For one thread at a time.
inline std::uint16_t freePort(int inARow = 1) {
  constexpr std::uint16_t kFirst = 20'000;
  constexpr std::uint64_t kPorts = 10'000;
  static SplitMix random(static_cast<std::uint64_t>(::getpid()));
  for (int draws = 0; draws < 10'000; ++draws) {
    const auto first = static_cast<std::uint16_t>(kFirst + random.next() % kPorts);
    std::vector<os::UniqueFd> held;
    for (int i = 0; i < inARow; ++i) {
      auto listener =
          os::listenTcp({*IpAddress::parse("0.0.0.0"), static_cast<std::uint16_t>(first + i)});
      if (!listener.has_value()) break;
      held.push_back(std::move(*listener));
    }
    if (held.size() == static_cast<std::size_t>(inARow)) return first;
  }
  std::abort();
}

}  // namespace railhead::testing_support
