// Times as the Kubernetes API has them. Pure.
#pragma once

#include <chrono>
#include <string>

namespace railhead::agent {

// RFC 3339 with microseconds: "2026-11-24T17:42:51.000000Z".
std::string microTime(std::chrono::system_clock::time_point time);

}  // namespace railhead::agent
