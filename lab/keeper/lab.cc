#include "lab/keeper/lab.h"

#include "src/base/text.h"

#include <algorithm>

#include <unistd.h>

namespace railhead::lab {
namespace {

// Answers a link change when the last of its NICs has answered.
struct PendingChange {
  std::size_t left = 0;
  std::optional<Error> error;
  std::function<void(const std::optional<Error>&)> done;

  void oneDone(const Result<void>& result) {
    if (!result && !error) error = result.error();
    if (--left == 0) done(error);
  }
};

}  // namespace

Lab::Lab(EventLoop& loop, LabPlan plan, Events events)
    : loop_(loop),
      plan_(std::move(plan)),
      events_(std::move(events)),
      started_(std::chrono::steady_clock::now()) {}

Lab::~Lab() { loop_.cancel(deadline_); }

Result<std::unique_ptr<Lab>> Lab::start(EventLoop& loop, LabPlan plan, Events events) {
  std::unique_ptr<Lab> lab(new Lab(loop, std::move(plan), std::move(events)));
  RAILHEAD_TRY(lab->open());
  return lab;
}

Result<void> Lab::open() {
  const Topology& topology = plan_.topology;
  std::vector<std::vector<os::UniqueFd>> sockets(topology.nodes.size());
  for (std::size_t n = 0; n < topology.nodes.size(); ++n) {
    sockets[n].resize(topology.nodes[n].pfs.size());
  }
  std::vector<LinkPlan> links;
  for (const auto& spec : topology.links) {
    LinkPlan link{spec.name, {spec.rate}, {}};
    for (const LinkEnd& end : spec.ends) {
      RAILHEAD_TRY_ASSIGN(WirePatch patch, makeWirePatch());
      link.ends.push_back(std::move(patch.wireSide));
      sockets[end.node][end.pf] = std::move(patch.nodeSide);
    }
    links.push_back(std::move(link));
  }
  RAILHEAD_TRY_ASSIGN(wire_, Wire::start(std::move(links)));
  deadline_ = loop_.after(plan_.readyDeadline, [this] { onDeadline(); });
  for (std::size_t n = 0; n < topology.nodes.size(); ++n) {
    NodeProcess::Events events;
    events.ready = [this, n] { onReady(*nodes_[n]); };
    events.died = [this, n] { onDied(*nodes_[n]); };
    events.drained = [this, n] { events_.drained(*nodes_[n]); };
    RAILHEAD_TRY_ASSIGN(
        auto node, NodeProcess::start(loop_, plan_.name, topology.nodes[n], plan_.image, plan_.qemu,
                                      plan_.nullDevice, std::move(sockets[n]), std::move(events)));
    nodes_.push_back(std::move(node));
    events_.boot({BootEvent::Kind::kNodeStarted, topology.nodes[n].name, secondsSinceStart(), ""});
  }
  return {};
}

double Lab::secondsSinceStart() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
}

void Lab::onReady(const NodeProcess& node) {
  const NodeStatus status = node.status();
  events_.boot({BootEvent::Kind::kNodeReady, status.name, status.readySeconds, status.kernel});
  const bool all = std::all_of(nodes_.begin(), nodes_.end(), [](const auto& other) {
    return other->state() == NodeState::kReady;
  });
  if (!all || up_ || failed_) return;
  up_ = true;
  loop_.cancel(deadline_);
  events_.boot({BootEvent::Kind::kUp, "", secondsSinceStart(), ""});
  for (const auto& call : std::exchange(waitingForUp_, {})) call();
}

void Lab::onDied(const NodeProcess& node) {
  if (!up_) fail(Error(ErrorCode::kUnavailable, node.problem()));
}

void Lab::onDeadline() {
  for (const auto& node : nodes_) {
    if (node->state() == NodeState::kReady) continue;
    std::string message = "node " + node->spec().name + " was not ready after " +
                          std::to_string(plan_.readyDeadline.count()) + " s";
    const std::string lines = node->console().lastLines(8);
    message += lines.empty() ? " and wrote nothing on its console" : "; its last lines:\n" + lines;
    return fail(Error(ErrorCode::kDeadlineExceeded, message,
                      "end other programs that use the CPU, or allow more time with --deadline"));
  }
}

void Lab::fail(const Error& error) {
  if (failed_) return;
  failed_ = true;
  events_.failed(error);
}

LinkStatus Lab::linkStatus(std::size_t index) const {
  const LinkState state = wire_->state()[index];
  LinkStatus status{
      state.name, state.settings.rate, state.settings.cut, state.settings.lossPercent, {}};
  const LinkSpec& spec = plan_.topology.links[index];
  for (std::size_t e = 0; e < spec.ends.size(); ++e) {
    const DirectionCounters& counters = state.fromEnd[e];
    status.ends.push_back(
        {plan_.topology.endName(spec.ends[e]), counters.frames, counters.bytes, counters.dropped});
  }
  return status;
}

LabStatus Lab::status() const {
  LabStatus status;
  status.name = plan_.name;
  status.topology = plan_.topology.name;
  status.up = up_;
  status.uptimeSeconds = secondsSinceStart();
  status.keeperPid = ::getpid();
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    NodeStatus node = nodes_[n]->status();
    for (std::size_t p = 0; p < node.pfs.size(); ++p) {
      if (const LinkSpec* link = plan_.topology.linkOf({n, p})) node.pfs[p].link = link->name;
    }
    status.nodes.push_back(std::move(node));
  }
  for (std::size_t l = 0; l < plan_.topology.links.size(); ++l) {
    status.links.push_back(linkStatus(l));
  }
  status.twins = plan_.topology.twins;
  status.share = plan_.qemu.share;
  status.topologyYaml = toYaml(plan_.topology);
  return status;
}

Result<NodeProcess*> Lab::node(std::string_view name) const {
  std::vector<std::string> known;
  for (const auto& node : nodes_) {
    if (node->spec().name == name) return node.get();
    known.push_back(node->spec().name);
  }
  return Error(ErrorCode::kInvalidArgument,
               "node is " + inQuotes(name) + "; allowed: " + join(known, ", "));
}

void Lab::changeLink(const std::string& name, const LinkChange& change, LinkAnswer answer) {
  const Topology& topology = plan_.topology;
  const LinkSpec* spec = topology.findLink(name);
  if (spec == nullptr) {
    std::vector<std::string> known;
    for (const auto& link : topology.links) known.push_back(link.name);
    return answer(Error(ErrorCode::kInvalidArgument,
                        "link is " + inQuotes(name) + "; allowed: " + join(known, ", ")));
  }
  const auto index = static_cast<std::size_t>(spec - topology.links.data());
  auto changed = wire_->change(name, change);
  if (!changed) return answer(changed.error());
  auto pending = std::make_shared<PendingChange>();
  pending->done = [this, index, answer](const std::optional<Error>& error) {
    if (error) return answer(*error);
    answer(linkStatus(index));
  };
  pending->left = 1;
  if (change.cut) {
    for (const LinkEnd& end : spec->ends) {
      if (nodes_[end.node]->state() == NodeState::kDead) continue;
      ++pending->left;
      nodes_[end.node]->setCarrier(end.pf, !*change.cut,
                                   [pending](const Result<void>& done) { pending->oneDone(done); });
    }
  }
  pending->oneDone({});
}

void Lab::whenUp(std::function<void()> call) {
  if (up_) return call();
  waitingForUp_.push_back(std::move(call));
}

}  // namespace railhead::lab
