// `railhead train list|logs|stop|compare`: runs that are there.
#pragma once

#include "apps/railhead/command_line.h"
#include "src/train/run_folder.h"

namespace railhead::app {

void addTrainRunsCommands(CLI::App* train, Context& context);

// Prints what came of it; exit code 3 unless they are the same, or within what is allowed.
void compareAndShow(const train::RunFolder& first, const train::RunFolder& second, double within,
                    bool json, Context& context);

}  // namespace railhead::app
