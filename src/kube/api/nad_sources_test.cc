// NADs from a server that comes and goes, from files, and over a restart of the agent.
#include "src/kube/api/nad_sources.h"

#include "tests/support/fake_api_server/fake_api_server.h"
#include "tests/support/memory_filesystem.h"

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing_support::ApiFault;
using testing_support::FakeApiServer;
using testing_support::MemoryFilesystem;

constexpr const char* kRoot = "/apis/k8s.cni.cncf.io/v1";
constexpr const char* kPlural = "network-attachment-definitions";
const std::string kPath = std::string(kRoot) + "/namespaces/default/" + kPlural;
const std::string kObject = R"({"spec":{"config":"{}"}})";
constexpr PauseLimits kQuick{std::chrono::milliseconds(1), std::chrono::milliseconds(4)};

// Between two looks at a store, which tells nobody that it changed.
void rest() {
  const Cancel never = std::move(*Cancel::create());
  static_cast<void>(never.waitFor(std::chrono::milliseconds(10)));
}

// The problems that were told.
class Witness {
 public:
  NadProblem problem() {
    return [this](const Error& error) {
      const std::lock_guard lock(mutex_);
      problems_.push_back(error.describe());
      changed_.notify_all();
    };
  }
  bool waitForProblem(const std::string& part) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] {
      for (const auto& one : problems_) {
        if (one.find(part) != std::string::npos) return true;
      }
      return false;
    });
  }
  std::vector<std::string> problems() {
    const std::lock_guard lock(mutex_);
    return problems_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> problems_;
};

class NadSourcesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    files.putDirectory("/run/railhead");
    server = std::move(*FakeApiServer::start());
    server->addKind(kRoot, kPlural);
    files.put("/token", "t");
    open({});
  }
  void open(ApiServerLimits limits) {
    watch.reset();
    api = std::move(*openApiServer({server->url(), "/token", ""}, files, limits));
  }
  void start() { watch = std::move(*NadWatch::start(*api, store, witness.problem(), kQuick)); }
  // Until the store names exactly these of namespace default.
  bool waitUntilKnown(const std::string& name) {
    for (int i = 0; i < 2000; ++i) {
      const auto names = store.names();
      if (std::find(names.begin(), names.end(), name) != names.end()) return true;
      rest();
    }
    return false;
  }
  bool waitFor(const std::vector<std::string>& names) {
    std::vector<std::string> wanted;
    for (const auto& name : names) wanted.push_back("default/" + name);
    for (int i = 0; i < 2000; ++i) {
      if (store.names() == wanted && store.knowledge() == NadStore::Knowledge::kListed) return true;
      rest();
    }
    return false;
  }

  Witness witness;
  MemoryFilesystem files;
  NadStore store{files, "/run/railhead/nads.json"};
  std::unique_ptr<FakeApiServer> server;
  std::unique_ptr<ApiServer> api;
  std::unique_ptr<NadWatch> watch;
};

TEST_F(NadSourcesTest, FollowsTheApiServer) {
  EXPECT_EQ(store.knowledge(), NadStore::Knowledge::kNothing);
  server->put(kPath + "/a", kObject);
  start();
  ASSERT_TRUE(waitFor({"a"}));
  server->put(kPath + "/b", kObject);
  ASSERT_TRUE(waitFor({"a", "b"}));
  server->remove(kPath + "/a");
  ASSERT_TRUE(waitFor({"b"}));
  EXPECT_EQ(store.find("default", "b")->config, "{}");
  EXPECT_FALSE(store.find("default", "a"));
  EXPECT_EQ(server->requests("GET", kPlural), 1) << "listed once";
}

TEST_F(NadSourcesTest, ListsAgainWhenItsPlaceIsForgotten) {
  server->put(kPath + "/a", kObject);
  start();
  ASSERT_TRUE(server->waitForWatches(1));
  server->fail({.kind = ApiFault::Kind::kClose, .method = "WATCH"});  // while it does not look
  server->remove(kPath + "/a");
  server->put(kPath + "/b", kObject);
  server->forgetHistory();
  server->endWatches();
  ASSERT_TRUE(waitFor({"b"}));
}

TEST_F(NadSourcesTest, GoesOnAfterARestartOfTheServer) {
  server->put(kPath + "/a", kObject);
  start();
  ASSERT_TRUE(server->waitForWatches(1));
  server->stop();
  ASSERT_TRUE(witness.waitForProblem("API server"));
  EXPECT_TRUE(store.find("default", "a")) << "what was known stays";
  server->put(kPath + "/b", kObject);
  ASSERT_TRUE(server->restart().has_value());
  ASSERT_TRUE(waitFor({"a", "b"}));
  EXPECT_EQ(server->requests("GET", kPlural), 1) << "the watch went on from its place";
}

TEST_F(NadSourcesTest, GoesOnAfterAStall) {
  open({.watchTime = std::chrono::seconds(0),
        .watchGrace = std::chrono::milliseconds(100),
        .maxEvent = 10000});
  server->fail({.kind = ApiFault::Kind::kHang, .method = "WATCH"});
  start();
  ASSERT_TRUE(server->waitForRequests("WATCH", "", 2));
  server->put(kPath + "/a", kObject);
  ASSERT_TRUE(waitFor({"a"}));
}

TEST_F(NadSourcesTest, GoesOnAfterWhatCannotBeRead) {
  open({.maxEvent = 10000});
  const std::vector<std::pair<std::string, std::string>> table{
      {"garbage\n", "not valid JSON"}, {std::string(20000, 'x'), "longer than"}};
  for (const auto& [sent, problem] : table) {
    server->dropHistory();
    start();
    ASSERT_TRUE(server->waitForWatches(1));
    server->sendToWatches(sent);
    ASSERT_TRUE(witness.waitForProblem(problem));
    server->dropHistory();
    server->put(kPath + "/after-" + std::to_string(sent.size()), kObject);
    ASSERT_TRUE(waitUntilKnown("default/after-" + std::to_string(sent.size())));
    watch.reset();
    ASSERT_TRUE(server->waitForWatches(0));
  }
}

TEST_F(NadSourcesTest, TakesANewTokenAfterARefusal) {
  server->requireToken("new");
  start();
  ASSERT_TRUE(witness.waitForProblem("does not know the token"));
  files.put("/token", "new");
  ASSERT_TRUE(waitFor({}));
}

TEST_F(NadSourcesTest, WaitsForTheKindWithoutAProblem) {
  server->removeKind(kRoot, kPlural);
  start();
  ASSERT_TRUE(waitFor({}));
  server->put(kPath + "/a", kObject);
  server->addKind(kRoot, kPlural);
  ASSERT_TRUE(waitFor({"a"}));
  EXPECT_THAT(witness.problems(), IsEmpty());
}

TEST_F(NadSourcesTest, LeavesOutWhatCannotBeUsed) {
  server->put(kPath + "/a", kObject);
  server->put(kPath + "/b", R"({"spec":{"config":7}})");
  start();
  ASSERT_TRUE(waitFor({"a"}));
  ASSERT_TRUE(witness.waitForProblem("config is '7'"));
  server->put(kPath + "/a", R"({"spec":{"config":8}})");
  ASSERT_TRUE(witness.waitForProblem("config is '8'"));
  EXPECT_EQ(store.find("default", "a")->config, "{}") << "the one before stays";
}

TEST_F(NadSourcesTest, StopsInEveryState) {
  start();  // watching
  ASSERT_TRUE(server->waitForWatches(1));
  watch.reset();
  server->fail({.kind = ApiFault::Kind::kHang, .times = -1});
  start();  // in a list that hangs
  ASSERT_TRUE(server->waitForRequests("GET", kPlural, 2));
  watch.reset();
  server->stop();
  watch = std::move(*NadWatch::start(*api, store, witness.problem(),
                                     {std::chrono::hours(1), std::chrono::hours(1)}));
  ASSERT_TRUE(witness.waitForProblem("API server"));  // in the pause after a failure
  watch.reset();
}

TEST_F(NadSourcesTest, StoreOutlivesTheAgent) {
  server->put(kPath + "/a", kObject);
  start();
  ASSERT_TRUE(waitFor({"a"}));
  watch.reset();
  server->stop();
  NadStore next(files, "/run/railhead/nads.json");
  ASSERT_TRUE(next.recall().has_value());
  EXPECT_EQ(next.knowledge(), NadStore::Knowledge::kRemembered);
  EXPECT_THAT(next.names(), ElementsAre("default/a"));
  files.put("/run/railhead/nads.json", "{");
  NadStore third(files, "/run/railhead/nads.json");
  EXPECT_EQ(third.recall().error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(third.knowledge(), NadStore::Knowledge::kNothing);
  NadStore fourth(files, "/run/railhead/none.json");
  EXPECT_TRUE(fourth.recall().has_value());
}

TEST(NadStore, IsBoundedAndServesWithoutItsFile) {
  MemoryFilesystem files(
      [](const std::string&) -> Result<void> { return Error(ErrorCode::kExhausted, "no space"); });
  NadStore store(files, "/run/railhead/nads.json");
  EXPECT_EQ(store.put({"a", "b", "", ""}).error().message, "no space");
  EXPECT_TRUE(store.find("a", "b"));
  MemoryFilesystem good;
  good.putDirectory("/run/railhead");
  NadStore full(good, "/run/railhead/nads.json");
  std::vector<Nad> many;
  for (std::size_t i = 0; i <= kMaxNads; ++i) many.push_back({"a", std::to_string(i), "", ""});
  EXPECT_EQ(full.replaceAll(many).error().code, ErrorCode::kExhausted);
  EXPECT_EQ(full.names().size(), kMaxNads);
  EXPECT_EQ(full.put({"b", "x", "", ""}).error().code, ErrorCode::kExhausted);
  EXPECT_TRUE(full.put({"a", "1", "", "{}"}).has_value()) << "a change of a known one";
}

class NadFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    state.putDirectory("/run/railhead");
    std::string pattern = (std::filesystem::temp_directory_path() / "nadsXXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder = pattern;
  }
  void TearDown() override {
    source.reset();
    std::filesystem::remove_all(folder);
  }
  void write(const std::string& file, const std::string& name) const {
    std::ofstream(folder + "/" + file)
        << "kind: NetworkAttachmentDefinition\nmetadata: {name: " << name << "}\n";
  }
  bool waitFor(const std::vector<std::string>& names) const {
    for (int i = 0; i < 2000 && store.names() != names; ++i) {
      rest();
    }
    return store.names() == names;
  }

  std::string folder;
  std::unique_ptr<os::Filesystem> disk = std::move(*os::RootedFilesystem::open("/"));
  MemoryFilesystem state;
  NadStore store{state, "/run/railhead/nads.json"};
  Witness witness;
  std::unique_ptr<NadFolder> source;
};

TEST_F(NadFolderTest, FollowsTheFiles) {
  write("a.yaml", "one");
  write("notes.txt", "ignored");
  source = std::move(*NadFolder::start(*disk, folder, store, witness.problem()));
  EXPECT_THAT(store.names(), ElementsAre("default/one"));
  write("b.yml", "two");
  EXPECT_TRUE(waitFor({"default/one", "default/two"}));
  std::ofstream(folder + "/c.json") << "{\"kind\":";
  EXPECT_TRUE(witness.waitForProblem("c.json"));
  std::filesystem::remove(folder + "/a.yaml");
  EXPECT_TRUE(waitFor({"default/two"}));
}

TEST_F(NadFolderTest, AFileThatCannotBeReadLeavesTheOthersAlone) {
  MemoryFilesystem files;
  const std::string nad = "kind: NetworkAttachmentDefinition\nmetadata: {name: ";
  files.put("/nads/a.yaml", nad + "one}\n");
  files.put("/nads/big.yaml", std::string((2U << 20) + 1, ' '));
  files.putLink("/nads/c.yaml", "/elsewhere/real");
  files.put("/elsewhere/real", nad + "three}\n");
  files.putDirectory("/nads/folder.yaml");
  source = std::move(*NadFolder::start(files, "/nads", store, witness.problem()));
  EXPECT_THAT(store.names(), ElementsAre("default/one", "default/three"));
  EXPECT_TRUE(witness.waitForProblem("big.yaml"));
  source.reset();  // before the files that it reads
}

TEST_F(NadFolderTest, WaitsForItsFolder) {
  const std::string real = folder;
  source = std::move(*NadFolder::start(*disk, real + "/later", store, witness.problem()));
  EXPECT_EQ(store.knowledge(), NadStore::Knowledge::kListed);
  std::filesystem::create_directory(real + "/later");
  folder = real + "/later";
  write("a.yaml", "one");
  EXPECT_TRUE(waitFor({"default/one"}));
  folder = real;
}

}  // namespace
}  // namespace railhead::kube
