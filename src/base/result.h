// Result<T>: a value or an Error. Our code does not throw; it returns these.
#pragma once

#include "src/base/error.h"

#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace railhead {

template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using Base = tl::expected<T, Error>;
  using Base::Base;
  Result(Error error) : Base(tl::unexpect, std::move(error)) {}  // NOLINT: implicit by design

  // The same result; a failure gains "where: " in front of its message.
  Result addContext(std::string_view where) && {
    if (!this->has_value()) this->error().addContext(where);
    return std::move(*this);
  }
};

template <>
class [[nodiscard]] Result<void> : public tl::expected<void, Error> {
 public:
  using Base = tl::expected<void, Error>;
  using Base::Base;
  Result() = default;
  Result(Error error) : Base(tl::unexpect, std::move(error)) {}  // NOLINT: implicit by design

  Result addContext(std::string_view where) && {
    if (!this->has_value()) this->error().addContext(where);
    return std::move(*this);
  }
};

}  // namespace railhead

#define RAILHEAD_CONCAT_INNER(a, b) a##b
#define RAILHEAD_CONCAT(a, b) RAILHEAD_CONCAT_INNER(a, b)

// RAILHEAD_TRY(expression);  returns the error of a Result to the caller.
#define RAILHEAD_TRY(expression) \
  RAILHEAD_TRY_NAMED(RAILHEAD_CONCAT(railheadResult, __COUNTER__), expression)
#define RAILHEAD_TRY_NAMED(name, expression)               \
  do {                                                     \
    auto name = (expression);                              \
    if (!name.has_value()) return std::move(name).error(); \
  } while (false)

// RAILHEAD_TRY_ASSIGN(auto x, expression);  x gets the value, or the caller the error.
#define RAILHEAD_TRY_ASSIGN(declaration, expression) \
  RAILHEAD_TRY_ASSIGN_TO(RAILHEAD_CONCAT(railheadResult, __COUNTER__), declaration, expression)
#define RAILHEAD_TRY_ASSIGN_TO(name, declaration, expression) \
  auto name = (expression);                                   \
  if (!name.has_value()) return std::move(name).error();      \
  declaration = std::move(*name)
