// Where a lab is reached: an abstract unix socket, named after the user and the lab. It is no file,
// so nothing stays behind however the keeper ends; both sides check the other's user, because the
// kernel lets anybody take an abstract name.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <string>

namespace railhead::lab {

// 1 to 32 letters, digits and '-'.
Result<void> checkLabName(const std::string& name);

inline constexpr const char* kDefaultLab = "default";

// What a user types to reach this very lab, for remedies: "railhead lab up --lab mine".
std::string labCommand(const std::string& command, const std::string& lab);

// kAlreadyExists when a lab of that name has it, kEnvironment when another user has.
Result<os::UniqueFd> listenLab(const std::string& name);

// kNotFound when no such lab runs, kEnvironment when another user has the name.
Result<os::UniqueFd> connectLab(const std::string& name);

// The peer runs as the same user as this process.
Result<void> checkPeer(int fd);

}  // namespace railhead::lab
