// An in-memory os::Filesystem. Symbolic links resolve inside it; writes to chosen files run a hook,
// as writing a sysfs attribute does. Thread-safe, except that hooks run without the lock.
#pragma once

#include "src/os/filesystem.h"

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>

namespace railhead::testing_support {

class MemoryFilesystem : public os::Filesystem {
 public:
  // Called before every operation that changes something; an Error stops it. `what`: "write
  // /sys/...".
  using Gate = std::function<Result<void>(const std::string& what)>;
  using WriteHook = std::function<Result<void>(std::string_view data)>;

  explicit MemoryFilesystem(Gate gate = {}) : gate_(std::move(gate)) {}

  // Set-up, past the gate. Parents are made.
  void put(const std::string& path, std::string content);
  void putLink(const std::string& path, std::string target);
  void putDirectory(const std::string& path);
  void putDevice(const std::string& path, std::uint64_t deviceId);
  void erase(const std::string& path);  // with everything below
  // Several set-up calls as one: readers wait meanwhile.
  std::unique_lock<std::recursive_mutex> hold() { return std::unique_lock(mutex_); }
  void onWrite(const std::string& path, WriteHook hook);
  void dropHooks(const std::string& below);

  Result<std::string> readFile(const std::string& path, std::size_t maxBytes = kMaxRead) override;
  Result<void> writeFile(const std::string& path, std::string_view data) override;
  Result<void> replaceFile(const std::string& path, std::string_view data,
                           mode_t mode = 0644) override;
  Result<std::string> readLink(const std::string& path) override;
  Result<std::vector<std::string>> listDirectory(const std::string& path) override;
  Result<os::FileStatus> status(const std::string& path) override;
  Result<void> makeDirectories(const std::string& path, mode_t mode = 0755) override;
  Result<void> remove(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> makeSymlink(const std::string& target, const std::string& path) override;

 private:
  struct Node {
    os::FileKind kind = os::FileKind::kFile;
    std::string content;  // or the link's target
    std::uint64_t deviceId = 0;
  };
  Result<void> gate(const std::string& what) { return gate_ ? gate_(what) : Result<void>(); }
  // Real path after resolving links; the last component only when `followLast`.
  Result<std::string> resolve(const std::string& path, bool followLast);
  void makeParents(const std::string& path);

  std::recursive_mutex mutex_;
  std::map<std::string, Node> nodes_;  // by real path
  std::map<std::string, WriteHook> hooks_;
  Gate gate_;
};

}  // namespace railhead::testing_support
