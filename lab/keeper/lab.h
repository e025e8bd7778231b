// The running lab: its nodes, its wire, and what is asked of them. Not thread-safe; lives on the
// keeper's event loop.
#pragma once

#include "lab/keeper/event_loop.h"
#include "lab/keeper/lab_status.h"
#include "lab/keeper/node_process.h"
#include "lab/node/lab_image.h"
#include "lab/node/qemu_command.h"
#include "lab/topology/topology.h"
#include "lab/wire/wire.h"
#include "src/base/result.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::lab {

struct LabPlan {
  std::string name;
  Topology topology;
  LabImage image;
  QemuSettings qemu;
  std::string nullDevice;
  std::chrono::seconds readyDeadline{60};  // for all nodes, from the launch
};

class Lab {
 public:
  struct Events {
    std::function<void(const BootEvent&)> boot;
    std::function<void(const Error&)> failed;  // once, before it was up; the owner takes it down
    std::function<void(const NodeProcess&)> drained;  // the node takes input again
  };
  using LinkAnswer = std::function<void(Result<LinkStatus>)>;

  static Result<std::unique_ptr<Lab>> start(EventLoop& loop, LabPlan plan, Events events);
  ~Lab();  // kills every node

  LabStatus status() const;
  // kNotFound names the nodes that there are.
  Result<NodeProcess*> node(std::string_view name) const;
  // Answers once every NIC at the link knows of its carrier.
  void changeLink(const std::string& name, const LinkChange& change, LinkAnswer answer);
  // Calls back when every node has been ready; at once when that was earlier.
  void whenUp(std::function<void()> call);

 private:
  Lab(EventLoop& loop, LabPlan plan, Events events);
  Result<void> open();
  void onReady(const NodeProcess& node);
  void onDied(const NodeProcess& node);
  void onDeadline();
  void fail(const Error& error);
  LinkStatus linkStatus(std::size_t index) const;
  double secondsSinceStart() const;

  EventLoop& loop_;
  LabPlan plan_;
  Events events_;
  std::unique_ptr<Wire> wire_;
  std::vector<std::unique_ptr<NodeProcess>> nodes_;  // in the topology's order
  std::vector<std::function<void()>> waitingForUp_;
  std::chrono::steady_clock::time_point started_;
  EventLoop::Id deadline_ = 0;
  bool up_ = false;
  bool failed_ = false;
};

}  // namespace railhead::lab
