// The whole agent over a fake kernel: real sockets, no kubelet yet. What it does with kubelet and
// with pods is tested against the stand-in and in the lab.
#include "src/agent/agent.h"

#include "src/agent/probes.h"
#include "src/agent/status_server.h"
#include "src/cni/protocol.h"
#include "src/os/unix_socket.h"
#include "tests/support/agent_fixture.h"
#include "tests/support/fake_api_server/fake_api_server.h"
#include "tests/support/nvml_fixture.h"

#include <thread>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace railhead::agent {
namespace {

using testing::HasSubstr;

class AgentTest : public AgentFixture {};

TEST_F(AgentTest, ProvisionsOffersAndTellsItsState) {
  auto started = agent("{vfs: 4}");
  ASSERT_TRUE(started.has_value()) << started.error().message;
  const auto up = (*started)->start();
  ASSERT_TRUE(up.has_value()) << up.error().message;
  const auto status = askStatus(paths_);
  ASSERT_TRUE(status.has_value()) << status.error().message;
  const auto json = nlohmann::json::parse(*status, nullptr, false);
  ASSERT_TRUE(json.is_object());
  ASSERT_EQ(json["resources"].size(), 1U);
  EXPECT_EQ(json["resources"][0]["devices"].size(), 4U);
  EXPECT_EQ(json["resources"][0]["devices"][0]["rails"].size(), 2U);
  EXPECT_TRUE(json["attachments"].empty());
  const std::string described = paths_.deviceInfo + "/dp";
  EXPECT_EQ(kernel_->files().listDirectory(described)->size(), 4U);
  (*started)->stop();
  EXPECT_TRUE(kernel_->files().listDirectory(described)->empty());
  const auto nobody = askStatus(paths_);
  ASSERT_FALSE(nobody.has_value());
  EXPECT_EQ(exitCodeFor(nobody.error().code), ExitCode::kEnvironment);
  EXPECT_EQ(*kernel_->files().readTrimmed("/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"), "4");

  // The next one finds everything done.
  kernel_->revive();
  auto again = agent("{vfs: 4}");
  ASSERT_TRUE((*again)->start().has_value());
  EXPECT_THAT(kernel_->log(), testing::Each(HasSubstr(described)));
}

TEST_F(AgentTest, AsksTheApiServerForWhatIsConfigured) {
  const auto server = std::move(*testing_support::FakeApiServer::start());
  const std::string leases = "/apis/coordination.k8s.io/v1";
  server->addKind(leases, "leases");
  server->addKind("/api/v1", "nodes");
  server->put("/api/v1/nodes/node-a", "{}");
  ClusterAccess access{[&] {
                         return kube::openApiServer({server->url(), "", ""}, kernel_->files());
                       },
                       "node-a", "railhead"};
  const auto make = [&](const ClusterAccess* known) {
    auto config = parseConfig(
        "version: 1\nnode: {ordinal: lease, nodes: 4}\nkubernetes: {labels: true}\n"
        "provision: {pfs: [{vfs: 4}]}\ntwins: [[enp1s0f0np0, enP2p1s0f0np0]]\n"
        "resources: [{name: nvidia.com/cx7_qsfp}]\n",
        "test.yaml");
    return std::move(*Agent::create(
        std::move(*config), paths_,
        {kernel_->files(), *kernel_, events_, *kernel_, clock_, log_, nullptr, known}));
  };
  const auto nowhere = make(nullptr)->start();
  ASSERT_FALSE(nowhere.has_value());
  EXPECT_EQ(nowhere.error().code, ErrorCode::kEnvironment);

  const auto agent = make(&access);
  const auto up = agent->start();
  ASSERT_TRUE(up.has_value()) << up.error().describe();
  EXPECT_TRUE(server->waitForRequests("POST", "/namespaces/railhead/leases", 1));
  EXPECT_TRUE(server->waitForRequests("PATCH", "/api/v1/nodes/node-a", 1));
  agent->stop();
}

// After a boot the agent is up before the API server can be reached.
TEST_F(AgentTest, ServesWhileTheApiServerIsAway) {
  const auto server = std::move(*testing_support::FakeApiServer::start());
  server->fail({.kind = testing_support::ApiFault::Kind::kHang, .times = -1});
  const ClusterAccess access{
      [&] {
        return kube::openApiServer({server->url(), "", ""}, kernel_->files());
      },
      "node-a", "railhead"};
  auto config = parseConfig(
      "version: 1\nnode: {ordinal: lease, nodes: 4}\nkubernetes: {nads: api}\n"
      "provision: {pfs: [{vfs: 4}]}\ntwins: [[enp1s0f0np0, enP2p1s0f0np0]]\n"
      "resources: [{name: nvidia.com/cx7_qsfp}]\n",
      "test.yaml");
  const auto agent = std::move(*Agent::create(
      std::move(*config), paths_,
      {kernel_->files(), *kernel_, events_, *kernel_, clock_, log_, nullptr, &access}));
  const auto up = agent->start();
  ASSERT_TRUE(up.has_value()) << up.error().describe();
  EXPECT_EQ(*kernel_->files().readTrimmed("/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"), "4");
  const auto soon = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto fd = os::connectUnix(paths_.cniSocket(), soon);
  ASSERT_TRUE(fd.has_value());
  const std::string del = cni::encodeCall({"DEL",
                                           {{"CNI_CONTAINERID", "abc"}, {"CNI_IFNAME", "eth0"}},
                                           R"({"cniVersion":"1.0.0","name":"n"})"});
  ASSERT_TRUE(os::sendFrame(fd->get(), del, soon).has_value());
  const auto answer = os::receiveFrame(fd->get(), soon, cni::kMaxFrame);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(cni::decodeReply(*answer)->exitCode, 0);
  agent->stop();
}

// The whole answer of the agent on this port of the loopback; "" when there is none.
std::string httpGet(std::uint16_t port, const std::string& path) {
  const os::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof in) != 0) return {};
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
  std::string heard;
  char buffer[65536];
  pollfd ready{fd.get(), POLLIN, 0};
  while (::poll(&ready, 1, 20'000) > 0) {
    const ssize_t count = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (count <= 0) break;
    heard.append(buffer, static_cast<std::size_t>(count));
  }
  return heard;
}

TEST_F(AgentTest, TheRuntimeCallsItOnceItServes) {
  paths_.cniConfig = directory_ + "/net.d";
  paths_.cniBin = directory_ + "/bin";
  auto& files = kernel_->memory();
  files.put(paths_.cniShim, "program");
  files.put(paths_.cniConfig + "/10-a.conflist",
            R"({"cniVersion":"1.0.0","name":"a","plugins":[{"type":"a-cni"}]})");
  auto config = parseConfig("version: 1\ncni: {conflist: true}\n", "test.yaml");
  ASSERT_TRUE(config.has_value());
  auto agent =
      Agent::create(std::move(*config), paths_,
                    {kernel_->files(), *kernel_, events_, *kernel_, clock_, log_, nullptr});
  ASSERT_TRUE(agent.has_value());
  ASSERT_TRUE((*agent)->start().has_value());
  EXPECT_EQ(files.readFile(paths_.cniBin + "/railhead").value_or(""), "program");
  const std::string list = files.readFile(paths_.cniConfig + "/00-railhead.conflist").value_or("");
  EXPECT_THAT(list, HasSubstr("a-cni"));
  EXPECT_THAT(list, HasSubstr(paths_.cniSocket()));
  const auto status = nlohmann::json::parse((*agent)->statusJson(), nullptr, false);
  EXPECT_EQ(status["conflist"]["state"], "chained");
  EXPECT_EQ(status["conflist"]["primary"], "10-a.conflist");
  (*agent)->stop();
  EXPECT_TRUE(files.exists(paths_.cniConfig + "/00-railhead.conflist"))
      << "pods without networks need no agent";
}

TEST_F(AgentTest, AnswersItsWatchersUntilItStops) {
  auto config = parseConfig("version: 1\nresources: [{name: nvidia.com/cx7_qsfp}]\n", "f");
  ASSERT_TRUE(config.has_value());
  config->metrics = metrics::ListenAddress{IpAddress::v4(0x7f000001), 0};
  auto agent =
      Agent::create(*config, paths_, {kernel_->files(), *kernel_, events_, *kernel_, clock_, log_});
  ASSERT_TRUE(agent.has_value() && (*agent)->start().has_value());
  const std::string told = log_.text();
  const std::string before = "metrics: answering on 127.0.0.1:";
  const auto at = told.find(before);
  ASSERT_NE(at, std::string::npos) << told;
  const auto port = static_cast<std::uint16_t>(std::stoul(told.substr(at + before.size())));
  // The port is taken as long as the agent answers there.
  const metrics::ListenAddress same{IpAddress::v4(0x7f000001), port};
  const auto nothing = [](std::string_view) { return metrics::HttpAnswer{}; };
  EXPECT_FALSE(metrics::HttpEndpoint::start(same, nothing).has_value());
  EXPECT_THAT(httpGet(port, "/healthz"), testing::StartsWith("HTTP/1.1 200 "));
  // No kubelet yet: alive, and not ready.
  EXPECT_THAT(httpGet(port, "/readyz"), testing::StartsWith("HTTP/1.1 503 "));
  const std::string metrics = httpGet(port, "/metrics");
  EXPECT_THAT(metrics, testing::StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(metrics, HasSubstr("resource=\"nvidia.com/cx7_qsfp\""));
  EXPECT_THAT(httpGet(port, "/other"), testing::StartsWith("HTTP/1.1 404 "));

  // A second agent's endpoint has no place; all else of it serves, and it says so.
  (*agent)->stop();
  const auto other = metrics::HttpEndpoint::start(same, nothing);
  ASSERT_TRUE(other.has_value()) << other.error().describe();
  config->metrics = same;
  auto second =
      Agent::create(*config, paths_, {kernel_->files(), *kernel_, events_, *kernel_, clock_, log_});
  ASSERT_TRUE(second.has_value() && (*second)->start().has_value());
  EXPECT_THAT(log_.text(), HasSubstr("metrics: listen on " + same.toString()));
  EXPECT_TRUE(askStatus(paths_).has_value());
}

// During an upgrade two agents share the state folder's sockets, and each has its own for probes.
TEST_F(AgentTest, TellsHowItIsAtItsOwnSocket) {
  paths_.probeSocket = directory_ + "/one.sock";
  auto one = agent("{vfs: 4}");
  ASSERT_TRUE(one.has_value() && (*one)->start().has_value());
  const auto state = askProbes(directory_ + "/one.sock");
  ASSERT_TRUE(state.has_value()) << state.error().message;
  EXPECT_EQ(state->notLive, "");
  EXPECT_THAT(state->notReady, HasSubstr("nvidia.com/cx7_qsfp"));  // there is no kubelet
  // Another one that does not come to serve answers for itself, and not for this one.
  paths_.probeSocket = directory_ + "/two.sock";
  auto two = agent("{vfs: 4}");
  ASSERT_TRUE(two.has_value());
  EXPECT_FALSE((*two)->start().has_value());
  EXPECT_FALSE(askProbes(directory_ + "/two.sock").has_value());
  EXPECT_TRUE(askProbes(directory_ + "/one.sock").has_value());
}

TEST_F(AgentTest, WhatTheKernelTellsIsSeenAtOnce) {
  auto started = agent("{vfs: 4}");
  ASSERT_TRUE(started.has_value() && (*started)->start().has_value());
  const auto why = [&] {
    const auto json = nlohmann::json::parse((*started)->statusJson());
    return json["resources"][0]["devices"][0].value("reason", "");
  };
  EXPECT_EQ(why(), "");
  kernel_->setCarrier("enp1s0f0np0", false);
  events_.tell("link enp1s0f0np0: up, no carrier");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(8);
  while (why().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_THAT(why(), HasSubstr("enp1s0f0np0 (0000:01:00.0) has no carrier"));
}

TEST_F(AgentTest, TakesANewConfigurationOverWhileServing) {
  const auto config = [](const std::string& rest) {
    return *parseConfig("version: 1\ntwins: [[enp1s0f0np0, enP2p1s0f0np0]]\n" + rest, "f");
  };
  auto started = agent("{vfs: 2}");
  ASSERT_TRUE(started.has_value() && (*started)->start().has_value());
  const auto offered = [&] {
    std::vector<std::string> offers;
    const auto status = nlohmann::json::parse((*started)->statusJson());
    for (const auto& one : status["resources"]) {
      offers.push_back(one["name"].get<std::string>() + " " +
                       std::to_string(one["devices"].size()));
    }
    return offers;
  };
  const auto becomes = [&](const std::vector<std::string>& wanted) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(8);
    while (offered() != wanted && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    return offered();
  };
  const std::vector<std::string> first{"nvidia.com/cx7_qsfp 2"};
  EXPECT_EQ(becomes(first), first);  // the look that follows provisioning

  const auto taken = (*started)->reconfigure(
      config("provision: {pfs: [{vfs: 4}]}\nresources: [{name: nvidia.com/rail, kind: rail, "
             "select: {pfNames: ['enp1s0f0np0#0-2']}}, {name: nvidia.com/cx7_qsfp}]"));
  ASSERT_TRUE(taken.has_value()) << taken.error().describe();
  EXPECT_EQ(becomes({"nvidia.com/rail 3", "nvidia.com/cx7_qsfp 1"}),
            (std::vector<std::string>{"nvidia.com/rail 3", "nvidia.com/cx7_qsfp 1"}));

  // What takes a restart is refused, and nothing of that file is taken over.
  const auto refused =
      (*started)->reconfigure(config("node: {ordinal: 1}\nresources: [{name: nvidia.com/other}]"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("node is different"));
  EXPECT_EQ(offered().size(), 2U);
}

TEST_F(AgentTest, CdiSpecificationsFollowTheConfiguration) {
  const auto config = [](const std::string& rest) {
    return *parseConfig(
        "version: 1\nprovision: {pfs: [{vfs: 2}]}\ntwins: [[enp1s0f0np0, "
        "enP2p1s0f0np0]]\nresources: [" +
            rest + "]\n",
        "f");
  };
  auto& files = kernel_->files();
  const std::string stale = paths_.cdi + "/railhead-nvidia.com_old.json";
  const std::string ours = paths_.cdi + "/railhead-nvidia.com_cx7_qsfp.json";
  kernel_->memory().put(stale, "{}");
  kernel_->memory().put(paths_.cdi + "/nvidia.yaml", "kind: nvidia.com/gpu\n");
  auto started = agent("{vfs: 2}");
  ASSERT_TRUE(started.has_value() && (*started)->start().has_value());
  EXPECT_FALSE(files.exists(stale));
  EXPECT_FALSE(files.exists(ours));
  const auto comes = [&](bool there) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(8);
    while (files.exists(ours) != there && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    return files.exists(ours) == there;
  };
  ASSERT_TRUE(
      (*started)->reconfigure(config("{name: nvidia.com/cx7_qsfp, cdi: true}")).has_value());
  EXPECT_TRUE(comes(true));
  // It outlives the agent: containers of running pods are restarted with it.
  (*started)->stop();
  EXPECT_TRUE(files.exists(ours));
  EXPECT_TRUE(files.exists(paths_.cdi + "/nvidia.yaml"));
}

TEST_F(AgentTest, TellsOfGpusAndLetsGoOfThemWhenSwitchedOff) {
  testing_support::NvmlFixture driver("gb10-spark");
  gpus_ = std::make_unique<gpu::GpuLibrary>(gpu::GpuLibraryOptions{{driver.library()}, ""});
  auto started = agent("{vfs: 2}");
  ASSERT_TRUE(started.has_value() && (*started)->start().has_value());
  nlohmann::json gpus;
  const auto becomes = [&](const char* state) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(8);
    do {
      gpus = nlohmann::json::parse((*started)->statusJson())["gpus"];
    } while (gpus["state"] != state && std::chrono::steady_clock::now() < deadline);
    return gpus["state"] == state;
  };
  ASSERT_TRUE(becomes("offered")) << gpus;
  EXPECT_EQ(gpus["driver"], "580.95.05");
  EXPECT_EQ(gpus["cuda"], "13.0");
  EXPECT_EQ(gpus["resources"][0]["name"], "nvidia.com/gpu");
  const auto& device = gpus["resources"][0]["devices"][0];
  EXPECT_EQ(device["id"], "GPU-00000000-3000-4000-8000-000000000000");
  EXPECT_EQ(device["healthy"], true);
  const auto off = (*started)->reconfigure(
      *parseConfig("version: 1\nfunctions: {gpus: false}\nprovision: {pfs: [{vfs: 2}]}\n"
                   "twins: [[enp1s0f0np0, enP2p1s0f0np0]]\n",
                   "f"));
  ASSERT_TRUE(off.has_value()) << off.error().describe();
  EXPECT_TRUE(becomes("off"));
  EXPECT_EQ(driver.sessions(), 0);
}

TEST_F(AgentTest, WritesThatWereInterruptedLeaveNothing) {
  const std::string left = paths_.state + "/.autoprobe-0000:01:00.0.tmp651.0";
  kernel_->memory().put(left, "1");
  auto started = agent("{vfs: 4}");
  ASSERT_TRUE(started.has_value() && (*started)->start().has_value());
  EXPECT_FALSE(kernel_->files().exists(left));
}

TEST_F(AgentTest, AGoalThatCannotBeMetIsToldAndTheRestServes) {
  auto wrong = agent("{select: {name: nosuch0}, vfs: 4}");
  ASSERT_TRUE(wrong.has_value());
  ASSERT_TRUE((*wrong)->start().has_value());
  EXPECT_TRUE(askStatus(paths_).has_value());
  (*wrong)->stop();
  EXPECT_THAT(log_.text(), HasSubstr("nosuch0"));
  EXPECT_EQ(*kernel_->files().readTrimmed("/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"), "0");
}

TEST_F(AgentTest, ATwinThatIsNotThereIsNamedOnceAndTheRestIsOffered) {
  kernel_->addPf(
      {.pci = "0000:03:00.0", .netdev = "eth7", .mac = "52:54:00:00:03:00", .rdma = true});
  auto wrong = agent("{vfs: 4}", "enp9s0");
  ASSERT_TRUE(wrong.has_value());
  ASSERT_TRUE((*wrong)->start().has_value());
  const auto status = statusOf(**wrong);
  EXPECT_EQ(status["resources"][0]["devices"].size(), 8U) << "of the PFs that no rule names";
  EXPECT_EQ(status["withheld"].size(), 4U);
  EXPECT_THAT(status["withheld"][0].value("reason", ""), HasSubstr("names 'enp9s0': no such PF"));
  // Somebody who changes the pairs of a running node means PFs that it has.
  const auto refused =
      (*wrong)->reconfigure(*parseConfig("version: 1\ntwins: [[enp1s0f0np0, nosuch0]]\n", "f"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("'nosuch0'"));
  (*wrong)->stop();
  const std::string told = log_.text();
  const auto first = told.find("enp9s0");
  ASSERT_NE(first, std::string::npos) << told;
  EXPECT_EQ(told.find("enp9s0", told.find('\n', first)), std::string::npos) << told;
}

}  // namespace
}  // namespace railhead::agent
