// The Kubernetes API server as far as the agent needs it: objects as JSON text, every call with a
// deadline, every body bounded. One real implementation, over libcurl that is loaded when the first
// one is opened; its counterpart in tests is a server (tests/support/fake_api_server).
#pragma once

#include "src/base/result.h"
#include "src/kube/api/cancel.h"
#include "src/os/filesystem.h"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::kube {

// All objects of one kind, in one namespace or in the cluster.
struct Collection {
  std::string group;         // "k8s.cni.cncf.io"; empty: the core group
  std::string version;       // "v1"
  std::string plural;        // "network-attachment-definitions"
  std::string podNamespace;  // empty: of every namespace, or a kind without namespaces

  std::string toString() const;  // "network-attachment-definitions.k8s.cni.cncf.io in default"
};

struct ObjectName {
  Collection collection;
  std::string name;
};

struct ApiServerConfig {
  std::string url;        // "https://10.96.0.1:443"
  std::string tokenFile;  // read for every call, so that a new token holds at once; empty: none
  std::string caFile;     // PEM; empty: the certificates that the machine trusts
};

struct ApiServerLimits {
  std::chrono::milliseconds callDeadline{10000};
  std::chrono::milliseconds connectDeadline{5000};
  std::chrono::seconds watchTime{300};          // after which a server ends a watch
  std::chrono::milliseconds watchGrace{15000};  // then we do
  std::size_t maxBody = 4U << 20;               // bytes of one answer
  std::size_t maxEvent = 2U << 20;              // bytes of one event of a watch
  std::size_t pageSize = 100;                   // objects asked for at once
  std::size_t maxObjects = 4096;                // of one list
  std::size_t maxListBytes = 16U << 20;         // of all of them
};

struct ObjectList {
  std::vector<std::string> objects;  // JSON text each
  std::string resourceVersion;       // where a watch goes on
};

enum class WatchEventKind { kAdded, kModified, kDeleted, kBookmark };

struct WatchEvent {
  WatchEventKind kind = WatchEventKind::kAdded;
  std::string object;           // JSON text
  std::string resourceVersion;  // where a watch goes on after this event
};

enum class WatchEnd {
  kClosed,   // by the server, as it does now and then: go on from the last event
  kExpired,  // 410: the server no longer knows that resourceVersion; list again
};

// What can go wrong in every call: kUnavailable (no connection, 429, 5xx: try again later; after
// cancel() too), kDeadlineExceeded, kPermissionDenied (401; 403 names verb and resource that are
// missing), kNotFound (also: no such kind), kAlreadyExists and kBusy (409), kInvalidArgument (422,
// or a name that cannot be one), kExhausted (more than the limits), kCorrupt (no JSON of the form
// it must have). Thread-safe; calls run beside each other.
class ApiServer {
 public:
  // Called for every event, in order; an Error ends the watch and is its result.
  using EventHandler = std::function<Result<void>(const WatchEvent&)>;

  virtual ~ApiServer() = default;

  virtual Result<std::string> get(const ObjectName& name, const Cancel& cancel) = 0;
  // All pages. When the server forgets the list on the way (410) it begins once more.
  virtual Result<ObjectList> list(const Collection& collection, const Cancel& cancel) = 0;
  // Events after `resourceVersion`, until the watch ends. It does not connect again by itself:
  // follow_collection.h does.
  virtual Result<WatchEnd> watch(const Collection& collection, const std::string& resourceVersion,
                                 const EventHandler& handler, const Cancel& cancel) = 0;
  // Both return the object as the server has it now.
  virtual Result<std::string> create(const Collection& collection, const std::string& object,
                                     const Cancel& cancel) = 0;
  // JSON merge patch (RFC 7386). `subresource`: "status", or empty.
  virtual Result<std::string> mergePatch(const ObjectName& name, const std::string& patch,
                                         const Cancel& cancel,
                                         std::string_view subresource = {}) = 0;
};

// Checks the configuration and loads libcurl; connects with the first call. kInvalidArgument: the
// URL is none, or would send the token unencrypted to another machine. kEnvironment: no libcurl.
// `files` outlives it.
Result<std::unique_ptr<ApiServer>> openApiServer(ApiServerConfig config, os::Filesystem& files,
                                                 ApiServerLimits limits = {});

// What kubelet gives to a pod: KUBERNETES_SERVICE_HOST and _PORT of `environment`, token and
// ca.crt of the service account's folder. kEnvironment: this is no pod, or one without a service
// account's token.
Result<ApiServerConfig> inClusterConfig(const std::map<std::string, std::string>& environment,
                                        os::Filesystem& files, const std::string& accountFolder);
// The pod's own namespace, from the same folder; at most 63 characters.
Result<std::string> inClusterNamespace(os::Filesystem& files, const std::string& accountFolder);

}  // namespace railhead::kube
