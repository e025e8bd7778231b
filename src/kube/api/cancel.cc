#include "src/kube/api/cancel.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include <poll.h>
#include <sys/eventfd.h>

namespace railhead::kube {

Result<Cancel> Cancel::create() {
  os::UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return Error::fromErrno(errno, "make an eventfd");
  return Cancel(std::move(fd));
}

void Cancel::cancel() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(fd_.get(), &one, sizeof one);
}

bool Cancel::waitFor(std::chrono::milliseconds duration) const {
  const auto end = std::chrono::steady_clock::now() + duration;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        std::max(end - std::chrono::steady_clock::now(), std::chrono::steady_clock::duration(0)));
    pollfd waiting{fd_.get(), POLLIN, 0};
    const int got = ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (got > 0) return true;
    if (got == 0 || errno != EINTR) return false;
  }
}

}  // namespace railhead::kube
