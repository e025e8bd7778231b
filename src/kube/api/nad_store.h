// The NetworkAttachmentDefinitions that are known now. What an API server or files told stays when
// these go away, and over a restart of the agent: the pod path waits for nobody.
#pragma once

#include "src/kube/api/nad.h"
#include "src/os/filesystem.h"

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace railhead::kube {

// Thread-safe.
class NadStore {
 public:
  enum class Knowledge {
    kNothing,     // never listed
    kRemembered,  // what an earlier agent knew; not listed since
    kListed,
  };

  // `file`: where the content is kept, replaced in one step after each change. `files` outlives it.
  NadStore(os::Filesystem& files, std::string file) : files_(files), file_(std::move(file)) {}

  // What an earlier agent kept. Without a file: nothing, and no Error. kCorrupt: the file is no
  // longer readable; nothing is known then.
  Result<void> recall();

  // Each: an Error when the file cannot be written; the content holds all the same. kExhausted: a
  // list of more than kMaxNads is cut, one more than these not taken.
  Result<void> replaceAll(std::vector<Nad> nads);
  Result<void> put(Nad nad);
  Result<void> erase(const std::string& podNamespace, const std::string& name);

  Knowledge knowledge() const;
  std::optional<Nad> find(const std::string& podNamespace, const std::string& name) const;
  std::vector<std::string> names() const;  // "namespace/name", sorted

 private:
  Result<void> keep();  // with mutex_ held

  os::Filesystem& files_;
  const std::string file_;
  mutable std::mutex mutex_;
  std::map<std::string, Nad> nads_;  // by qualified name
  Knowledge knowledge_ = Knowledge::kNothing;
  std::string kept_;  // what the file holds
};

}  // namespace railhead::kube
