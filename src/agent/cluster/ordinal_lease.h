// The node's ordinal, claimed once as a Lease: where addresses begin, the same for ever. One Lease
// for each number, named PREFIX-NUMBER, held by the node's name and never given up: an address that
// moved to another node would be two nodes' for a while. To free one, delete the Lease of a node
// that is gone.
#pragma once

#include "src/base/result.h"
#include "src/kube/api/api_server.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"

#include <optional>
#include <string>

namespace railhead::agent {

struct OrdinalPlace {
  std::string podNamespace;
  std::string prefix;
  std::string node;   // the holder
  int limit = 65536;  // numbers below this
};

struct OrdinalClaim {
  int ordinal = 0;
  std::string warning;     // what is not as it should be; empty: nothing
  bool confirmed = false;  // by the API server; else it is the remembered one
};

// The number that the node holds; else the lowest that nobody holds, made its own by creating the
// Lease, so that two nodes that start together get two numbers. It is kept in `file`, and taken
// from there while the API server does not answer. kUnavailable: it does not, and nothing is kept;
// kExhausted: every number is held.
Result<OrdinalClaim> claimOrdinal(kube::ApiServer& api, os::Filesystem& files, os::Clock& clock,
                                  const OrdinalPlace& place, const std::string& file,
                                  const kube::Cancel& cancel);

// What `file` remembers of this very place.
std::optional<int> rememberedOrdinal(os::Filesystem& files, const OrdinalPlace& place,
                                     const std::string& file);

}  // namespace railhead::agent
