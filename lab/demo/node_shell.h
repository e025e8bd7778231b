// Commands in one emulated node, with failures in words. Thread-safe as LabClient is.
#pragma once

#include "lab/client/lab_client.h"
#include "src/base/result.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace railhead::lab {

class NodeShell {
 public:
  NodeShell(const LabClient& lab, std::string node) : lab_(&lab), node_(std::move(node)) {}
  const std::string& node() const { return node_; }

  // Standard output of a command that ends with 0. Anything else is an Error that holds the
  // command's own last line of complaint; exit codes 2, 3 and 4 keep their class.
  Result<std::string> run(const std::vector<std::string>& argv, const std::string& input = {},
                          std::chrono::seconds deadline = std::chrono::seconds(60)) const;
  // The same with standard output kept also when the command failed: a check that does not hold
  // has still something to tell.
  struct Ran {
    std::string output;
    std::optional<Error> failure;
  };
  Ran attempt(const std::vector<std::string>& argv, const std::string& input = {},
              std::chrono::seconds deadline = std::chrono::seconds(60)) const;
  Result<void> writeFile(const std::string& path,
                         const std::string& content) const;  // makes the folder
  // Starts a command that stays, with its output in /run/railhead-lab/<name>.log.
  Result<void> startDaemon(const std::string& name, const std::vector<std::string>& argv) const;
  // Its last lines, or the node's console when the daemon has no log.
  std::vector<std::string> lastLines(const std::string& daemon, std::size_t count) const;

 private:
  const LabClient* lab_;
  std::string node_;
};

}  // namespace railhead::lab
