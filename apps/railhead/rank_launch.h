// Starts the ranks of a command where --on says, and gives back rank 0's result.
#pragma once

#include "apps/railhead/command_line.h"
#include "apps/railhead/rank_options.h"
#include "src/base/result.h"
#include "src/launch/gang.h"
#include "src/launch/placement.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::app {

struct RankLaunch {
  std::vector<std::string>
      command;  // "bench", "collectives" and its options but for those of ranks
  const RankOptions& options;
  // A line that a rank wrote to its standard error, while it runs; may be empty.
  std::function<void(int rank, std::string_view line)> onLine;
};

struct Launched {
  std::string result;   // rank 0's, JSON
  std::string objects;  // with --dry-run: what would have been created; nothing was started
};

// An Error has the class that the failed rank's exit code means, and its reason; Ctrl-C sets the
// exit code of the context and gives kUnavailable "interrupted". A result that came before a
// failure is kept beside it in `partial`.
Result<Launched> launchRanks(const RankLaunch& launch, Context& context,
                             std::string* partial = nullptr);

// One that nobody listens on now, for ranks of this machine.
Result<std::uint16_t> freeLocalPort();

class ClusterPool;
class LabRanks;

// Where gangs that are told things while they run are started, one after the other or side by side;
// a lab is entered once, and in a cluster pods are started once that the gangs run in. Not
// thread-safe.
class RankPlace {
 public:
  struct Settings {
    std::chrono::seconds lifetime{24 * 3600};  // of such pods, at most
    std::function<bool()> stopped;             // looked at while they start; may be empty
    int interruptFd = -1;                      // once readable, starting is given up
  };
  static Result<std::unique_ptr<RankPlace>> open(const RankOptions& options, Context& context,
                                                 const Settings& settings);
  // What open() would create there, as YAML; kInvalidArgument: that is no cluster.
  static Result<std::string> render(const RankOptions& options, const Settings& settings);
  ~RankPlace();

  // `command` as in RankLaunch. Gangs that run at the same time have another `slot`, from 0.
  Result<std::vector<launch::RankCommand>> commands(const std::vector<std::string>& command,
                                                    int slot) const;

 private:
  RankPlace(const RankOptions& options, std::string program);

  RankOptions options_;
  std::string program_;
  launch::Placement placement_;
  std::unique_ptr<LabRanks> lab_;
  std::unique_ptr<ClusterPool> cluster_;
};

}  // namespace railhead::app
