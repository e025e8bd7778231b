// Which port of a switch an address was last seen on. Bounded; not thread-safe.
#pragma once

#include "src/base/mac.h"

#include <cstddef>
#include <map>
#include <optional>

namespace railhead::lab {

class MacTable {
 public:
  explicit MacTable(std::size_t capacity = 1024) : capacity_(capacity) {}

  // Group addresses are ignored. A full table learns nothing new: unknown addresses are flooded,
  // which is slow but right.
  void learn(const Mac& source, std::size_t port);
  std::optional<std::size_t> find(const Mac& destination) const;
  void forgetPort(std::size_t port);
  std::size_t size() const { return ports_.size(); }

 private:
  std::size_t capacity_;
  std::map<Mac, std::size_t> ports_;
};

}  // namespace railhead::lab
