#include "src/attach/deletion_marks.h"

#include "src/cni/names.h"

namespace railhead::attach {
namespace {

std::string pathOf(const std::string& state, const AttachmentId& id) {
  return cni::deletionMark(state, cni::attachmentKey(id.containerId, id.ifname));
}

}  // namespace

Result<std::vector<AttachmentId>> DeletionMarks::all() {
  std::vector<AttachmentId> ids;
  const auto names = files_->listDirectory(cni::deletionMarks(state_));
  if (!names.has_value()) {
    if (names.error().code == ErrorCode::kNotFound) return ids;
    return names.error();
  }
  for (const std::string& name : *names) {
    const auto at = name.find('@');
    if (at == std::string::npos || ids.size() >= kMost) continue;
    AttachmentId id{name.substr(0, at), name.substr(at + 1)};
    if (checkSpecName(id.containerId, "mark").has_value() &&
        checkInterfaceName(id.ifname, "mark").has_value()) {
      ids.push_back(std::move(id));
    }
  }
  return ids;
}

bool DeletionMarks::has(const AttachmentId& id) { return files_->exists(pathOf(state_, id)); }

Result<void> DeletionMarks::erase(const AttachmentId& id) {
  return files_->remove(pathOf(state_, id)).addContext("forget a DEL that passed");
}

}  // namespace railhead::attach
