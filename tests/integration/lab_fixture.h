// What the lab tests share: where the built programs lie, and one running lab for a whole test
// suite.
#pragma once

#include "lab/client/lab_client.h"
#include "lab/demo/node_shell.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace railhead::lab {

inline std::string builtProgram(const std::string& name) {
  return std::string(RAILHEAD_BUILD_DIR) + "/bin/" + name;
}

inline LabOptions labOptions(const std::string& name) {
  LabOptions options;
  options.name = name;
  options.imageDirectory = std::string(RAILHEAD_BUILD_DIR) + "/lab/image";
  options.keeper = {builtProgram("railhead"), "lab", "keeper"};
  return options;
}

}  // namespace railhead::lab
