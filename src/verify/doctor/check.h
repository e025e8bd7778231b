// The doctor's checks: one for each state that makes a node slower than it could be, or silent.
// Each is a pure function over a Patient with the evidence, the consequence in figures and the
// remedy; one that cannot look says why. docs/reference/doctor.md lists them, and a test compares.
#pragma once

#include "src/verify/doctor/patient.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::verify::doctor {

enum class Severity {
  kBroken,    // RDMA does not work: NCCL fails, or takes sockets without a word
  kDegraded,  // slower than the hardware
  kNotice,    // may matter, or will with another setting
};
std::string_view severityName(Severity severity);  // "broken"

struct Finding {
  Severity severity = Severity::kDegraded;
  std::string subject;   // "roceP2p1s0f0 (enP2p1s0f0np0)"
  std::string evidence;  // what was read, and where
  std::string consequence;
  std::string remedy;
};

struct Check {
  std::string_view id;                               // "one-twin-down"
  std::string_view looksFor;                         // one line, for the list
  std::string (*cannotRun)(const Patient& patient);  // why; empty: it can
  std::vector<Finding> (*run)(const Patient& patient);
};

std::span<const Check> checks();  // in the order of the list

struct CheckResult {
  std::string_view id;
  std::string cannotRun;  // not empty: it did not run, for this reason
  std::vector<Finding> findings;
};
std::vector<CheckResult> runChecks(const Patient& patient);

// Nothing keeps a check from looking at any node.
std::string always(const Patient& patient);

}  // namespace railhead::verify::doctor
