#include "src/kube/api/nad_store.h"

namespace railhead::kube {
namespace {

// Of the file. Every NAD at its longest would not fit: a store that large is not kept.
constexpr std::size_t kMaxKept = 8U << 20;

Error tooMany() {
  return {ErrorCode::kExhausted, "more than the " + std::to_string(kMaxNads) +
                                     " network attachment definitions allowed: the others are not "
                                     "known to this node"};
}

}  // namespace

Result<void> NadStore::recall() {
  auto text = files_.readFile(file_, kMaxKept);
  if (!text.has_value()) {
    if (text.error().code == ErrorCode::kNotFound) return {};
    return std::move(text).error();
  }
  auto nads = decodeNads(*text);
  if (!nads.has_value()) return std::move(nads).error().addContext(file_);
  const std::lock_guard lock(mutex_);
  if (knowledge_ == Knowledge::kListed) return {};
  nads_.clear();
  for (auto& nad : *nads) nads_.insert_or_assign(nad.qualifiedName(), std::move(nad));
  knowledge_ = Knowledge::kRemembered;
  kept_ = std::move(*text);
  return {};
}

Result<void> NadStore::replaceAll(std::vector<Nad> nads) {
  const std::lock_guard lock(mutex_);
  nads_.clear();
  bool cut = false;
  for (auto& nad : nads) {
    if (nads_.size() < kMaxNads) {
      nads_.insert_or_assign(nad.qualifiedName(), std::move(nad));
    } else {
      cut = true;
    }
  }
  knowledge_ = Knowledge::kListed;
  RAILHEAD_TRY(keep());
  if (cut) return tooMany();
  return {};
}

Result<void> NadStore::put(Nad nad) {
  const std::lock_guard lock(mutex_);
  const std::string name = nad.qualifiedName();
  if (nads_.size() >= kMaxNads && nads_.count(name) == 0) return tooMany();
  nads_.insert_or_assign(name, std::move(nad));
  return keep();
}

Result<void> NadStore::erase(const std::string& podNamespace, const std::string& name) {
  const std::lock_guard lock(mutex_);
  nads_.erase(podNamespace + "/" + name);
  return keep();
}

NadStore::Knowledge NadStore::knowledge() const {
  const std::lock_guard lock(mutex_);
  return knowledge_;
}

std::optional<Nad> NadStore::find(const std::string& podNamespace, const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = nads_.find(podNamespace + "/" + name);
  return found == nads_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> NadStore::names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  names.reserve(nads_.size());
  for (const auto& [name, nad] : nads_) names.push_back(name);
  return names;
}

Result<void> NadStore::keep() {
  std::vector<Nad> nads;
  nads.reserve(nads_.size());
  for (const auto& [name, nad] : nads_) nads.push_back(nad);
  std::string text = encodeNads(nads);
  if (text == kept_) return {};
  if (text.size() > kMaxKept) {
    return Error(ErrorCode::kExhausted, "the definitions take " + std::to_string(text.size()) +
                                            " bytes, and " + file_ + " keeps at most " +
                                            std::to_string(kMaxKept));
  }
  RAILHEAD_TRY(files_.replaceFile(file_, text, 0600));
  kept_ = std::move(text);
  return {};
}

}  // namespace railhead::kube
