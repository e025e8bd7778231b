// What programs and tests use to run an emulated cluster: start it, run commands in its nodes, pull
// its cables, take it down. Every call is a connection of its own, so one LabClient may be used by
// several threads at once. All waits have deadlines but execStreaming() without one of its own.
#pragma once

#include "lab/keeper/lab_socket.h"
#include "lab/keeper/lab_status.h"
#include "lab/topology/topology.h"
#include "lab/wire/wire.h"
#include "src/base/result.h"
#include "src/os/host_paths.h"
#include "src/os/unique_fd.h"

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace railhead::lab {

struct LabOptions {
  std::string name = kDefaultLab;   // labs of different names run side by side
  std::string imageDirectory;       // absolute; made by ./dev build
  std::vector<std::string> keeper;  // command that runs runKeeper(); the descriptor is appended
  std::string qemu = "qemu-system-x86_64";
  std::string accelerator = "tcg";
  std::string share;  // absolute; a folder that every node has at kNodeShare; empty: none
  std::chrono::seconds readyDeadline{60};
  int cancelFd = -1;  // readable: give up starting and take everything down
  os::HostPaths paths;
};

using BootProgress = std::function<void(const BootEvent&)>;

struct ExecOptions {
  std::map<std::string, std::string> env;  // added to the node's basic environment
  std::string cwd = "/";
  std::string input;
  std::chrono::milliseconds deadline{30000};  // then the command is ended
  std::size_t maxOutput = 16 << 20;           // bytes of each stream; more is kExhausted
};

struct ExecResult {
  int exitCode = 0;  // 128 + signal when a signal ended it
  std::string output;
  std::string errorOutput;
};

struct ExecStreams {
  std::function<void(std::string_view)> output;
  std::function<void(std::string_view)> errorOutput;
  int inputFd = -1;   // copied to the command until its end; -1: no input
  int signalFd = -1;  // a signalfd: what comes is passed on to the command
  std::map<std::string, std::string> env;
  std::string cwd = "/";
  std::optional<std::chrono::milliseconds> deadline;
};

class LabClient {
 public:
  // The lab that runs under this name; kNotFound when none does.
  static Result<LabClient> connect(const std::string& name = kDefaultLab);

  struct UpResult;
  // Checks the machine, starts a lab that stays, and waits until every node is ready. The same
  // topology running already is reused, unless a node of it died; another one, or one that lacks
  // the share, is kBusy. When it
  // fails nothing is left.
  static Result<UpResult> up(const Topology& topology, const LabOptions& options,
                             const BootProgress& progress = {});

  // Runs a command to its end. A non-zero exit is a value, not an error.
  Result<ExecResult> exec(const std::string& node, const std::vector<std::string>& argv,
                          const ExecOptions& options = {}) const;
  // The same with its streams passed on as they come; returns the exit code.
  Result<int> execStreaming(const std::string& node, const std::vector<std::string>& argv,
                            const ExecStreams& streams) const;
  // In force when it returns: a cut link has no carrier on either side.
  Result<LinkStatus> setLink(const std::string& link, const LinkChange& change) const;
  Result<LabStatus> status() const;
  // The last part of what the node wrote on its console.
  Result<std::string> logs(const std::string& node, std::size_t bytes = 64 * 1024) const;
  // Ends the lab; when it returns no process, socket or name of it is left.
  Result<void> down() const;

 private:
  friend class BoundLab;
  explicit LabClient(std::string name) : name_(std::move(name)) {}
  static Result<void> waitUp(const std::string& name, std::chrono::seconds deadline, int cancelFd);

  std::string name_;
};

struct LabClient::UpResult {
  LabClient client;
  bool reused = false;
};

// A lab that ends with this object, and with this process however that ends.
class BoundLab {
 public:
  // As LabClient::up, but a running lab of that name is kBusy.
  static Result<BoundLab> start(const Topology& topology, const LabOptions& options,
                                const BootProgress& progress = {});
  BoundLab(BoundLab&& other) noexcept;
  BoundLab& operator=(BoundLab&& other) noexcept;
  ~BoundLab();

  const LabClient& client() const { return client_; }
  pid_t keeperPid() const { return keeper_; }
  void close();  // waits until everything is gone

 private:
  BoundLab(LabClient client, os::UniqueFd lifeline, pid_t keeper)
      : client_(std::move(client)), lifeline_(std::move(lifeline)), keeper_(keeper) {}

  LabClient client_;
  os::UniqueFd lifeline_;
  pid_t keeper_ = -1;
};

}  // namespace railhead::lab
