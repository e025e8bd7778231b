// Tells of requests of pods that failed.
#pragma once

#include "src/agent/cluster/event_recorder.h"
#include "src/attach/server.h"

namespace railhead::agent {

// Answers as `handler` does; an ADD that fails becomes an event of its pod, of the node when the
// runtime named none. `events` outlives it.
attach::CniHandler reportFailures(attach::CniHandler handler, EventRecorder& events,
                                  std::string node);

}  // namespace railhead::agent
