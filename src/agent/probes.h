// How one agent of a node is, whichever of them answers at the state folder's sockets: while a
// newer one takes the node over there are two, and each answers at a socket of its own.
#pragma once

#include "src/agent/status_server.h"
#include "src/base/result.h"

#include <functional>
#include <memory>
#include <string>

namespace railhead::agent {

struct ProbeState {
  std::string notLive;   // why it should be restarted; empty: it lives
  std::string notReady;  // why it does not serve yet, or no longer; empty: it does
};

std::string encodeProbeState(const ProbeState& state);
Result<ProbeState> decodeProbeState(std::string_view text);

// Answers at `path` for as long as it lives. `look` is called from its thread, one call at a time.
Result<std::unique_ptr<StatusServer>> serveProbes(const std::string& path,
                                                  std::function<ProbeState()> look);
// kEnvironment when nobody answers.
Result<ProbeState> askProbes(const std::string& path);

}  // namespace railhead::agent
