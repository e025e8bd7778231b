// Fields of one JSON object from outside, read one after the other; the first that does not fit is
// what result() names. Private to src/tune_run (it passes nlohmann's JSON on).
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace railhead::tune {

using Json = nlohmann::json;

class JsonFields {
 public:
  static constexpr std::size_t kMaxText = 4096;
  static constexpr std::size_t kMaxEntries = 256;

  // `object` stays, and may be anything: what is no object lacks every field.
  explicit JsonFields(const Json& object) : object_(object) {}

  bool has(const char* name) const;
  std::string text(const char* name);
  std::vector<std::string> texts(const char* name);
  std::uint64_t number(const char* name,
                       std::uint64_t most = std::numeric_limits<std::uint64_t>::max());
  std::vector<double> reals(const char* name);
  bool flag(const char* name);
  const Json* list(const char* name);  // nullptr: it is none

  Result<void> result() const;

 private:
  const Json* find(const char* name) const;
  void refuse(const char* name, const std::string& allowed);

  const Json& object_;
  std::optional<Error> error_;
};

}  // namespace railhead::tune
