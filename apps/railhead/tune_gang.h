// Gangs of `railhead tune rank`, as src/launch runs them.
#pragma once

#include "apps/railhead/rank_launch.h"
#include "apps/railhead/tune_options.h"
#include "apps/usage/signal_fd.h"
#include "src/tune_run/gang_bench.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace railhead::app {

class TuneGangStarter final : public tune::GangStarter {
 public:
  // `words`: what a rank's command has beside the setting and the options of ranks. `givenUp`: the
  // operator waits for nothing any more; looked at while ranks are waited for.
  TuneGangStarter(const RankPlace& place, std::vector<std::string> words,
                  std::function<bool()> givenUp)
      : place_(place), words_(std::move(words)), givenUp_(std::move(givenUp)) {}

  Result<std::unique_ptr<tune::Gang>> start(const tune::Setting& process, int slot) override;

 private:
  const RankPlace& place_;
  std::vector<std::string> words_;
  std::function<bool()> givenUp_;
};

// Whether a signal came: the context's exit code is then that of one. Both outlive it.
std::function<bool()> untilSignal(const usage::SignalFd& signals, Context& context);

// What ranks that are started there for a moment say they are. Ctrl-C sets the context's exit code.
Result<tune::GangFacts> fabricThere(const RankOptions& ranks, const RankTuneOptions& tuning,
                                    Context& context);

}  // namespace railhead::app
