// Kubelet's side of one device plugin: dials its socket, follows its list, asks for allocations.
#pragma once

#include "src/base/result.h"
#include "src/kube/device.h"
#include "src/os/unix_socket.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace railhead::lab {

class PluginLink {
 public:
  // Connects and asks for the plugin's options, as kubelet does within Register.
  static Result<std::unique_ptr<PluginLink>> dial(const std::string& socketPath,
                                                  os::Deadline deadline);
  ~PluginLink();  // closes
  PluginLink(const PluginLink&) = delete;
  PluginLink& operator=(const PluginLink&) = delete;

  // Starts the thread that follows ListAndWatch. `onList` gets every list, `onEnd` the end of the
  // stream, unless close() came first. Once.
  void watch(std::function<void(std::vector<kube::Device>)> onList, std::function<void()> onEnd);
  // A watcher that opens the stream and then reads nothing from it: the consumer that stalls.
  void watchWithoutReading();
  // It wakes up: reads lists until `enough` says so or the stream ends.
  void readAfterAll(const std::function<bool(const std::vector<kube::Device>&)>& enough);
  // Ends the stream and waits for the thread. Not from a callback.
  void close();

  bool offersPreference() const;
  Result<std::vector<std::string>> preferred(const std::vector<std::string>& available, int count,
                                             os::Deadline deadline,
                                             const std::vector<std::string>& must = {}) const;
  Result<kube::AllocateAnswer> allocate(const std::vector<std::string>& ids,
                                        os::Deadline deadline) const;

 private:
  class Connection;
  explicit PluginLink(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace railhead::lab
