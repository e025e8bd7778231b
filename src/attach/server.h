// The agent's side of the shim: a root-only unix socket, one request and one answer a connection.
#pragma once

#include "src/base/result.h"
#include "src/cni/protocol.h"
#include "src/os/unique_fd.h"
#include "src/os/unix_listener.h"
#include "src/os/unix_socket.h"
#include "src/os/work_mark.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace railhead::attach {

class Attacher;

// Answers one call, whose patience is what is left of it; thread-safe.
using CniHandler = std::function<cni::Reply(const cni::Call&)>;

// Parses, runs the operation on `attacher` and encodes the result or the CNI error. `attacher` must
// outlive the handler. `log` gets one line for each request (level "info" or "error"); may be null.
using RequestLog = std::function<void(bool failed, const std::string& line)>;
CniHandler makeCniHandler(Attacher& attacher, RequestLog log = {});

struct CniServerConfig {
  std::string socketPath;
  // Takes the name whoever listens there: for a caller that holds the node's lock, whom a killed
  // predecessor's socket may outlive by an instant.
  bool displace = false;
  int workers = 8;       // requests carried out at once
  int maxWaiting = 256;  // more are told to try again
  std::chrono::milliseconds receiveDeadline{5000};
  std::chrono::milliseconds sendDeadline{5000};
  os::MakeWorkMark mark;  // one for each worker: at work from a request to its answer
};

// Accepts peers that are root or this process's own user; others are disconnected.
class CniServer final {
 public:
  // Listens and starts the threads. kBusy: a living server has the socket, unless
  // it is displaced.
  static Result<std::unique_ptr<CniServer>> start(CniServerConfig config, CniHandler handler);
  ~CniServer();  // stops
  // Accepts no more, finishes the requests under way, joins the threads, removes the socket.
  void stop();

 private:
  CniServer(CniServerConfig config, CniHandler handler, os::UnixListener listener,
            os::UniqueFd wake);
  void accept();
  void work();
  struct Waiting {
    os::UniqueFd connection;
    os::Deadline since;
  };
  void serve(Waiting waiting);

  const CniServerConfig config_;
  const CniHandler handler_;
  os::UnixListener listener_;
  os::UniqueFd wake_;  // eventfd: readable once stop() was called
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace railhead::attach
