// This process as one rank: joined with the others, and with what carries its gradients.
#pragma once

#include "src/base/result.h"
#include "src/collective/communicator.h"
#include "src/collective/failure_watch.h"
#include "src/collective/group.h"
#include "src/collective/world.h"
#include "src/os/filesystem.h"
#include "src/trainer/exchange.h"
#include "src/trainer/training.h"

#include <memory>
#include <string>
#include <vector>

namespace railhead::trainer_app {

struct LinkOptions {
  bool cuda = false;
  std::string transport = "auto";      // of the host backend
  std::vector<std::string> rails;      // and its own ones; empty: all there are
  std::string ncclLibrary;             // empty: as the loader finds it
  double timeout = 60;                 // seconds to find each other
  std::chrono::seconds patience{600};  // in a call
};

class RankLink {
 public:
  // Waits for the others. kEnvironment names who did not come, or what is missing here.
  static Result<std::unique_ptr<RankLink>> open(const collective::World& world,
                                                const LinkOptions& options, os::Filesystem& files);
  ~RankLink();
  RankLink(const RankLink&) = delete;
  RankLink& operator=(const RankLink&) = delete;

  trainer::Exchange& exchange() { return *exchange_; }
  trainer::Gather gather();
  // Why the gang has failed, where that is known: more than what a call found.
  Error explained(Error error) const;
  // Tells the others that this rank gives up.
  void fail(const Error& error);
  // Ends what is on its way: afterwards nothing reads or writes the engine's memory.
  void abort();

 private:
  RankLink();
  Result<void> connect(const collective::World& world, const LinkOptions& options,
                       os::Filesystem& files);
  Result<std::vector<std::string>> gatherTexts(const std::string& own);

  collective::FailureWatch watch_;
  std::unique_ptr<collective::Communicator> communicator_;
  std::unique_ptr<trainer::Exchange> exchange_;
  std::unique_ptr<collective::Group> group_;  // ends first; null: one rank
  std::chrono::seconds patience_{600};
};

// Ranks in the host's memory: over Gloo, or in a build without it kUnsupported. One source file for
// each (CMakeLists.txt).
Result<std::unique_ptr<collective::Communicator>> connectHost(const collective::World& world,
                                                              const LinkOptions& options,
                                                              os::Filesystem& files,
                                                              RankLink& link);

}  // namespace railhead::trainer_app
