#include "src/collective/communicator.h"

namespace railhead::collective {

std::string_view memoryKindName(MemoryKind kind) {
  switch (kind) {
    case MemoryKind::kHost:
      return "host";
    case MemoryKind::kHostPinned:
      return "host-pinned";
    case MemoryKind::kDevice:
      return "device";
  }
  return "host";
}

}  // namespace railhead::collective
