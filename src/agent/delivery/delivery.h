// Brings the cluster's profile into pods: follows its file, judges it, lays it out on the node and
// says what a container gets. An invalid profile, one of another fabric and one that cannot be laid
// out leave the last one in force. Nothing here keeps the agent from serving. Thread-safe.
#pragma once

#include "src/advertise/rail_resource.h"
#include "src/agent/config_profile.h"
#include "src/agent/config_watch.h"
#include "src/agent/delivery/fabric.h"
#include "src/agent/delivery/shelf.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/os/log.h"

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace railhead::agent {

// Where the profile of the file stands.
enum class ProfileState {
  kOff,          // none is configured
  kNone,         // there is no file
  kWaiting,      // the node has no rail sets yet, so its fabric is not known
  kApplied,      // containers get it
  kSetAside,     // an operator went back to the one before
  kRefused,      // it is not valid
  kOtherFabric,  // it was tuned on another fabric
  kFailed,       // it could not be laid out on this node
};
std::string_view profileStateName(ProfileState state);  // "other-fabric"

struct ProfileStatus {
  ProfileState state = ProfileState::kOff;
  std::string hash;  // of what containers get now, of this profile or an earlier one; may be empty
  std::string previous;  // what a rollback goes back to; empty: nothing
  std::string detail;    // why, in one line
  std::optional<std::chrono::system_clock::time_point> since;  // when `hash` was applied

  bool operator==(const ProfileStatus&) const = default;
};

// All outlive the delivery.
struct DeliverySeams {
  os::Filesystem& files;
  os::Clock& clock;
  os::Log& log;
  std::function<bool()> railsHeld;  // whether a pod of this node may hold rails
};

class ProfileDelivery {
 public:
  ProfileDelivery(const os::HostPaths& paths, DeliverySeams seams)
      : plugin_(paths.ncclTuner), shelf_(seams.files, paths), seams_(std::move(seams)) {}
  ~ProfileDelivery() { stop(); }

  // Only with the node's lock held. When it returns, containers get what they should.
  void start(const ProfileConfig& config, SeenFabric seen);
  // Ends following. Containers go on getting the same.
  void stop();
  // While not started nothing.
  void configure(const ProfileConfig& config);
  void look(SeenFabric seen);

  std::optional<advertise::ProfileMount> given() const;
  ProfileStatus status() const;

 private:
  struct Offered {                             // by the file
    ProfileState state = ProfileState::kNone;  // without a profile: kNone, kRefused
    std::string detail;
    std::optional<tune::Profile> profile;
    std::string hash;
  };
  static Offered offeredBy(const Result<std::string>& text, const std::string& path);

  // With following_.
  void follow(const ProfileConfig& config);
  void watch(const std::string& known);
  // With deciding_.
  void takeMark(const Result<std::string>& text);
  void decide();
  ProfileStatus judge();
  Result<void> apply();
  void removeOld();
  void advance(const std::string& hash);
  std::string inForce();
  const tune::Profile* profileOf(const std::string& hash);
  void publish(ProfileStatus status);

  const std::string plugin_;
  std::mutex deciding_;  // what follows, but for the last
  ProfileShelf shelf_;
  const DeliverySeams seams_;
  ProfileConfig config_;
  SeenFabric fabric_;
  Offered offered_;
  ProfileRecord record_;
  // As the mark's watch told it last, and not as the mark is now: what is ahead of the watch would
  // be back by the time it looks, and nobody be told.
  std::string aside_;
  bool relay_ = true;  // the files are laid out anew: the plugin may be another one
  std::optional<std::pair<std::string, tune::Profile>> kept_;  // by hash: what was read last

  mutable std::mutex mutex_;  // short: an allocation waits for it
  ProfileStatus status_;
  std::optional<advertise::ProfileMount> mount_;

  std::mutex following_;  // taken before deciding_
  bool started_ = false;
  std::string followed_;
  std::unique_ptr<ConfigWatch> file_;
  std::unique_ptr<ConfigWatch> mark_;
};

}  // namespace railhead::agent
