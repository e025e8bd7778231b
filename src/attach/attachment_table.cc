#include "src/attach/attachment_table.h"

#include <algorithm>

namespace railhead::attach {

AttachmentTable::Hold::~Hold() {
  if (table_ != nullptr) table_->release(id_);
}

AttachmentTable::Reservation::~Reservation() {
  if (table_ == nullptr) return;
  {
    const std::lock_guard lock(table_->mutex_);
    table_->reserved_.erase(vf_);
  }
  table_->released_.notify_all();
}

Result<AttachmentTable::Hold> AttachmentTable::hold(const AttachmentId& id,
                                                    std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  if (!released_.wait_for(lock, wait, [&] { return !held_.contains(id); })) {
    return Error(ErrorCode::kBusy, "an earlier request for " + id.toString() +
                                       " is still under way after " + std::to_string(wait.count()) +
                                       " ms");
  }
  held_.insert(id);
  return Hold(*this, id);
}

std::optional<AttachmentTable::Hold> AttachmentTable::tryHold(const AttachmentId& id) {
  const std::lock_guard lock(mutex_);
  if (!held_.insert(id).second) return std::nullopt;
  return Hold(*this, id);
}

void AttachmentTable::release(const AttachmentId& id) {
  {
    const std::lock_guard lock(mutex_);
    held_.erase(id);
  }
  released_.notify_all();
}

const Attachment* AttachmentTable::holderOf(const PciAddress& vf) const {
  for (const auto& [id, attachment] : attachments_) {
    for (const RailRecord& rail : attachment.rails) {
      if (rail.vf == vf) return &attachment;
    }
  }
  return nullptr;
}

std::string sharedAddress(const Attachment& one, const Attachment& other) {
  const auto ofPlugin = [](const Attachment& attachment, const RailRecord& rail) {
    return std::any_of(attachment.ipam.begin(), attachment.ipam.end(),
                       [&](const ChainRecord& chain) { return chain.ifname == rail.podName; });
  };
  for (const RailRecord& mine : one.rails) {
    for (const RailRecord& theirs : other.rails) {
      if (mine.network != theirs.network && mine.pf != theirs.pf) continue;
      if (ofPlugin(one, mine) || ofPlugin(other, theirs)) continue;
      for (const IpPrefix& address : mine.addresses) {
        const auto& taken = theirs.addresses;
        if (std::find(taken.begin(), taken.end(), address) != taken.end())
          return address.toString();
      }
    }
  }
  return {};
}

const Attachment* AttachmentTable::addressHolder(const Attachment& attachment) const {
  for (const auto& [id, other] : attachments_) {
    if (id != attachment.id && !sharedAddress(attachment, other).empty()) return &other;
  }
  return nullptr;
}

Result<std::optional<Attachment>> AttachmentTable::claim(const Attachment& attachment,
                                                         std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  const auto isFree = [&] {
    return std::none_of(attachment.rails.begin(), attachment.rails.end(),
                        [&](const RailRecord& rail) { return reserved_.contains(rail.vf); });
  };
  if (!released_.wait_for(lock, wait, isFree)) {
    return Error(ErrorCode::kBusy,
                 "a VF of the rail set is still being given its name back after " +
                     std::to_string(wait.count()) + " ms");
  }
  for (const RailRecord& rail : attachment.rails) {
    const Attachment* holder = holderOf(rail.vf);
    if (holder != nullptr && holder->id != attachment.id) return std::optional(*holder);
  }
  if (const Attachment* holder = addressHolder(attachment)) return std::optional(*holder);
  attachments_[attachment.id] = attachment;
  return std::optional<Attachment>();
}

std::optional<AttachmentTable::Reservation> AttachmentTable::reserve(const PciAddress& vf) {
  const std::lock_guard lock(mutex_);
  if (holderOf(vf) != nullptr || !reserved_.insert(vf).second) return std::nullopt;
  return Reservation(*this, vf);
}

void AttachmentTable::store(const Attachment& attachment) {
  const std::lock_guard lock(mutex_);
  attachments_[attachment.id] = attachment;
}

void AttachmentTable::forget(const AttachmentId& id) {
  const std::lock_guard lock(mutex_);
  attachments_.erase(id);
}

std::optional<Attachment> AttachmentTable::find(const AttachmentId& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = attachments_.find(id);
  if (found == attachments_.end()) return std::nullopt;
  return found->second;
}

std::vector<Attachment> AttachmentTable::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<Attachment> list;
  for (const auto& [id, attachment] : attachments_) list.push_back(attachment);
  return list;
}

}  // namespace railhead::attach
