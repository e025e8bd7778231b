// Where ranks run: what `--on` means. Pure.
#pragma once

#include "src/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace railhead::launch {

struct Placement {
  enum class Kind { kLocal, kLab, kSsh, kKubernetes };
  Kind kind = Kind::kLocal;
  int ranks = 0;                   // of local:N; 0 elsewhere: one on each node
  std::vector<std::string> hosts;  // of ssh
  std::string context;             // of kubernetes; empty: kubectl's own

  // "local:2", "lab", "ssh:spark-a,spark-b" (each as ssh takes it: user@host), "kubernetes",
  // "kubernetes:CONTEXT". kInvalidArgument says what is allowed, and begins with `field`: where the
  // text stands.
  static Result<Placement> parse(std::string_view text, std::string_view field = "--on");
  std::string toString() const;
};

}  // namespace railhead::launch
