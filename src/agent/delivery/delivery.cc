#include "src/agent/delivery/delivery.h"

#include <algorithm>
#include <set>

namespace railhead::agent {
namespace {

std::string shortHash(const std::string& hash) {
  return hash.empty() ? "none" : hash.substr(0, 12);
}

std::string logLine(const ProfileStatus& status) {
  const std::string now = "; containers with rails get: " + shortHash(status.hash);
  switch (status.state) {
    case ProfileState::kOff:
      return "off" + now;
    case ProfileState::kApplied:
      return "applied" + now;
    default:
      break;
  }
  return std::string(profileStateName(status.state)) + ": " + status.detail + now;
}

os::LogLevel levelOf(ProfileState state) {
  switch (state) {
    case ProfileState::kRefused:
    case ProfileState::kOtherFabric:
    case ProfileState::kFailed:
      return os::LogLevel::kError;
    case ProfileState::kSetAside:
      return os::LogLevel::kWarning;
    default:
      return os::LogLevel::kInfo;
  }
}

ProfileStatus verdict(ProfileState state, std::string detail) {
  ProfileStatus status;
  status.state = state;
  status.detail = std::move(detail);
  return status;
}

}  // namespace

std::string_view profileStateName(ProfileState state) {
  switch (state) {
    case ProfileState::kOff:
      return "off";
    case ProfileState::kNone:
      return "none";
    case ProfileState::kWaiting:
      return "waiting";
    case ProfileState::kApplied:
      return "applied";
    case ProfileState::kSetAside:
      return "set-aside";
    case ProfileState::kRefused:
      return "refused";
    case ProfileState::kOtherFabric:
      return "other-fabric";
    case ProfileState::kFailed:
      return "failed";
  }
  return "";
}

ProfileDelivery::Offered ProfileDelivery::offeredBy(const Result<std::string>& text,
                                                    const std::string& path) {
  Offered offered;
  if (!text.has_value()) {
    const bool gone = text.error().code == ErrorCode::kNotFound;
    offered.state = gone ? ProfileState::kNone : ProfileState::kRefused;
    offered.detail = text.error().message;
    return offered;
  }
  auto profile = tune::parseProfile(*text, path);
  if (profile.has_value()) {
    offered.hash = tune::profileHash(*profile);
    offered.profile = std::move(*profile);
  } else {
    offered.state = ProfileState::kRefused;
    offered.detail = profile.error().describe();
  }
  return offered;
}

void ProfileDelivery::start(const ProfileConfig& config, SeenFabric seen) {
  const std::lock_guard following(following_);
  started_ = true;
  {
    const std::lock_guard deciding(deciding_);
    fabric_ = std::move(seen);
    record_ = shelf_.record();
  }
  follow(config);
}

void ProfileDelivery::stop() {
  const std::lock_guard following(following_);
  started_ = false;
  file_.reset();
  mark_.reset();
}

void ProfileDelivery::configure(const ProfileConfig& config) {
  const std::lock_guard following(following_);
  if (!started_) return;
  {
    const std::lock_guard deciding(deciding_);
    if (config == config_) return;
  }
  follow(config);
}

void ProfileDelivery::look(SeenFabric seen) {
  const std::lock_guard following(following_);
  if (!started_) return;
  // Its folder may not have been there; what the file held then is read again.
  if (!followed_.empty() && !file_) watch("");
  const std::lock_guard deciding(deciding_);
  fabric_ = std::move(seen);
  if (!mark_) aside_ = shelf_.setAside();
  decide();
}

void ProfileDelivery::follow(const ProfileConfig& config) {
  file_.reset();
  mark_.reset();
  followed_ = config.file;
  const auto text = config.file.empty() ? Result<std::string>("") : readConfigFile(config.file);
  {
    const std::lock_guard deciding(deciding_);
    config_ = config;
    aside_ = shelf_.setAside();
    relay_ = true;
    offered_ = config.file.empty() ? Offered() : offeredBy(text, config.file);
    decide();
  }
  if (!followed_.empty()) watch(text.has_value() ? *text : "");
}

// Without a watch the file is looked at with every look at the node.
void ProfileDelivery::watch(const std::string& known) {
  const auto take = [this, path = followed_](const Result<std::string>& text) {
    const std::lock_guard deciding(deciding_);
    offered_ = offeredBy(text, path);
    decide();
  };
  auto file = ConfigWatch::start(
      followed_, known, [take](const std::string& text) { take(text); },
      [take](const Error& error) { take(error); });
  if (file.has_value()) file_ = std::move(*file);
  static_cast<void>(shelf_.make());
  auto mark = ConfigWatch::start(
      shelf_.markPath(), "", [this](const std::string& text) { takeMark(text); },
      [this](const Error& error) { takeMark(error); });
  if (mark.has_value()) mark_ = std::move(*mark);
}

void ProfileDelivery::takeMark(const Result<std::string>& text) {
  const std::lock_guard deciding(deciding_);
  aside_ = text.has_value() ? ProfileShelf::hashIn(*text) : "";
  decide();
}

void ProfileDelivery::decide() {
  if (config_.file.empty()) return publish({});
  if (!aside_.empty() && record_.current == aside_) advance(record_.previous);
  ProfileStatus status = judge();
  status.hash = inForce();
  status.previous = record_.previous;
  if (!status.hash.empty()) status.since = record_.since;
  publish(std::move(status));
}

ProfileStatus ProfileDelivery::judge() {
  if (!offered_.profile) {
    if (offered_.state == ProfileState::kNone) advance("");
    return verdict(offered_.state, offered_.detail);
  }
  if (fabric_.sets.empty()) {
    return verdict(ProfileState::kWaiting, "this node has no rail sets to hold it against");
  }
  if (offered_.hash == aside_) {
    return verdict(ProfileState::kSetAside, shortHash(aside_) + " waits for `profile resume`, or " +
                                                config_.file + " for another profile");
  }
  const auto here = belongsHere(*offered_.profile, fabric_);
  if (!here.has_value()) return verdict(ProfileState::kOtherFabric, here.error().describe());
  const auto applied = apply();
  if (!applied.has_value()) return verdict(ProfileState::kFailed, applied.error().describe());
  if (!aside_.empty()) {
    static_cast<void>(shelf_.setAside(""));
    aside_.clear();
  }
  return verdict(ProfileState::kApplied, "");
}

Result<void> ProfileDelivery::apply() {
  const bool isNew = offered_.hash != record_.current;
  if (!isNew && !relay_ && shelf_.holds(offered_.hash)) return {};
  if (isNew) removeOld();
  RAILHEAD_TRY(shelf_.place(*offered_.profile, config_.plugin.empty() ? plugin_ : config_.plugin));
  relay_ = false;
  advance(offered_.hash);
  return {};
}

// Of a running pod kubelet keeps what it was given, and mounts the same folder again when a
// container of it restarts: so none goes while any pod holds rails. The two that stay are also what
// kubelet may have been given a moment ago, and does not tell of yet.
void ProfileDelivery::removeOld() {
  const std::set<std::string> keep{record_.current, record_.previous, offered_.hash};
  const auto there = shelf_.hashes();
  const bool any = std::any_of(there.begin(), there.end(),
                               [&](const auto& hash) { return !keep.contains(hash); });
  if (!any || seams_.railsHeld()) return;
  static_cast<void>(shelf_.keepOnly(keep));  // tried again with the next profile
}

// A record that cannot be written costs the way back after a restart of the agent, and no more.
void ProfileDelivery::advance(const std::string& hash) {
  if (hash == record_.current) return;
  const std::string before = record_.current.empty() ? record_.previous : record_.current;
  record_ = {hash, before == hash ? "" : before,
             std::chrono::time_point_cast<std::chrono::seconds>(seams_.clock.wallTime())};
  static_cast<void>(shelf_.write(record_));
}

std::string ProfileDelivery::inForce() {
  if (fabric_.sets.empty() || !shelf_.holds(record_.current)) return {};
  const auto* profile = profileOf(record_.current);
  if (profile == nullptr || !belongsHere(*profile, fabric_).has_value()) return {};
  return record_.current;
}

const tune::Profile* ProfileDelivery::profileOf(const std::string& hash) {
  if (offered_.profile && offered_.hash == hash) return &*offered_.profile;
  if (!kept_ || kept_->first != hash) {
    auto read = shelf_.read(hash);
    if (!read.has_value() || tune::profileHash(*read) != hash) return nullptr;
    kept_.emplace(hash, std::move(*read));
  }
  return &kept_->second;
}

void ProfileDelivery::publish(ProfileStatus status) {
  std::optional<advertise::ProfileMount> mount;
  if (!status.hash.empty()) {
    mount = advertise::ProfileMount{shelf_.folderOf(status.hash), config_.mountAt, kConfName,
                                    kTunerName, kTableName};
  }
  {
    const std::lock_guard lock(mutex_);
    if (status == status_ && mount == mount_) return;
    status_ = status;
    mount_ = std::move(mount);
  }
  seams_.log.write(levelOf(status.state), "profile", logLine(status));
}

std::optional<advertise::ProfileMount> ProfileDelivery::given() const {
  const std::lock_guard lock(mutex_);
  return mount_;
}

ProfileStatus ProfileDelivery::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace railhead::agent
