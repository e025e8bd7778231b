// Puts the shim and our conflist in place and keeps the conflist equal to the primary network's
// plugins with ours behind them. Every write is a file beside it and a rename, so the runtime
// always finds a whole one. A file of ours that another configuration names (Multus takes the first
// of the folder as its cluster network, by path, once) is never taken away. One thread at a time.
#pragma once

#include "src/base/result.h"
#include "src/conflist/contest.h"
#include "src/conflist/folder.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::conflist {

inline constexpr std::string_view kDefaultFile = "00-railhead.conflist";

struct InstallerConfig {
  std::string folder;     // the runtime's configurations: /etc/cni/net.d
  std::string binFolder;  // its programs: /opt/cni/bin
  std::string file{kDefaultFile};
  std::string primary;  // file name of the primary; empty: the first that is not ours
  std::string shim;     // what is installed as <binFolder>/railhead; empty: nothing is
  std::string socket;   // the agent's; empty: where the shim looks by itself
  bool chain = true;    // false: the program alone, for Multus; a conflist of ours is taken away
  // A primary that takes its file away to write another keeps pods waiting no longer than it does,
  // and neither does a Multus that is restarted.
  std::chrono::seconds grace{30};
};

enum class Standing {
  kChained,       // ours serves, behind the primary's plugins
  kNoFolder,      // there is no CNI folder yet
  kNoPrimary,     // no primary network yet: nothing to chain behind
  kLost,          // the primary's file is gone, ours stays for the grace time
  kByHand,        // another file names us already: nothing is written
  kUnderMultus,   // Multus calls us as a delegate: nothing is written, but what it has as its
                  // network
  kAwaitsMultus,  // Multus is being restarted, it seems: nothing is written for the grace time
  kShadowed,      // ours is written, but another file comes before it
  kContested,     // another program keeps taking ours away: it is put back now and then
  kProgramOnly,   // as configured: no conflist
  kFailed,        // files could not be read or written; the note says why
};
std::string_view standingName(Standing standing);  // "chained", "no-primary", ...

struct InstallOutcome {
  Standing standing = Standing::kNoFolder;
  std::string primary;               // file name; empty when there is none
  std::vector<std::string> changes;  // what was written or removed, for the log
  std::string note;                  // what a person should know; empty when all is well
};

class ConflistInstaller {
 public:
  ConflistInstaller(InstallerConfig config, os::Filesystem& files, os::Clock& clock)
      : config_(std::move(config)), files_(files), clock_(clock) {}

  // Installs what is missing or different; writes nothing when all is as it should be.
  Result<InstallOutcome> bringUpToDate();
  // When bringUpToDate() must be called again though no file changed; nothing when it need not.
  std::optional<os::Clock::TimePoint> nextLook() const { return next_; }

 private:
  Result<void> installShim(InstallOutcome& outcome);
  Result<void> underMultus(const FolderFile& multus, const FolderPicture& picture,
                           InstallOutcome& outcome);
  bool awaitsMultus(const FolderPicture& picture, InstallOutcome& outcome);
  Result<void> chain(const FolderFile& primary, const FolderPicture& picture,
                     InstallOutcome& outcome);
  Result<void> write(const FolderFile& primary, const FolderPicture& picture,
                     InstallOutcome& outcome);
  bool isContested(const FolderFile* ours, InstallOutcome& outcome);
  Result<void> withdraw(const FolderPicture& picture, InstallOutcome& outcome);
  bool keepsFor(const FolderPicture& picture, InstallOutcome& outcome);
  bool isOver(std::optional<os::Clock::TimePoint>& since);
  Result<void> withoutPrimary(const FolderPicture& picture, InstallOutcome& outcome);
  std::string ourPath() const { return config_.folder + "/" + config_.file; }
  std::string shimPath() const { return config_.binFolder + "/" + std::string(kOurType); }

  InstallerConfig config_;
  os::Filesystem& files_;
  os::Clock& clock_;
  std::optional<os::Clock::TimePoint> next_;
  std::optional<os::Clock::TimePoint> lostSince_;
  bool looked_ = false;
  bool multusExpected_ = false;  // it was here, or its program is
  std::optional<os::Clock::TimePoint> multusGoneSince_;
  Contest contest_;
  std::string written_;  // what our file must hold while the contest says that it stands
};

// The file, other than `ours`, whose text has `ours` as its network; null when there is none.
const FolderFile* userOf(const FolderPicture& picture, const std::string& ours);
// The file, other than `ours`, that has our plugin in it.
const FolderFile* namedByHand(const FolderPicture& picture, const std::string& ours);

}  // namespace railhead::conflist
