// NCCL by dlopen: the library session. Nothing of NCCL is needed to build or start; a machine
// without it gets one clear line when it is asked for. No NCCL type leaves src/nccl.
#pragma once

#include "src/base/result.h"

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::nccl {

// What a new communicator's ranks must all know; made by one of them.
using UniqueId = std::array<char, 128>;

struct Calls;  // private to src/nccl

// Thread-safe. The library stays loaded until the process ends: its threads do.
class Library {
 public:
  static constexpr int kOldest = 21800;  // 2.18: configurations, splits

  // The first of `names` that there is. kEnvironment, in one line: missing, or too old.
  static Result<std::shared_ptr<const Library>> open(const std::vector<std::string>& names = {
                                                         "libnccl.so.2"});
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  int version() const { return version_; }  // 22809
  std::string versionText() const;          // "2.28.9"
  std::string path() const;                 // the file that was really loaded
  Result<UniqueId> uniqueId() const;
  const Calls& calls() const { return *calls_; }  // for src/nccl

 private:
  explicit Library(std::unique_ptr<Calls> calls);
  std::unique_ptr<Calls> calls_;
  int version_ = 0;
};

// "2.28.9" of 22809; NCCL before 2.9 counted otherwise (2804).
std::string versionText(int code);

}  // namespace railhead::nccl
