// A test's hand in the server: its objects, its faults, its watches, what it was asked.
#include "tests/support/fake_api_server/fake_api_server.h"

#include <algorithm>
#include <chrono>

#include <nlohmann/json.hpp>

namespace railhead::testing_support {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kPatience{20};

}  // namespace

void FakeApiServer::addKind(const std::string& root, const std::string& plural) {
  const std::lock_guard lock(mutex_);
  kinds_.insert(root + "/" + plural);
}

void FakeApiServer::removeKind(const std::string& root, const std::string& plural) {
  const std::lock_guard lock(mutex_);
  kinds_.erase(root + "/" + plural);
}

void FakeApiServer::put(const std::string& path, const std::string& object) {
  const std::lock_guard lock(mutex_);
  const Place place = *placeOf(path);
  const std::string key = place.key();
  store(key, place, object, objects_.count(key) != 0 ? "MODIFIED" : "ADDED");
}

void FakeApiServer::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const Place place = *placeOf(path);
  const std::string key = place.key();
  if (objects_.count(key) == 0) return;
  store(key, place, objects_[key], "DELETED");
  objects_.erase(key);
}

std::optional<std::string> FakeApiServer::object(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const Place place = *placeOf(path);
  const auto found = objects_.find(place.key());
  return found == objects_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> FakeApiServer::names(const std::string& collection) {
  const std::lock_guard lock(mutex_);
  const Place place = *placeOf(collection);
  const std::string prefix =
      place.kind + "|" + (place.podNamespace.empty() ? "" : place.podNamespace + "|");
  std::vector<std::string> found;
  for (const auto& [key, object] : objects_) {
    if (key.starts_with(prefix)) found.push_back(key.substr(key.rfind('|') + 1));
  }
  return found;
}

void FakeApiServer::requireToken(const std::string& token) {
  const std::lock_guard lock(mutex_);
  token_ = token;
}

void FakeApiServer::fail(ApiFault fault) {
  const std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FakeApiServer::clearFaults() {
  const std::lock_guard lock(mutex_);
  faults_.clear();
  ++faultEpoch_;
  changed_.notify_all();
}

void FakeApiServer::forgetHistory() {
  const std::lock_guard lock(mutex_);
  forgotten_ = version_++;
}

void FakeApiServer::dropHistory() {
  const std::lock_guard lock(mutex_);
  dropped_ += history_.size();
  history_.clear();
}

void FakeApiServer::bookmark() {
  const std::lock_guard lock(mutex_);
  const json object{{"metadata", {{"resourceVersion", std::to_string(version_)}}}};
  history_.push_back(
      {version_, "", "", json{{"type", "BOOKMARK"}, {"object", object}}.dump() + "\n"});
  changed_.notify_all();
}

void FakeApiServer::sendToWatches(const std::string& line) {
  const std::lock_guard lock(mutex_);
  history_.push_back({version_, "", "", line});
  changed_.notify_all();
}

void FakeApiServer::endWatches() {
  const std::lock_guard lock(mutex_);
  ++watchEpoch_;
  changed_.notify_all();
}

int FakeApiServer::requests(const std::string& method, const std::string& part) {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::count_if(seen_.begin(), seen_.end(), [&](const auto& line) {
    return line.starts_with(method) && line.find(part) != std::string::npos;
  }));
}

bool FakeApiServer::waitForRequests(const std::string& method, const std::string& part, int count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] {
    return std::count_if(seen_.begin(), seen_.end(), [&](const auto& line) {
             return line.starts_with(method) && line.find(part) != std::string::npos;
           }) >= count;
  });
}

bool FakeApiServer::waitForWatches(int open) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return watches_ == open; });
}

int FakeApiServer::connections() {
  const std::lock_guard lock(mutex_);
  return accepted_;
}

}  // namespace railhead::testing_support
