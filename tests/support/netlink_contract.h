// What every netlink::LinkClient promises, as one test body: run over the fake and over the real
// kernel.
#pragma once

#include "src/netlink/client.h"

#include <memory>

#include <gtest/gtest.h>

namespace railhead::testing_support {

// A world to test in: a namespace with one plain link that may be changed, and a second namespace.
class NetlinkWorld {
 public:
  virtual ~NetlinkWorld() = default;
  virtual netlink::NetlinkOpener& netlink() = 0;
  virtual const os::Netns& other() = 0;
  virtual std::string linkName() = 0;
};

// Call from a TEST; uses EXPECT and ASSERT.
void checkLinkContract(NetlinkWorld& world);

}  // namespace railhead::testing_support
