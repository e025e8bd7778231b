// Names from outside that become interface names or parts of file names, and the files of the state
// folder that the shim and the agent share. Pure; thread-safe.
#pragma once

#include "src/base/result.h"

#include <string>
#include <string_view>

namespace railhead::cni {

// The specification's rule for container ids and network names; kInvalidArgument. It also keeps
// them safe as parts of a file name.
Result<void> checkSpecName(std::string_view name, std::string_view field);

// IFNAMSIZ and the kernel's rules; kInvalidArgument. `field` is how the error calls the value.
Result<void> checkInterfaceName(std::string_view name, std::string_view field);

// How one attachment is called in file names; both parts have passed the checks above. '@' occurs
// in no container id, so two attachments never share a file.
std::string attachmentKey(const std::string& containerId, const std::string& ifname);

// The agent's record of it, and where those are.
std::string attachmentRecords(const std::string& stateFolder);
std::string attachmentRecord(const std::string& stateFolder, const std::string& key);

// An empty folder that says: this attachment's DEL has passed without the agent, which carries it
// out once it is there. A folder, because it is made in one step.
std::string deletionMarks(const std::string& stateFolder);
std::string deletionMark(const std::string& stateFolder, const std::string& key);

}  // namespace railhead::cni
