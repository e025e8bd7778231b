// Explains what the runtime will use for pod networks on this node, and whether it calls us. Reads
// only.
#pragma once

#include "src/base/result.h"
#include "src/conflist/folder.h"
#include "src/os/filesystem.h"

#include <string>
#include <vector>

namespace railhead::conflist {

struct CheckPlaces {
  std::string folder;     // /etc/cni/net.d
  std::string binFolder;  // /opt/cni/bin, or several with ":" between them
  std::string file;       // the name of our conflist
  std::string socket;     // where the agent answers the shim
};

struct Finding {
  bool fails = true;  // pods that ask for networks do not get them; false: only worth knowing
  std::string what;   // with where
  std::string remedy;
  bool forbidden = false;  // not that something is wrong, but that it may not be seen
};

enum class Presence { kThere, kMissing, kUnseen };  // kUnseen: the right to look is missing

struct Program {
  std::string type;
  Presence presence = Presence::kMissing;
};

struct CheckReport {
  CheckPlaces places;
  FolderPicture picture;
  bool folderForbidden = false;   // then the picture is empty, and says nothing of the folder
  std::vector<Program> programs;  // of the file in use, in its order
  std::vector<Finding> findings;
  bool callsUs() const;  // no finding fails
  // All that keeps it from saying so are missing rights: pods may well get their networks.
  bool cannotTell() const;
};

CheckReport checkCni(os::Filesystem& files, const CheckPlaces& places);
std::string describe(const CheckReport& report);  // for a terminal
std::string toJson(const CheckReport& report);    // docs/reference/cni.md

}  // namespace railhead::conflist
