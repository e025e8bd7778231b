// Outcomes of steps that go on past a failure.
#pragma once

#include "src/base/result.h"

#include <optional>
#include <utility>

namespace railhead::attach {

// Keeps the first failure and adds what else went wrong, so that no message is lost.
class Failures {
 public:
  void add(Result<void> result) {
    if (result.has_value()) return;
    if (!first_) {
      first_ = std::move(result).error();
    } else {
      first_->message += "; " + result.error().message;
    }
  }
  bool none() const { return !first_; }
  Result<void> outcome() const { return first_ ? Result<void>(*first_) : Result<void>(); }

 private:
  std::optional<Error> first_;
};

}  // namespace railhead::attach
