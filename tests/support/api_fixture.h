// A test with an API server, a client of it and what the agent's parts need beside.
#pragma once

#include "src/kube/api/api_server.h"
#include "tests/support/fake_api_server/fake_api_server.h"
#include "tests/support/kept_log.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_filesystem.h"

#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace railhead::testing_support {

class ApiFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    server = std::move(*FakeApiServer::start());
    files.putDirectory("/run/railhead");
    api = client();
  }
  // Another client, as of another node.
  std::unique_ptr<kube::ApiServer> client() {
    auto opened = kube::openApiServer({server->url(), "", ""}, files);
    EXPECT_TRUE(opened.has_value());
    return std::move(*opened);
  }
  // Looks every 10 ms; false after 20 s.
  static bool waitUntil(const std::function<bool()>& holds) {
    const auto never = kube::Cancel::create();
    for (int i = 0; i < 2000; ++i) {
      if (holds()) return true;
      static_cast<void>(never->waitFor(std::chrono::milliseconds(10)));
    }
    return false;
  }
  bool waitForLog(const std::string& part) {
    return waitUntil([&] { return log.text().find(part) != std::string::npos; });
  }

  std::unique_ptr<FakeApiServer> server;
  MemoryFilesystem files;
  ManualClock clock;
  KeptLog log;
  kube::Cancel cancel = std::move(*kube::Cancel::create());
  std::unique_ptr<kube::ApiServer> api;
};

}  // namespace railhead::testing_support
