// One connection of a gang, and what hub and members share: the thread that listens to all links,
// heartbeats, and the first failure. Private to src/collective.
#pragma once

#include "src/collective/group.h"
#include "src/collective/group_wire.h"
#include "src/os/unique_fd.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

namespace railhead::collective {

// send() from any thread; the rest belongs to the group's thread.
class Link {
 public:
  Link(os::UniqueFd fd, int rank, std::string node)
      : fd_(std::move(fd)), rank_(rank), node_(std::move(node)) {}
  Result<void> send(const Frame& frame);
  Result<Frame> receive(std::size_t maxBytes);

  int fd() const { return fd_.get(); }
  int rank() const { return rank_; }
  std::string name() const;  // "rank 3 (node spark-b)"

  std::atomic<bool> left{false};  // said farewell, or is lost: nothing more is sent or awaited
  std::chrono::steady_clock::time_point lastHeard = std::chrono::steady_clock::now();

 private:
  os::UniqueFd fd_;
  int rank_ = 0;
  std::string node_;
  std::mutex sending_;
};

std::string rankName(int rank, const std::string& node);

class LinkedGroup : public Group {
 public:
  ~LinkedGroup() override;
  LinkedGroup(const LinkedGroup&) = delete;
  LinkedGroup& operator=(const LinkedGroup&) = delete;

  const World& world() const final { return world_; }
  void fail(const Error& error) final;
  std::optional<Error> failure() const final;

 protected:
  LinkedGroup(World world, GroupSettings settings, std::vector<std::unique_ptr<Link>> links);
  // Derived classes call start() when they are whole, and stop() first in their destructor.
  // Silence counts from `hearBy`: a hub that still waits for others says nothing.
  Result<void> start(std::chrono::steady_clock::time_point hearBy);
  void stop();

  // From the group's thread: a part or a whole. False: it was out of turn.
  virtual bool received(Link& from, Frame frame) = 0;
  // Ends the gang here and tells every link but `except`. The first call counts. True when it did.
  bool end(const Error& error, const Link* except);

  const std::vector<std::unique_ptr<Link>>& links() const { return links_; }
  mutable std::mutex mutex_;  // guards what derived classes collect, and failure_
  std::condition_variable changed_;
  std::optional<Error> failure_;

 private:
  void run();
  void hear(Link& link);
  void lose(Link& link, const std::string& why);
  void giveUp(const Error& error, const Link* except);
  void beat(std::chrono::steady_clock::time_point now);

  World world_;
  GroupSettings settings_;
  std::vector<std::unique_ptr<Link>> links_;
  os::UniqueFd wake_;
  std::atomic<bool> stopping_{false};
  std::chrono::steady_clock::time_point lastBeat_;
  std::thread thread_;
};

// The two ends of join(): private.
Result<std::unique_ptr<Group>> joinAsHub(const World& world, const GroupSettings& settings);
Result<std::unique_ptr<Group>> joinAsMember(const World& world, const GroupSettings& settings);

}  // namespace railhead::collective
