// Host memory for collectives: aligned allocations, patterns filled and checked by this CPU.
// Thread-compatible.
#pragma once

#include "src/collective/communicator.h"
#include "src/os/filesystem.h"

#include <string>
#include <utility>

namespace railhead::collective {

class HostMemory final : public Memory {
 public:
  // `meminfo` is the path of /proc/meminfo in `filesystem`, which must outlive this.
  HostMemory(os::Filesystem& filesystem, std::string meminfo)
      : filesystem_(filesystem), meminfo_(std::move(meminfo)) {}
  MemoryKind kind() const override { return MemoryKind::kHost; }
  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override;
  Result<Room> room() override;  // what the kernel says is available
  Result<void> fill(Buffer& buffer, const std::vector<Expectation>& parts) override;
  Result<void> spoil(Buffer& buffer) override;
  Result<DataCheck> check(const Buffer& buffer, const std::vector<Expectation>& parts) override;

 private:
  os::Filesystem& filesystem_;
  std::string meminfo_;
};

}  // namespace railhead::collective
