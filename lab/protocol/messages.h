// The JSON payloads of the control channel as value types. Parsing is strict: an unknown field or a
// value outside its range is kInvalidArgument naming the field, its value and what is allowed.
#pragma once

#include "src/base/result.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::lab {

// kExec: start one program on its own stream.
struct ExecRequest {
  std::vector<std::string> argv;           // not empty; argv[0] is looked up in PATH without a '/'
  std::map<std::string, std::string> env;  // added to the guest's basic environment
  std::string cwd = "/";                   // absolute

  std::string encode() const;
  static Result<ExecRequest> parse(std::string_view json);
  bool operator==(const ExecRequest&) const = default;
};

// kSignal: for the stream's whole process group.
struct SignalRequest {
  int signal = 15;  // 1..64

  std::string encode() const;
  static Result<SignalRequest> parse(std::string_view json);
};

// kReady: the guest is up.
struct ReadyMessage {
  std::string node;
  std::string kernel;        // uname -r
  double bootSeconds = 0.0;  // kernel start to this message

  std::string encode() const;
  static Result<ReadyMessage> parse(std::string_view json);
};

// kExit: how the program ended; exactly one of the two is set.
struct ExitMessage {
  std::optional<int> code;    // 0..255
  std::optional<int> signal;  // 1..64

  // What a shell would say: the code, or 128 + signal.
  int shellCode() const { return code ? *code : 128 + signal.value_or(0); }
  std::string encode() const;
  static Result<ExitMessage> parse(std::string_view json);
  bool operator==(const ExitMessage&) const = default;
};

}  // namespace railhead::lab
