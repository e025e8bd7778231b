// What the keeper, its starter and its clients say to each other, as value types with their JSON.
//
// Client to keeper: a connection is one request. The client sends one message (u32 LE length,
// JSON), the keeper answers with one of the same form, and closes; after the answer to an exec both
// go on in frames of lab/protocol (kStdin, kStdinEnd, kSignal; kStdout, kStderr, then kExit or
// kRefused). Starter to keeper, over the socket it was born with: StartOrder, then BootEvents or an
// error come back. Parsing never trusts: wrong forms are kCorrupt.
#pragma once

#include "lab/keeper/lab_status.h"
#include "lab/protocol/messages.h"
#include "lab/wire/wire.h"
#include "src/base/result.h"

#include <optional>
#include <string>
#include <string_view>

namespace railhead::lab {

inline constexpr std::size_t kMaxMessage = 4 << 20;

enum class Operation { kStatus, kWaitUp, kExec, kLogs, kLink, kDown };

struct KeeperRequest {
  Operation operation = Operation::kStatus;
  std::string node;       // kExec, kLogs
  ExecRequest exec;       // kExec
  std::size_t bytes = 0;  // kLogs: at most so many
  std::string link;       // kLink
  LinkChange change;      // kLink; empty only asks

  std::string encode() const;
  static Result<KeeperRequest> parse(std::string_view json);
};

struct KeeperAnswer {
  std::optional<Error> error;
  std::optional<LabStatus> status;  // kStatus
  std::optional<LinkStatus> link;   // kLink
  std::string text;                 // kLogs

  std::string encode() const;
  static Result<KeeperAnswer> parse(std::string_view json);
};

struct StartOrder {
  std::string name;
  std::string topologyYaml;
  std::string imageDirectory;
  std::string qemu;
  std::string accelerator;
  std::string share;  // folder that the nodes get; empty: none
  unsigned readySeconds = 60;
  bool bound = false;  // ends when its starter does, even after the lab is up

  std::string encode() const;
  static Result<StartOrder> parse(std::string_view json);
};

// Exactly one of the two.
struct StartReport {
  std::optional<BootEvent> event;
  std::optional<Error> error;

  std::string encode() const;
  static Result<StartReport> parse(std::string_view json);
};

// For people and scripts: `railhead lab status --json`.
std::string statusJson(const LabStatus& status);
std::string linkJson(const LinkStatus& status);

}  // namespace railhead::lab
