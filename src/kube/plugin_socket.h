// The socket file a device plugin listens on, in a folder that kubelet empties when it restarts and
// where another process may take our name. Not thread-safe; never waits.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <cstdint>
#include <optional>
#include <string>

namespace railhead::kube {

class PluginSocket {
 public:
  static constexpr std::size_t kMaxPath = 107;  // sun_path less its terminator

  explicit PluginSocket(std::string path) : path_(std::move(path)) {}
  ~PluginSocket() { close(); }
  PluginSocket(const PluginSocket&) = delete;
  PluginSocket& operator=(const PluginSocket&) = delete;

  enum class Standing {
    kOurs,    // the file is the socket we listen on
    kAbsent,  // not there, or left behind by a process that is gone
    kTaken,   // another living process listens there
  };
  Standing standing() const;

  // Makes the file anew, whatever is there, and listens.
  Result<void> listen();
  // The next waiting connection, non-blocking; nothing when there is none. An Error when there is
  // one that cannot be had now (descriptors used up): it goes on waiting.
  Result<std::optional<os::UniqueFd>> accept() const;
  // Removes the file if it is ours and stops listening.
  void close();

  int fd() const { return listener_.get(); }  // -1 while not listening
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  os::UniqueFd listener_;
  std::uint64_t inode_ = 0;
  std::uint64_t device_ = 0;
};

}  // namespace railhead::kube
