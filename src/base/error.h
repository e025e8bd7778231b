// What went wrong, classed by cause. Value type; thread-compatible; no I/O.
#pragma once

#include <string>
#include <string_view>

namespace railhead {

// Classes of failure. A caller decides by class; a person reads the message.
enum class ErrorCode {
  kInvalidArgument,   // outside input is wrong: names the field, its value and what is allowed
  kNotFound,          // the thing asked for does not exist
  kAlreadyExists,     // it exists and must not
  kBusy,              // held by somebody else; named in the message
  kPermissionDenied,  // EPERM, EACCES
  kUnavailable,       // a peer or daemon is not there now; trying again may help
  kDeadlineExceeded,  // a bounded wait ended
  kUnsupported,       // this kernel, hardware or version cannot do it
  kExhausted,         // out of a bounded resource: space, memory, addresses, devices
  kCorrupt,           // data read does not have the form it must have
  kCheckFailed,       // it ran, and what was asked does not hold
  kEnvironment,       // the machine lacks a part; the remedy says which
  kIo,                // any other failure of the operating system
  kInternal,          // a broken promise of our own code
};

// Stable lower-case word for a class ("not-found"), used in JSON and logs.
std::string_view errorCodeName(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  int errnoValue = 0;  // 0 when no system call is behind it
  std::string
      message;  // what and where: "write '4' to /sys/.../sriov_numvfs: Device or resource busy"
  std::string remedy;  // what the reader can do; empty when there is nothing to say

  Error() = default;
  Error(ErrorCode c, std::string m, std::string r = {})
      : code(c), message(std::move(m)), remedy(std::move(r)) {}

  // The one place that translates an errno. `what` names the operation and its object.
  static Error fromErrno(int errnoValue, std::string_view what);

  // Adds where we were: "attach net1: " + message.
  Error& addContext(std::string_view where) &;
  Error addContext(std::string_view where) &&;
  Error& withRemedy(std::string_view text) &;
  Error withRemedy(std::string_view text) &&;

  // One line: message, and the remedy when there is one.
  std::string describe() const;
};

// The process exit codes of every Railhead command (docs/reference/exit-codes.md).
enum class ExitCode { kOk = 0, kFailed = 1, kUsage = 2, kCheckFailed = 3, kEnvironment = 4 };

// The one table from error class to exit code.
ExitCode exitCodeFor(ErrorCode code);

}  // namespace railhead
