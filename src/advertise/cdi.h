// Specifications of the Container Device Interface (CDI), version 0.5.0: containerd 1.7 and 2, and
// CRI-O 1.24 and later read it, and it is the first that allows names which begin with a digit.
// Format and rules for names: github.com/cncf-tags/container-device-interface, SPEC.md.
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::advertise {

struct CdiDevice {
  std::string name;
  std::vector<std::string> deviceNodes;  // paths on the host, the same in the container
};

struct CdiSpec {
  std::string kind;                 // "nvidia.com/gpu"
  std::vector<CdiDevice> devices;   // those without device nodes are left out when written
  std::vector<std::string> common;  // device nodes that come with any of them
};

// The JSON text; empty when there is no device to write.
std::string encodeCdiSpec(const CdiSpec& spec);

// The device nodes by device, of a specification of `kind` as encodeCdiSpec() writes it; empty for
// anything else. `path` is for nobody but the parser's complaints.
using CdiNodes = std::map<std::string, std::vector<std::string>>;
CdiNodes decodeCdiNodes(const std::string& text, const std::string& path, const std::string& kind);

// Whether runtimes accept it as kind: a domain and a class that both begin with a letter.
bool isCdiKind(std::string_view kind);
// What stands for `id` as a device's name: '+' and other foreign characters become '_'.
std::string cdiDeviceName(std::string_view id);

// Our files in the runtimes' folder of specifications: "railhead-*.json". Thread-safe.
class CdiFolder {
 public:
  // `folder`: /var/run/cdi. `others`: more folders where runtimes look, for foreign specifications.
  // `files` outlives it.
  CdiFolder(os::Filesystem& files, std::string folder, std::vector<std::string> others);

  // Writes `name` atomically when the text is not what is there; an empty text removes the file.
  // The folder is made when it is missing.
  Result<void> put(const std::string& name, const std::string& text);
  // What our file `name` says, whoever of us wrote it; empty without one.
  CdiNodes ourNodes(const std::string& name, const std::string& kind) const;
  // Removes our files that begin with `prefix` and are not among `keep`: what an earlier
  // configuration left.
  Result<void> removeOthers(const std::string& prefix, const std::set<std::string>& keep);

  // The names of `kind` that other programs' specifications define, each with its file. Two
  // specifications of one name make it unusable for runtimes, or hide the fuller one. Files that
  // cannot be read are passed over, as runtimes do.
  std::map<std::string, std::string> foreignNames(const std::string& kind) const;

 private:
  os::Filesystem& files_;
  const std::string folder_;
  const std::vector<std::string> others_;
  std::mutex mutex_;
  std::map<std::string, std::string> written_;  // by name: what we wrote last
};

}  // namespace railhead::advertise
