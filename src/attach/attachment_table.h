// What the agent knows about attachments, in memory: who holds which VF, and which attachment is
// being worked on. Thread-safe; its lock is never held across I/O.
#pragma once

#include "src/attach/journal.h"
#include "src/base/result.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace railhead::attach {

// An address that both have in one network or on one PF; empty: none. Those of IPAM plugins do not
// count: their keepers know more.
std::string sharedAddress(const Attachment& one, const Attachment& other);

class AttachmentTable {
 public:
  // The right to work on one attachment; one holder at a time. Released on destruction.
  class Hold {
   public:
    Hold(AttachmentTable& table, AttachmentId id) : table_(&table), id_(std::move(id)) {}
    Hold(Hold&& other) noexcept
        : table_(std::exchange(other.table_, nullptr)), id_(std::move(other.id_)) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold();

   private:
    AttachmentTable* table_;
    AttachmentId id_;
  };

  // kBusy when an earlier request of the same attachment has not ended within `wait`.
  Result<Hold> hold(const AttachmentId& id, std::chrono::milliseconds wait);
  std::optional<Hold> tryHold(const AttachmentId& id);

  // One VF that no attachment holds and none gets until this is destroyed.
  class Reservation {
   public:
    Reservation(AttachmentTable& table, PciAddress vf) : table_(&table), vf_(vf) {}
    Reservation(Reservation&& other) noexcept
        : table_(std::exchange(other.table_, nullptr)), vf_(other.vf_) {}
    Reservation& operator=(Reservation&&) = delete;
    ~Reservation();

   private:
    AttachmentTable* table_;
    PciAddress vf_;
  };

  // Enters the attachment, with all its VFs or none: returns the attachment that holds one of them,
  // or one of its addresses, or nothing on success. An attachment never stands in its own way.
  // kBusy when one of the VFs is still reserved after `wait`.
  Result<std::optional<Attachment>> claim(const Attachment& attachment,
                                          std::chrono::milliseconds wait);
  // Nothing when the VF is held or reserved.
  std::optional<Reservation> reserve(const PciAddress& vf);
  // Replaces an entry; its VFs stay claimed.
  void store(const Attachment& attachment);
  void forget(const AttachmentId& id);

  std::optional<Attachment> find(const AttachmentId& id) const;
  std::vector<Attachment> all() const;

 private:
  void release(const AttachmentId& id);
  const Attachment* addressHolder(const Attachment& attachment) const;  // with mutex_ held
  const Attachment* holderOf(const PciAddress& vf) const;               // with mutex_ held

  mutable std::mutex mutex_;
  std::condition_variable released_;
  std::map<AttachmentId, Attachment> attachments_;
  std::set<AttachmentId> held_;
  std::set<PciAddress> reserved_;
};

}  // namespace railhead::attach
