#include "apps/railhead/commands.h"

#include "apps/railhead/bench_command.h"
#include "apps/railhead/demo_command.h"
#include "apps/railhead/doctor_command.h"
#include "apps/railhead/lab_command.h"
#include "apps/railhead/report_command.h"
#include "apps/railhead/status_command.h"
#include "apps/railhead/train_command.h"
#include "apps/railhead/tune_command.h"
#include "apps/railhead/verify_command.h"
#include "apps/usage/completion.h"

namespace railhead::app {

void addCommands(CLI::App& app, Context& context) {
  addDemoCommand(app, context);
  addLabCommand(app, context);
  addBenchCommand(app, context);
  addVerifyCommand(app, context);
  addTuneCommand(app, context);
  addTrainCommand(app, context);
  addDoctorCommand(app, context);
  addStatusCommand(app, context);
  addReportCommand(app, context);
  usage::addCompletionCommand(app, context.out);
}

}  // namespace railhead::app
