// Holds a reference document against the JSON that a program writes: the fields named in the tables
// below a heading, and those that a document really has. Written "lines[].time.{min_us,max_us}".
#pragma once

#include <set>
#include <string>

#include <nlohmann/json.hpp>

namespace railhead::testing_support {

// Every path in the first column of the tables below `heading`, up to the next heading; braces
// expanded, each path's folders included ("lines[].time" for "lines[].time.min_us").
std::set<std::string> documentedFields(const std::string& markdown, const std::string& heading);

// Every path of a document; of arrays, those of all elements together.
std::set<std::string> fieldsOf(const nlohmann::json& document);

std::string readText(const std::string& path);

}  // namespace railhead::testing_support
