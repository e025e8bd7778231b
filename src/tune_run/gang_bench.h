// Measures settings on gangs of real ranks. A gang lives as long as settings differ in choices by
// size only; other settings, and what follows a failure, get new ranks. Two gangs are kept, so that
// a candidate and an incumbent of different environments can be measured in turns. Not thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/os/clock.h"
#include "src/tune/trial.h"
#include "src/tune_run/facts.h"
#include "src/tune_run/talk.h"

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::tune {

// One gang of ranks: src/launch in production, a script in tests. No rank outlives it.
class Gang {
 public:
  virtual ~Gang() = default;

  // A line to rank 0, with its newline.
  virtual Result<void> tell(std::string_view line) = 0;
  struct Heard {
    enum class Kind { kReply, kNothing, kOver };
    Kind kind = Kind::kNothing;
    std::string text;       // the reply without its mark; how it ended
    bool bySignal = false;  // over: a rank died of one
  };
  // The next reply of any rank, until the deadline. Replies come before kOver, which stays. An
  // error (interrupted) ends the search.
  virtual Result<Heard> hear(os::Clock::TimePoint deadline) = 0;
};

class GangStarter {
 public:
  virtual ~GangStarter() = default;
  // Ranks with these settings of the process. `slot` (from 0) differs from that of any other gang
  // that is alive. An error: nothing can be started at all.
  virtual Result<std::unique_ptr<Gang>> start(const Setting& process, int slot) = 0;
};

struct GangBenchSettings {
  double secondsPerCall = 10;  // what the ranks give a call
  double secondsToStart = 120;
  // A rank that ran into its deadline says so itself; one that does not even do that is given up
  // after this long, without a reply.
  double secondsOfSilence() const { return 30 + 10 * secondsPerCall; }
};

class GangBench final : public Bench {
 public:
  GangBench(GangStarter& starter, os::Clock& clock, GangBenchSettings settings)
      : starter_(starter), clock_(clock), settings_(settings) {}

  // Starts the ranks of the default setting, and says what they are. An error: they do not start.
  Result<GangFacts> open();
  // Of an overlapped size the seconds are those of a call and the compute beside it, together. How
  // much that is the ranks choose once, under the default setting
  // (src/bench/collectives/overlap.h), when the size is first measured here: every setting then has
  // the same beside it.
  Result<Measurement> measure(const Setting& setting, std::span<const Size> sizes,
                              int repetitions) override;
  const std::map<Size, bench::OverlapWork>& work() const { return work_; }

 private:
  struct Slot {
    Setting process;
    std::unique_ptr<Gang> gang;
    std::uint64_t lastOrder = 0;
    std::vector<RankFacts> facts;
  };
  struct Ending {  // why a gang, or its start, failed
    Outcome outcome = Outcome::kCrashed;
    std::string detail;
  };

  os::Clock::TimePoint in(double seconds) const;
  Result<std::optional<Ending>> ready(Slot& slot);
  Result<std::optional<Ending>> take(Slot& slot, const Setting& process);
  Result<bool> isAlive(Slot& slot);
  Slot& slotFor(const Setting& process);
  Result<Ending> ending(Slot& slot, std::optional<FailedReply> first);
  Result<Measurement> attempt(const Setting& setting, std::span<const Size> sizes, int repetitions);
  Result<Measurement> measured(const Setting& setting, std::span<const Size> sizes,
                               int repetitions);
  Order orderOf(const Setting& choice, std::span<const Size> sizes, int repetitions);
  Result<std::optional<Measurement>> chooseWork(std::span<const Size> sizes);
  Result<void> take(const Order& order, Reply reply, Measurement& into);
  Result<std::optional<Ending>> answers(Slot& slot, const Order& order, Measurement& into);

  GangStarter& starter_;
  os::Clock& clock_;
  GangBenchSettings settings_;
  std::array<Slot, 2> slots_;
  std::uint64_t orders_ = 0;
  std::map<Size, bench::OverlapWork> work_;  // of overlapped sizes
};

}  // namespace railhead::tune
