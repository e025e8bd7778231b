#include "src/kube/api/api_server.h"

#include "tests/support/fake_api_server/fake_api_server.h"
#include "tests/support/memory_filesystem.h"

#include <future>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing_support::ApiFault;
using testing_support::FakeApiServer;

constexpr const char* kThingsRoot = "/apis/g.example/v1";
constexpr const char* kFolder = "/var/run/secrets/kubernetes.io/serviceaccount";
const Collection kThings{"g.example", "v1", "things", "default"};
const std::string kThingsPath = std::string(kThingsRoot) + "/namespaces/default/things";

class ApiServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server = std::move(*FakeApiServer::start());
    server->addKind(kThingsRoot, "things");
    files.put("/token", "first\n");
    open({});
  }

  void open(ApiServerLimits limits) {
    auto opened = openApiServer({server->url(), "/token", ""}, files, limits);
    ASSERT_TRUE(opened.has_value()) << opened.error().describe();
    api = std::move(*opened);
  }

  ErrorCode getCode() {
    const auto got = api->get({kThings, "a"}, cancel);
    return got.has_value() ? ErrorCode::kInternal : got.error().code;
  }

  std::unique_ptr<FakeApiServer> server;
  testing_support::MemoryFilesystem files;
  Cancel cancel = std::move(*Cancel::create());
  std::unique_ptr<ApiServer> api;
};

TEST_F(ApiServerTest, CreatesGetsAndPatches) {
  const std::string object = R"({"metadata":{"name":"a"},"spec":{"x":1}})";
  EXPECT_THAT(api->create(kThings, object, cancel).value(), HasSubstr("resourceVersion"));
  EXPECT_EQ(api->create(kThings, object, cancel).error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(api->mergePatch({kThings, "a"}, R"({"spec":{"x":2}})", cancel).value(),
              HasSubstr(R"("x":2)"));
  EXPECT_THAT(api->get({kThings, "a"}, cancel).value(), HasSubstr(R"("x":2)"));
  EXPECT_EQ(api->mergePatch({kThings, "a"}, R"({"metadata":{"resourceVersion":"1"}})", cancel)
                .error()
                .code,
            ErrorCode::kBusy);
  EXPECT_EQ(api->get({kThings, "b"}, cancel).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(server->connections(), 1) << "a connection is kept for the next call";
}

TEST_F(ApiServerTest, ListsPageByPage) {
  open({.pageSize = 2});
  for (const char* name : {"/a", "/b", "/c", "/d", "/e"}) server->put(kThingsPath + name, "{}");
  const auto list = api->list(kThings, cancel);
  ASSERT_TRUE(list.has_value()) << list.error().describe();
  EXPECT_THAT(list->objects, SizeIs(5));
  EXPECT_EQ(list->resourceVersion, "105");
  EXPECT_EQ(server->requests("GET", "continue="), 2);
}

TEST_F(ApiServerTest, ListsAgainWhenTheServerForgetsOnTheWay) {
  open({.pageSize = 2});
  for (const char* name : {"/a", "/b", "/c"}) server->put(kThingsPath + name, "{}");
  server->fail({.path = "continue=", .status = 410});
  EXPECT_THAT(api->list(kThings, cancel)->objects, SizeIs(3));
  server->fail({.path = "continue=", .times = 2, .status = 410});
  EXPECT_EQ(api->list(kThings, cancel).error().code, ErrorCode::kNotFound);
}

TEST_F(ApiServerTest, BoundsListsAndAnswers) {
  open({.maxBody = 2000, .pageSize = 2, .maxObjects = 3});
  for (const char* name : {"/a", "/b", "/c", "/d"}) server->put(kThingsPath + name, "{}");
  EXPECT_EQ(api->list(kThings, cancel).error().code, ErrorCode::kExhausted);
  server->put(kThingsPath + "/a", R"({"spec":")" + std::string(3000, 'x') + "\"}");
  EXPECT_EQ(getCode(), ErrorCode::kExhausted);
  EXPECT_TRUE(api->get({kThings, "b"}, cancel).has_value()) << "the next call works";
}

TEST_F(ApiServerTest, NamesTheRightThatIsMissing) {
  server->fail({.times = -1, .status = 403});
  const auto error = api->create(kThings, "{}", cancel).error();
  EXPECT_EQ(error.code, ErrorCode::kPermissionDenied);
  EXPECT_THAT(error.remedy,
              HasSubstr("grant the verb 'create' on things.g.example in namespace default"));
  EXPECT_THAT(api->mergePatch({kThings, "a"}, "{}", cancel, "status").error().remedy,
              HasSubstr("'patch' on things/status.g.example"));
  EXPECT_THAT(api->watch(kThings, "1", {}, cancel).error().remedy, HasSubstr("'watch'"));
}

TEST_F(ApiServerTest, ClassesFailures) {
  const std::vector<std::pair<int, ErrorCode>> table{
      {400, ErrorCode::kInvalidArgument}, {401, ErrorCode::kPermissionDenied},
      {404, ErrorCode::kNotFound},        {409, ErrorCode::kBusy},
      {422, ErrorCode::kInvalidArgument}, {429, ErrorCode::kUnavailable},
      {500, ErrorCode::kUnavailable},     {503, ErrorCode::kUnavailable},
      {504, ErrorCode::kDeadlineExceeded}};
  for (const auto& [status, code] : table) {
    server->fail({.status = status});
    EXPECT_EQ(getCode(), code) << status;
  }
  server->fail({.status = 302});
  EXPECT_EQ(getCode(), ErrorCode::kInvalidArgument) << "a redirect is not followed";
  for (const char* body : {"", "[]", "{", "\xff\xfe", "<html>"}) {
    server->fail({.kind = ApiFault::Kind::kBody, .body = body});
    EXPECT_EQ(getCode(), ErrorCode::kCorrupt) << body;
  }
  server->put(kThingsPath + "/a", "{}");
  server->fail({.kind = ApiFault::Kind::kTruncate});
  EXPECT_EQ(getCode(), ErrorCode::kUnavailable);
  server->stop();
  EXPECT_EQ(getCode(), ErrorCode::kUnavailable);
}

TEST_F(ApiServerTest, TakesANewTokenAtOnce) {
  server->put(kThingsPath + "/a", "{}");
  server->requireToken("first");
  EXPECT_TRUE(api->get({kThings, "a"}, cancel).has_value());
  server->requireToken("second");
  EXPECT_EQ(getCode(), ErrorCode::kPermissionDenied);
  files.put("/token", "second");
  EXPECT_TRUE(api->get({kThings, "a"}, cancel).has_value());
  files.put("/token", "two words");
  EXPECT_EQ(getCode(), ErrorCode::kInvalidArgument);
  files.erase("/token");
  EXPECT_EQ(getCode(), ErrorCode::kNotFound);
}

TEST_F(ApiServerTest, EndsACallAtItsDeadline) {
  open({.callDeadline = std::chrono::milliseconds(50)});
  server->fail({.kind = ApiFault::Kind::kHang, .times = -1});
  EXPECT_EQ(getCode(), ErrorCode::kDeadlineExceeded);
  server->clearFaults();
}

TEST_F(ApiServerTest, EndsACallWhenCancelled) {
  server->fail({.kind = ApiFault::Kind::kHang, .times = -1});
  auto call = std::async(std::launch::async, [&] { return getCode(); });
  ASSERT_TRUE(server->waitForRequests("GET", "/a", 1));
  cancel.cancel();
  EXPECT_EQ(call.get(), ErrorCode::kUnavailable);
  EXPECT_EQ(getCode(), ErrorCode::kUnavailable) << "and each later one";
}

TEST_F(ApiServerTest, WatchesUntilTheServerEndsIt) {
  server->put(kThingsPath + "/a", "{}");
  std::vector<std::string> seen;
  const auto handler = [&](const WatchEvent& event) -> Result<void> {
    seen.push_back(std::to_string(static_cast<int>(event.kind)) + ":" + event.resourceVersion);
    if (seen.size() == 4) server->endWatches();
    return {};
  };
  auto watch =
      std::async(std::launch::async, [&] { return api->watch(kThings, "100", handler, cancel); });
  ASSERT_TRUE(server->waitForWatches(1));
  server->put(kThingsPath + "/a", R"({"spec":1})");
  server->bookmark();
  server->remove(kThingsPath + "/a");
  EXPECT_EQ(watch.get().value(), WatchEnd::kClosed);
  EXPECT_THAT(seen, ElementsAre("0:101", "1:102", "3:102", "2:103"));
}

TEST_F(ApiServerTest, TellsWhenAVersionIsForgotten) {
  server->forgetHistory();
  EXPECT_EQ(api->watch(kThings, "100", {}, cancel).value(), WatchEnd::kExpired);
  server->fail({.method = "WATCH", .status = 410});
  EXPECT_EQ(api->watch(kThings, "101", {}, cancel).value(), WatchEnd::kExpired);
}

TEST_F(ApiServerTest, EndsAWatchThatSendsNonsense) {
  open({.maxEvent = 1000});
  const std::vector<std::pair<std::string, ErrorCode>> table{
      {"garbage\n", ErrorCode::kCorrupt},
      {"{\"type\":\"ADDED\"}\n", ErrorCode::kCorrupt},
      {"{\"type\":\"WHAT\",\"object\":{}}\n", ErrorCode::kCorrupt},
      {"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":7}}}\n",
       ErrorCode::kCorrupt},
      {"{\"type\":\"ERROR\",\"object\":{\"code\":500,\"message\":\"etcd\"}}\n",
       ErrorCode::kUnavailable},
      {std::string(1001, '{'), ErrorCode::kExhausted}};
  for (const auto& [line, code] : table) {
    server->forgetHistory();
    auto watch = std::async(std::launch::async, [&] {
      return api->watch(
          kThings, "1000000", [](const auto&) { return Result<void>(); }, cancel);
    });
    ASSERT_TRUE(server->waitForWatches(1));
    server->sendToWatches(line);
    EXPECT_EQ(watch.get().error().code, code) << line.substr(0, 60);
    ASSERT_TRUE(server->waitForWatches(0));
    server->dropHistory();
  }
}

TEST_F(ApiServerTest, EndsAWatchThatStalls) {
  open({.watchTime = std::chrono::seconds(0), .watchGrace = std::chrono::milliseconds(50)});
  server->fail({.kind = ApiFault::Kind::kHang, .times = -1});
  EXPECT_EQ(api->watch(kThings, "100", {}, cancel).error().code, ErrorCode::kDeadlineExceeded);
  server->clearFaults();
}

TEST_F(ApiServerTest, RefusesAUrlThatIsNone) {
  for (const char* url : {"", "ftp://x", "https://", "https://a b", "https://a/b", "https://u@h",
                          "http://10.0.0.1:8080"}) {
    const auto opened = openApiServer({url, "/token", ""}, files);
    ASSERT_FALSE(opened.has_value()) << url;
    EXPECT_EQ(opened.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(opened.error().message, HasSubstr("allowed:"));
  }
  EXPECT_TRUE(openApiServer({"https://[fd00::1]:6443/", "/token", ""}, files).has_value());
}

TEST_F(ApiServerTest, ReadsWhatAPodIsGiven) {
  std::map<std::string, std::string> environment;
  EXPECT_EQ(inClusterConfig(environment, files, kFolder).error().code, ErrorCode::kEnvironment);
  environment = {{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "443"}};
  EXPECT_EQ(inClusterConfig(environment, files, kFolder).error().code, ErrorCode::kEnvironment);
  for (const char* file : {"token", "ca.crt"}) files.put(std::string(kFolder) + "/" + file, "x");
  files.put(std::string(kFolder) + "/namespace", "railhead");
  EXPECT_EQ(inClusterConfig(environment, files, kFolder)->url, "https://[fd00::1]:443");
  EXPECT_EQ(inClusterNamespace(files, kFolder).value(), "railhead");
  environment["KUBERNETES_SERVICE_PORT"] = "70000";
  EXPECT_EQ(inClusterConfig(environment, files, kFolder).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace railhead::kube
