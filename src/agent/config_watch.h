// Watches one file, also through the symbolic links of a mounted ConfigMap, and tells when what it
// holds is different.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace railhead::agent {

class ConfigWatch {
 public:
  // Called from the watch's thread with the new text. A file that is missing or cannot be read for
  // a moment is waited for.
  using Changed = std::function<void(const std::string& text)>;
  // Called from the same thread when the file is gone (kNotFound), or cannot be read: once until it
  // can be read again, or the reason is another.
  using Unreadable = std::function<void(const Error& error)>;

  // `known`: what was read at start.
  static Result<std::unique_ptr<ConfigWatch>> start(std::string path, std::string known,
                                                    Changed changed, Unreadable unreadable = {});
  ~ConfigWatch();  // stops and joins
  ConfigWatch(const ConfigWatch&) = delete;
  ConfigWatch& operator=(const ConfigWatch&) = delete;

 private:
  ConfigWatch(std::string path, std::string known, Changed changed, Unreadable unreadable,
              os::UniqueFd inotify, os::UniqueFd stop);
  void run();
  void look();

  const std::string path_;
  std::string known_;      // the thread's own
  std::string complaint_;  // likewise: why it could not be read the last time; empty: it could
  const Changed changed_;
  const Unreadable unreadable_;
  os::UniqueFd inotify_;
  os::UniqueFd stop_;
  std::thread thread_;
};

// At most config::kMaxBytes. kNotFound, kInvalidArgument when it is larger.
Result<std::string> readConfigFile(const std::string& path);

}  // namespace railhead::agent
