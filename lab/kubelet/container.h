// A pod's own command: one process inside the pod's network namespace, output to a log file.
#pragma once

#include "src/base/result.h"

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace railhead::lab {

class Container {
 public:
  struct Plan {
    std::vector<std::string> command;  // [0] is looked up in PATH unless it has a '/'
    std::map<std::string, std::string> environment;
    std::string netns;    // path
    std::string logFile;  // made anew
  };
  // kNotFound when there is no such program.
  static Result<std::unique_ptr<Container>> start(const Plan& plan);
  ~Container();  // kills and reaps
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  // Nothing while it runs; 128 + signal when a signal ended it.
  std::optional<int> exitCode();

 private:
  explicit Container(pid_t pid) : pid_(pid) {}
  pid_t pid_;
  std::optional<int> code_;
};

}  // namespace railhead::lab
