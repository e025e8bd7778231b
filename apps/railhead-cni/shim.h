// The CNI plugin's logic, apart from the process around it. It answers what needs no agent and
// passes everything else on; it knows nothing about networks.
#pragma once

#include "src/cni/protocol.h"

#include <chrono>
#include <functional>
#include <string>

namespace railhead::shim {

// How long an answer of the agent is waited for: longer than its own longest operation, shorter
// than the runtime's patience.
inline constexpr std::chrono::seconds kConnectDeadline{5};
inline constexpr std::chrono::seconds kAnswerDeadline{60};

// Asks the agent behind `socketPath`. The error says why there is no answer.
using AskAgent =
    std::function<Result<cni::Reply>(const std::string& socketPath, const cni::Call& call)>;
Result<cni::Reply> askOverSocket(const std::string& socketPath, const cni::Call& call);

// A pod that asks for no network gets the previous result back, with the agent up or down; a pod
// that does never goes without: no agent is CNI error 11.
cni::Reply answer(const cni::Call& call, const std::string& defaultSocket, const AskAgent& ask);

}  // namespace railhead::shim
