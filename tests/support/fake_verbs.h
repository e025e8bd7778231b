// An RDMA fabric in memory: writes and reads really copy bytes into and out of the peer's
// registered memory, sends into its posted receives, for which they wait in order when there is
// none; keys, bounds, packet numbers and queue depths are checked as a device would, and faults can
// be planted. Both ends may live on threads of one process. Thread-safe.
#pragma once

#include "src/base/units.h"
#include "src/verbs/verbs.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace railhead::testing_support {

struct FakeRdmaDevice {
  std::string name;     // unique over the fabric: faults are planted by name
  std::string address;  // its RoCE v2 GID stands at index 3 + position in the node
  std::string netdev = "net1";
  int prefixLength = 24;
  int mtu = 1024;
  bool local = true;    // false: the netdev is in another namespace
  std::string problem;  // not empty: cannot be opened, says this
};

class FakeFabric {
 public:
  FakeFabric();
  ~FakeFabric();

  // Each applies to the write, read or send posted by `device` after `writesBefore` further ones,
  // once. Of a read it is the reader's memory that is spoilt or left as it was.
  void failWrite(const std::string& device, std::size_t writesBefore,
                 verbs::CompletionStatus status);
  void dropWrite(const std::string& device, std::size_t writesBefore);   // reported as done
  void stallWrite(const std::string& device, std::size_t writesBefore);  // never completes
  void corruptByte(const std::string& device, std::size_t writesBefore, std::size_t offset);
  // From now on completions of this device's requests arrive at this pace. The bytes themselves are
  // in the peer's memory at once.
  void setRate(const std::string& device, BitRate rate);
  // registerMemory fails as with a memlock limit of this many bytes for each device.
  void setMemoryLimit(std::size_t bytes);
  // Whether other devices' memory can be registered: by dma-buf (any file that can be mapped), and
  // by its address (which must then be of this process: tests/support/fake_cuda's is). Both can.
  void setDeviceMemory(bool dmabuf, bool peermem);

  std::size_t liveObjects() const;  // regions and queue pairs that still exist

 private:
  friend class FakeVerbs;
  struct State;
  std::shared_ptr<State> state_;
};

// One node's view of the fabric.
class FakeVerbs final : public verbs::Verbs {
 public:
  FakeVerbs(const FakeFabric& fabric, std::vector<FakeRdmaDevice> devices);
  Result<std::vector<verbs::DeviceInfo>> listDevices() override;
  Result<std::unique_ptr<verbs::DeviceContext>> open(const std::string& device) override;

 private:
  std::shared_ptr<FakeFabric::State> state_;
  std::vector<FakeRdmaDevice> devices_;
};

}  // namespace railhead::testing_support
