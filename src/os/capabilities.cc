#include "src/os/capabilities.h"

#include <array>
#include <cerrno>
#include <cstdint>

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace railhead::os {
namespace {

constexpr int kMostCapabilities = 64;

std::uint64_t bit(int capability) { return std::uint64_t{1} << capability; }

struct Sets {
  std::uint64_t effective = 0;
  std::uint64_t permitted = 0;
  std::uint64_t inheritable = 0;
};

using Halves = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

Result<Sets> readSets() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  Halves halves{};
  if (::syscall(SYS_capget, &header, halves.data()) != 0)
    return Error::fromErrno(errno, "read this process's capabilities");
  const auto joined = [&](std::uint32_t __user_cap_data_struct::*half) {
    return halves[0].*half | std::uint64_t{halves[1].*half} << 32;
  };
  return Sets{joined(&__user_cap_data_struct::effective),
              joined(&__user_cap_data_struct::permitted),
              joined(&__user_cap_data_struct::inheritable)};
}

Result<void> writeSets(const Sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const auto low = [](std::uint64_t set) { return static_cast<std::uint32_t>(set); };
  const auto high = [](std::uint64_t set) { return static_cast<std::uint32_t>(set >> 32); };
  const Halves halves{{{low(sets.effective), low(sets.permitted), low(sets.inheritable)},
                       {high(sets.effective), high(sets.permitted), high(sets.inheritable)}}};
  if (::syscall(SYS_capset, &header, halves.data()) != 0)
    return Error::fromErrno(errno, "give up capabilities");
  return {};
}

// What programs executed as root may ever have. Without CAP_SETPCAP the set stays as it is, and
// no_new_privs alone keeps them within what this thread has.
Result<void> narrowBoundingSet(std::uint64_t keep, bool mayNarrow) {
  for (int capability = 0; mayNarrow && capability < kMostCapabilities; ++capability) {
    if ((keep & bit(capability)) != 0) continue;
    const int held = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (held < 0) break;  // the kernel knows no more of them
    if (held == 1 && ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
      return Error::fromErrno(errno, "drop capability " + std::to_string(capability));
  }
  return {};
}

}  // namespace

std::string_view capabilityName(Capability capability) {
  switch (capability) {
    case Capability::kNetBindService:
      return "CAP_NET_BIND_SERVICE";
    case Capability::kNetAdmin:
      return "CAP_NET_ADMIN";
    case Capability::kSysAdmin:
      return "CAP_SYS_ADMIN";
  }
  return "";
}

Result<std::set<Capability>> keepOnlyCapabilities(const std::set<Capability>& wanted) {
  RAILHEAD_TRY_ASSIGN(const Sets before, readSets());
  std::set<Capability> kept;
  std::uint64_t keep = 0;
  for (const Capability capability : wanted) {
    const auto one = bit(static_cast<int>(capability));
    if ((before.permitted & one) == 0) continue;
    kept.insert(capability);
    keep |= one;
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return Error::fromErrno(errno, "set no_new_privs");
  RAILHEAD_TRY(narrowBoundingSet(keep, (before.effective & bit(CAP_SETPCAP)) != 0));
  // Clears the ambient set, too: it holds nothing that is not inheritable.
  RAILHEAD_TRY(writeSets({keep, keep, 0}));
  RAILHEAD_TRY_ASSIGN(const Sets after, readSets());
  if (after.permitted != keep || after.effective != keep || after.inheritable != 0)
    return Error(ErrorCode::kPermissionDenied,
                 "the kernel did not take this process's capabilities");
  return kept;
}

}  // namespace railhead::os
