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

  // `known`: what was read at start.
  static Result<std::unique_ptr<ConfigWatch>> start(std::string path, std::string known,
                                                    Changed changed);
  ~ConfigWatch();  // stops and joins
  ConfigWatch(const ConfigWatch&) = delete;
  ConfigWatch& operator=(const ConfigWatch&) = delete;

 private:
  ConfigWatch(std::string path, std::string known, Changed changed, os::UniqueFd inotify,
              os::UniqueFd stop);
  void run();
  void look();

  const std::string path_;
  std::string known_;  // the thread's own
  const Changed changed_;
  os::UniqueFd inotify_;
  os::UniqueFd stop_;
  std::thread thread_;
};

// At most config::kMaxBytes. kNotFound, kInvalidArgument when it is larger.
Result<std::string> readConfigFile(const std::string& path);

}  // namespace railhead::agent
