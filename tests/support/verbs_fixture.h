// Both ends of the verbs benchmark as two threads, over the in-memory fabric and real loopback TCP.
#pragma once

#include "src/bench/verbs_session.h"
#include "tests/support/fake_verbs.h"

#include <chrono>
#include <future>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace railhead::testing_support {

inline FakeRdmaDevice simpleDevice(std::string name, std::string address, std::string netdev) {
  FakeRdmaDevice out{std::move(name), std::move(address)};
  out.netdev = std::move(netdev);
  return out;
}

// Two nodes with two rails each: a0 and a1 connect, b0 and b1 listen.
class VerbsFixture : public testing::Test {
 protected:
  struct Outcome {
    Result<bench::VerbsReport> connector;
    Result<bench::VerbsReport> listener;
  };

  void SetUp() override {
    listener_ = os::listenTcp(os::Endpoint::parse("127.0.0.1:0").value()).value();
    endpoint_ = os::boundEndpoint(listener_.get()).value();
    bench::VerbsPlan& plan = targets_.plan;
    plan.messageBytes = 4096;
    plan.outstanding = 4;
    plan.seconds = plan.rateSeconds = 0.05;
    plan.sizeSeconds = 0.02;
    plan.rateOutstanding = 8;
    plan.latencySeconds = 0.02;
    plan.latencySamples = 50;
    for (const char* name : {"a0", "a1", "b0", "b1"}) fabric_.setRate(name, {200e6});
  }

  static bench::Deadline within(std::chrono::milliseconds time) {
    return std::chrono::steady_clock::now() + time;
  }
  bench::VerbsSession session(verbs::Verbs& node, bench::MemoryChoice memory = {}) {
    return {node,
            bench::chooseRails(node, {}).value(),
            {},
            "t",
            within(std::chrono::seconds(10)),
            {},
            std::move(memory)};
  }
  // For tests that do not look at how fast it was.
  void quick() {
    bench::VerbsPlan& plan = targets_.plan;
    plan.seconds = plan.rateSeconds = plan.sizeSeconds = plan.latencySeconds = 0.01;
    plan.latencySamples = 20;
  }
  // One rail on each node.
  void oneRail() {
    a_ = FakeVerbs(fabric_, {simpleDevice("a0", "10.100.0.1", "net1")});
    b_ = FakeVerbs(fabric_, {simpleDevice("b0", "10.100.0.2", "net1")});
  }

  Outcome run() {
    auto listening = std::async(std::launch::async, [this] {
      return bench::serveVerbs(session(b_, listenersMemory_), listener_.get());
    });
    auto connector = bench::runVerbs(session(a_, connectorsMemory_), endpoint_, targets_);
    return {std::move(connector), listening.get()};
  }

  FakeFabric fabric_;
  FakeVerbs a_{
      fabric_,
      {simpleDevice("a0", "10.100.0.1", "net1"), simpleDevice("a1", "10.100.1.1", "net2")}};
  FakeVerbs b_{
      fabric_,
      {simpleDevice("b0", "10.100.0.2", "net1"), simpleDevice("b1", "10.100.1.2", "net2")}};
  os::UniqueFd listener_;
  os::Endpoint endpoint_;
  bench::VerbsTargets targets_;
  bench::MemoryChoice connectorsMemory_;
  bench::MemoryChoice listenersMemory_;
};

}  // namespace railhead::testing_support
