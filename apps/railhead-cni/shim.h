// The CNI plugin's logic, apart from the process around it. It answers what needs no agent and
// passes everything else on; it knows nothing about networks.
#pragma once

#include "src/cni/protocol.h"
#include "src/os/filesystem.h"

#include <chrono>
#include <functional>
#include <string>

namespace railhead::shim {

inline constexpr std::chrono::seconds kConnectDeadline{5};

// Asks the agent behind `socketPath`. The error says why there is no answer.
using AskAgent =
    std::function<Result<cni::Reply>(const std::string& socketPath, const cni::Call& call)>;
Result<cni::Reply> askOverSocket(const std::string& socketPath, const cni::Call& call);

// Leaves a mark in the agent's state folder that this DEL has passed without it. Where there is no
// such folder, no agent ran since the boot and there is nothing to remember. `away`: nobody
// listens, so what the agent has no record of needs no mark. An Error when it cannot be left.
using LeaveMark =
    std::function<Result<void>(const std::string& stateFolder, const cni::Call& call, bool away)>;
Result<void> leaveMark(os::Filesystem& files, const std::string& stateFolder, const cni::Call& call,
                       bool away);
Result<void> leaveMarkOnNode(const std::string& stateFolder, const cni::Call& call, bool away);

// A pod that asks for no network gets the previous result back, with the agent up or down; a pod
// that does never goes without: no agent is CNI error 11.
// DEL of a chained call passes all the same, leaving a mark: to fail it would keep the plugins
// before us from freeing what they gave. After a failed ADD a runtime does not ask twice
// (containerd), and of a pod that was whole none could be deleted while no agent runs. Called by
// Multus, which asks again, it is 11 too.
cni::Reply answer(const cni::Call& call, const std::string& defaultSocket, const AskAgent& ask,
                  const LeaveMark& mark);

}  // namespace railhead::shim
