#include "src/attach/journal.h"

#include "src/cni/names.h"

namespace railhead::attach {
namespace {

constexpr std::string_view kSuffix = ".json";

}  // namespace

Result<Journal> Journal::open(os::Filesystem& files, const os::HostPaths& paths) {
  std::string directory = cni::attachmentRecords(paths.state);
  RAILHEAD_TRY(files.makeDirectories(directory, 0700).addContext("open the attach journal"));
  return Journal(files, paths.state, std::move(directory));
}

std::string Journal::pathOf(const AttachmentId& id) const {
  return cni::attachmentRecord(state_, cni::attachmentKey(id.containerId, id.ifname));
}

Result<void> Journal::write(const Attachment& attachment) {
  const std::string text = encodeAttachment(attachment);
  if (text.size() > kMaxRecord) {
    return Error(ErrorCode::kExhausted,
                 "write the attach journal: the record has " + std::to_string(text.size()) +
                     " bytes, at most " + std::to_string(kMaxRecord) + " are allowed",
                 "ask for fewer networks, or make their configurations smaller");
  }
  return files_->replaceFile(pathOf(attachment.id), text, 0600)
      .addContext("write the attach journal");
}

Result<void> Journal::erase(const AttachmentId& id) {
  return files_->remove(pathOf(id)).addContext("erase from the attach journal");
}

Result<Journal::Contents> Journal::readAll() {
  Contents contents;
  RAILHEAD_TRY_ASSIGN(const auto names,
                      files_->listDirectory(directory_).addContext("read the attach journal"));
  for (const std::string& name : names) {
    const std::string path = directory_ + "/" + name;
    if (name.starts_with('.')) {  // a write that was interrupted
      static_cast<void>(files_->remove(path).has_value());
      continue;
    }
    if (!name.ends_with(kSuffix)) continue;
    auto text = files_->readFile(path, kMaxRecord);
    auto attachment = text.has_value() ? decodeAttachment(*text) : Result<Attachment>(text.error());
    if (!attachment.has_value()) {
      contents.damaged.push_back(std::move(attachment).error().addContext(path));
      continue;
    }
    contents.attachments.push_back(std::move(*attachment));
  }
  return contents;
}

}  // namespace railhead::attach
