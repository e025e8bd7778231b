// Everything that comes from outside, each with the code of ours that reads it. A target gives one
// input to its reader, ends the program when the reader breaks a promise, and returns whether the
// input was taken. libFuzzer drives them (./dev fuzz), and fuzz_test.cc with mutated seeds under
// every compiler and sanitizer. Inputs that need several parts are text with a line for each.
#pragma once

#include <string_view>

namespace railhead::fuzz {

bool agentConfig(std::string_view input);         // the agent's YAML, resourceList JSON
bool attachRecord(std::string_view input);        // the journal, and network-status from it
bool benchWire(std::string_view input);           // what the peer of a benchmark says
bool checkpointRecord(std::string_view input);    // checkpoint.json of a training run
bool cniRequest(std::string_view input);          // environment and stdin of a CNI call
bool cniResult(std::string_view input);           // prevResult, what plugins answer
bool gangWire(std::string_view input);            // between the ranks of a gang and their hub
bool httpRequest(std::string_view input);         // to /metrics
bool kernelMessages(std::string_view input);      // netlink and uevents
bool kubeApi(std::string_view input);             // the API server's JSON, NAD manifests
bool kubeletRequests(std::string_view input);     // Allocate, GetPreferredAllocation
bool labFrames(std::string_view input);           // between the lab's keeper and its guests
bool labTopology(std::string_view input);         // YAML
bool nadConfig(std::string_view input);           // spec.config
bool networksAnnotation(std::string_view input);  // Multus' annotation
bool primaryConflist(std::string_view input);     // the CNI folder's files
bool shimFrames(std::string_view input);          // between the shim and the agent
bool sysfs(std::string_view input);               // a node's sysfs and procfs, as a tree file
bool tensorHeader(std::string_view input);        // of a safetensors file
bool trainRecords(std::string_view input);        // metrics, checkpoint.json, a run's manifest
bool trainRunFile(std::string_view input);        // YAML
bool tuneRecords(std::string_view input);         // the records that a search is resumed from
bool tunedProfile(std::string_view input);        // YAML, from a file or a ConfigMap
bool tunerProof(std::string_view input);          // between the ranks of the NCCL tuner plugin
bool tunerTable(std::string_view input);          // the plugin's table

}  // namespace railhead::fuzz
