// Inside src/kube and lab/kubelet only.
#pragma once

namespace railhead::kube::rpc {

// Keeps gRPC's threads for the life of the process. Otherwise the last object that goes shuts the
// library down, which waits up to ten seconds for a write to a peer that stalled, and every
// single call of a client would start and end six threads.
void holdLibrary();

}  // namespace railhead::kube::rpc
