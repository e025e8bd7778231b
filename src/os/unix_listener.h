// A unix socket that listens under a name in the file system. The name never leads to a socket that
// does not listen yet: it is bound and listens under another name first and moves into place in one
// step. The mode is 0600. A listener is not thread-safe, except that any threads may accept();
// any threads and processes may open() in one folder.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <cstdint>
#include <optional>
#include <string>

namespace railhead::os {

struct ListenOptions {
  // Takes the name from a living server, which notices by isInPlace().
  bool displace = false;
  int backlog = 64;
};

class UnixListener {
 public:
  UnixListener() = default;  // closed
  UnixListener(UnixListener&& other) noexcept = default;
  UnixListener& operator=(UnixListener&& other) noexcept;
  ~UnixListener() { close(); }

  // Replaces a socket that a dead process left behind. kBusy: a living one answers there, which is
  // asked for at most 100 ms. kAlreadyExists: the file is no socket; it stays. kInvalidArgument:
  // the path, or the 8 letters of the other name in its folder, is longer than kMaxUnixPath. Of two
  // that start over one left-behind socket in the same instant the later may displace the other:
  // hold a lock (file_lock.h) where that matters.
  static Result<UnixListener> open(const std::string& path, ListenOptions options = {});

  // Whether the name leads to this listener still.
  bool isInPlace() const;
  // The next waiting connection, close-on-exec and non-blocking; nothing when there is none. An
  // Error when there is one that cannot be had now (descriptors used up): it goes on waiting.
  Result<std::optional<UniqueFd>> accept() const;
  // The next connection, however long it takes; nothing once the descriptor `stop` is readable.
  // One that cannot be had now is tried again every 50 ms.
  std::optional<UniqueFd> acceptUntil(int stop) const;
  // Stops listening, and removes the name if it is in place.
  void close();

  int fd() const { return fd_.get(); }  // to poll; -1 while closed
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  UniqueFd fd_;
  std::uint64_t device_ = 0;  // of the file: st_dev, st_ino
  std::uint64_t inode_ = 0;
};

}  // namespace railhead::os
