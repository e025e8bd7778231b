// Keeps a ConflistInstaller going: a thread that wakes when a file of the CNI folder changes
// (inotify), and now and then for file systems that tell nothing.
#pragma once

#include "src/conflist/installer.h"
#include "src/os/unique_fd.h"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace railhead::conflist {

class ConflistFollower {
 public:
  // Called from the follower's thread when something was changed, or stands otherwise than before.
  using Listener = std::function<void(const Result<InstallOutcome>&)>;

  // Looks once before it returns, so that the runtime knows us as soon as we serve; what fails is
  // told and tried again. `watched`: the folder's path on this machine. Both references outlive it.
  static Result<std::unique_ptr<ConflistFollower>> start(InstallerConfig config,
                                                         std::string watched, os::Filesystem& files,
                                                         os::Clock& clock, Listener listener);
  ~ConflistFollower();  // stops and joins; leaves the files as they are
  ConflistFollower(const ConflistFollower&) = delete;
  ConflistFollower& operator=(const ConflistFollower&) = delete;

  InstallOutcome outcome() const;  // of the last look. Thread-safe.

 private:
  ConflistFollower(InstallerConfig config, std::string watched, os::Filesystem& files,
                   os::Clock& clock, Listener listener, os::UniqueFd stop);
  void run();
  void look();
  bool take(const Result<InstallOutcome>& outcome);
  int wait() const;  // milliseconds until the next look

  const std::string watched_;
  os::Clock& clock_;
  ConflistInstaller installer_;  // after the first look, the thread's own
  const Listener listener_;
  os::UniqueFd stop_;
  mutable std::mutex mutex_;
  InstallOutcome last_;
  std::string failure_;
  bool failing_ = false;
  std::thread thread_;
};

}  // namespace railhead::conflist
