#include "lab/wire/mac_table.h"

namespace railhead::lab {

void MacTable::learn(const Mac& source, std::size_t port) {
  if (source.isMulticast() || source.isZero()) return;
  const auto known = ports_.find(source);
  if (known != ports_.end()) {
    known->second = port;
  } else if (ports_.size() < capacity_) {
    ports_.emplace(source, port);
  }
}

std::optional<std::size_t> MacTable::find(const Mac& destination) const {
  if (destination.isMulticast()) return std::nullopt;
  const auto known = ports_.find(destination);
  if (known == ports_.end()) return std::nullopt;
  return known->second;
}

void MacTable::forgetPort(std::size_t port) {
  std::erase_if(ports_, [port](const auto& entry) { return entry.second == port; });
}

}  // namespace railhead::lab
