// The journey on emulated nodes, step by step: boot, provision, advertise, attach, verify, train.
// The report is whole also when a step fails: it then holds what was reached, the cause, log lines
// and what to do.
#pragma once

#include "lab/client/lab_client.h"
#include "lab/topology/topology.h"
#include "src/os/clock.h"
#include "src/report/model/report.h"
#include "src/report/terminal/step_printer.h"

#include <functional>
#include <optional>

namespace railhead::lab {

struct DemoOptions {
  Topology topology;
  LabOptions lab;
  double seconds = 4;  // of each bandwidth measurement
  std::string toolVersion;
  // Absolute; a folder that the nodes share and in which training runs are left. Empty: no
  // training.
  std::string trainingFolder;
  // Called once with the running lab before the demo takes it down; for `--hold`. May be empty.
  std::function<void(const LabClient&)> hold;
};

struct DemoResult {
  report::Report report;
  std::optional<ErrorCode> failure;  // class of the failed step's error
};

// Blocks until the end; the lab is gone when it returns. `printer` and `clock` outlive the call.
DemoResult runDemo(const DemoOptions& options, report::StepPrinter& printer, os::Clock& clock);

}  // namespace railhead::lab
