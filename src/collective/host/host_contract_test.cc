// The host backend keeps what every Communicator promises.
#include "src/collective/communicator_contract.h"
#include "src/collective/host/host_communicator.h"
#include "src/collective/host/host_memory.h"
#include "tests/support/memory_filesystem.h"

#include <gtest/gtest.h>

namespace railhead::collective {
namespace {

// Ranks as threads, over Gloo's TCP on the loopback interface.
class HostContractTest : public testing::Test {
 protected:
  HostContractTest() {
    files_.put("/proc/meminfo", "MemTotal:       1000 kB\nMemAvailable:    900 kB\n");
  }
  ConnectRank connecting() {
    return
        [this](int rank, int ranks, const Gather& gather) -> Result<std::unique_ptr<Communicator>> {
          HostSettings settings;
          settings.rails = {{HostRail::Kind::kTcp, "127.0.0.1", "", 1, 0}};
          settings.lanes.pieceBytes = 4096;
          RAILHEAD_TRY_ASSIGN(auto out, HostCommunicator::connect(
                                            rank, ranks, settings, gather,
                                            std::make_unique<HostMemory>(files_, "/proc/meminfo")));
          return std::unique_ptr<Communicator>(std::move(out));
        };
  }
  testing_support::MemoryFilesystem files_;
};

TEST_F(HostContractTest, EveryCall) { checkEveryCall(connecting(), 3); }
TEST_F(HostContractTest, ChecksFind) { checkThatChecksFind(connecting()); }
TEST_F(HostContractTest, CallsInARow) { checkCallsInARow(connecting()); }
TEST_F(HostContractTest, Deadlines) { checkDeadline(connecting()); }
TEST_F(HostContractTest, Abort) { checkAbort(connecting()); }
TEST_F(HostContractTest, Refusals) { checkRefusals(connecting()); }

}  // namespace
}  // namespace railhead::collective
