// SIGTERM and SIGINT, which end what serves.
#pragma once

namespace railhead::agent_app {

// For the process, before its first thread: who waits for them takes them, and nobody else.
void blockStopSignals();

// Returns the one that came.
int waitForStop();

}  // namespace railhead::agent_app
