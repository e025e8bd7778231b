// A measurement as a command of ours once wrote it, by its name under tests/fixtures.
#pragma once

#include <fstream>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

namespace railhead::report {

inline nlohmann::json measurementFixture(const std::string& name) {
  std::ifstream file("tests/fixtures/report/measurements/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return nlohmann::json::parse(text.str());
}

}  // namespace railhead::report
