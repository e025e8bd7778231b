// A Kubernetes API server to test against: plain HTTP/1.1 on a loopback port, stateful objects with
// resourceVersions, list (limit, continue), watch (bookmarks, 410), create, merge patch, and faults
// on demand. Objects survive stop() and restart(). Paths are those of the API:
// "/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions/a". Thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace railhead::testing_support {

// What happens to the next requests instead of an answer.
struct ApiFault {
  enum class Kind {
    kStatus,    // answers `status`
    kHang,      // reads the request and says nothing more
    kTruncate,  // closes in the middle of the body
    kBody,      // 200 with `body`
    kClose,     // closes without an answer
    kNoReply,   // carries the request out, then closes without an answer
  };
  Kind kind = Kind::kStatus;
  std::string method;  // empty: any; "WATCH" for a watch
  std::string path;    // part of the target; empty: any
  int times = 1;       // -1: until clearFaults()
  int status = 500;
  std::string body;
};

class FakeApiServer {
 public:
  static Result<std::unique_ptr<FakeApiServer>> start();
  ~FakeApiServer() { stop(); }
  FakeApiServer(const FakeApiServer&) = delete;
  FakeApiServer& operator=(const FakeApiServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // Only kinds that were added exist; others are 404. `root`: "/api/v1", "/apis/GROUP/VERSION".
  void addKind(const std::string& root, const std::string& plural);
  void removeKind(const std::string& root, const std::string& plural);
  // The same, and discovery (GET of "/api", "/apis", and `root`) tells of it.
  void describeKind(const std::string& root, const std::string& plural, const std::string& kind,
                    bool namespaced);
  // Creates or replaces; name and namespace of `path` are written into the object.
  void put(const std::string& path, const std::string& object);
  void remove(const std::string& path);
  std::optional<std::string> object(const std::string& path);
  std::vector<std::string> names(const std::string& collection);  // of its objects, sorted

  void requireToken(const std::string& token);  // others are 401
  void fail(ApiFault fault);
  void clearFaults();  // hanging requests are closed
  // Forgets the history: older resourceVersions and continue tokens are 410 from now on.
  void forgetHistory();
  void dropHistory();                           // later watches begin with what is sent later
  void bookmark();                              // to every watch
  void sendToWatches(const std::string& line);  // as it is
  void endWatches();                            // closes them

  void stop();  // closes everything, joins; the port stays reserved for restart()
  Result<void> restart();

  // How many requests with this method ("WATCH" for watches) and part of the target have come.
  int requests(const std::string& method, const std::string& part);
  // Until that many have come, or are open; false after 20 s.
  bool waitForRequests(const std::string& method, const std::string& part, int count);
  bool waitForWatches(int open);
  int connections();  // accepted so far

 private:
  struct Request {
    std::string method;
    std::string target;
    std::string path;
    std::map<std::string, std::string> query;
    std::map<std::string, std::string> headers;  // lower-case names
    std::string body;
  };
  struct Place {       // of a path
    std::string kind;  // root + plural
    std::string podNamespace;
    std::string name;
    std::string subresource;
    std::string key() const { return kind + "|" + podNamespace + "|" + name; }
  };
  struct Change {
    std::uint64_t version;
    std::string kind;
    std::string podNamespace;
    std::string line;
  };
  struct Answer {
    int status = 200;
    std::string body;
  };

  struct Described {
    std::string kind;
    bool namespaced = false;
  };

  FakeApiServer() = default;
  Result<void> listen();
  void accept();
  void serve(int fd);
  bool receive(int fd, std::string& buffer, Request& request);
  bool answer(int fd, const Request& request);  // false: close
  void hold(int fd, std::unique_lock<std::mutex>& lock);
  void watch(int fd, const Request& request, const Place& place,
             std::unique_lock<std::mutex>& lock);
  std::optional<ApiFault> faultFor(const Request& request);
  std::optional<Place> placeOf(const std::string& path) const;
  std::optional<std::string> discovery(const std::string& path) const;  // with mutex_ held
  Answer carryOut(const Request& request, const Place& place);
  Answer list(const Request& request, const Place& place);
  Answer create(const Request& request, const Place& place);
  Answer patch(const Request& request, const std::string& key);
  std::string store(const std::string& key, const Place& place, std::string object,
                    const char* type);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint16_t port_ = 0;
  os::UniqueFd listener_;
  std::thread accepting_;
  std::list<std::thread> serving_;
  std::set<int> open_;  // connections
  bool stopping_ = false;
  int accepted_ = 0;

  std::set<std::string> kinds_;
  std::map<std::string, std::map<std::string, Described>> described_;  // by root, by plural
  std::map<std::string, std::string> objects_;                         // by "kind|namespace|name"
  std::uint64_t version_ = 100;
  std::uint64_t forgotten_ = 0;  // versions up to this
  std::vector<Change> history_;
  std::size_t dropped_ = 0;  // changes that came before those
  std::string token_;
  std::list<ApiFault> faults_;
  int faultEpoch_ = 0;
  int watchEpoch_ = 0;
  int watches_ = 0;
  std::vector<std::string> seen_;  // "METHOD target"
};

}  // namespace railhead::testing_support
