#include "tests/support/memory_filesystem.h"

#include "src/base/text.h"

#include <cerrno>

namespace railhead::testing_support {
namespace {

using os::FileKind;

std::string parentOf(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

std::string nameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string below(const std::string& directory, const std::string& name) {
  return directory == "/" ? "/" + name : directory + "/" + name;
}

}  // namespace

void MemoryFilesystem::makeParents(const std::string& path) {
  const std::string parent = parentOf(path);
  if (nodes_.contains(parent)) return;
  std::string at;
  for (const auto part : split(parent, '/')) {
    if (part.empty()) continue;
    at += "/" + std::string(part);
    nodes_.try_emplace(at, Node{FileKind::kDirectory, {}, 0});
  }
}

void MemoryFilesystem::put(const std::string& path, std::string content) {
  const std::lock_guard lock(mutex_);
  makeParents(path);
  nodes_[path] = {FileKind::kFile, std::move(content), 0};
}

void MemoryFilesystem::putLink(const std::string& path, std::string target) {
  const std::lock_guard lock(mutex_);
  makeParents(path);
  nodes_[path] = {FileKind::kSymlink, std::move(target), 0};
}

void MemoryFilesystem::putDirectory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  makeParents(below(path, "x"));
}

void MemoryFilesystem::putDevice(const std::string& path, std::uint64_t deviceId) {
  const std::lock_guard lock(mutex_);
  makeParents(path);
  nodes_[path] = {FileKind::kDevice, {}, deviceId};
}

void MemoryFilesystem::erase(const std::string& path) {
  const std::lock_guard lock(mutex_);
  nodes_.erase(path);
  for (auto it = nodes_.lower_bound(path + "/");
       it != nodes_.end() && it->first.starts_with(path + "/");) {
    it = nodes_.erase(it);
  }
}

void MemoryFilesystem::onWrite(const std::string& path, WriteHook hook) {
  const std::lock_guard lock(mutex_);
  hooks_[path] = std::move(hook);
}

void MemoryFilesystem::dropHooks(const std::string& below_) {
  const std::lock_guard lock(mutex_);
  std::erase_if(hooks_, [&](const auto& entry) { return entry.first.starts_with(below_); });
}

Result<std::string> MemoryFilesystem::resolve(const std::string& path, bool followLast) {
  std::vector<std::string> left;  // what comes next is at the end
  const auto components = split(path, '/');
  for (auto it = components.rbegin(); it != components.rend(); ++it) {
    if (!it->empty() && *it != ".") left.emplace_back(*it);
  }
  std::string at = "/";
  int links = 0;
  while (!left.empty()) {
    const std::string part = std::move(left.back());
    left.pop_back();
    if (part == "..") {
      at = parentOf(at);
      continue;
    }
    const std::string next = below(at, part);
    const auto node = nodes_.find(next);
    const bool isLink = node != nodes_.end() && node->second.kind == FileKind::kSymlink;
    if (!isLink || (left.empty() && !followLast)) {
      at = next;
      continue;
    }
    if (++links > 40) return Error::fromErrno(ELOOP, "open " + path);
    const auto parts = split(node->second.content, '/');
    if (node->second.content.starts_with('/')) at = "/";
    for (auto it = parts.rbegin(); it != parts.rend(); ++it) {
      if (!it->empty() && *it != ".") left.emplace_back(*it);
    }
  }
  return at;
}

Result<std::string> MemoryFilesystem::readFile(const std::string& path, std::size_t maxBytes) {
  const std::lock_guard lock(mutex_);
  RAILHEAD_TRY_ASSIGN(const std::string real, resolve(path, true));
  const auto node = nodes_.find(real);
  if (node == nodes_.end()) return Error::fromErrno(ENOENT, "open " + path);
  if (node->second.kind == FileKind::kDirectory) return Error::fromErrno(EISDIR, "read " + path);
  if (node->second.content.size() > maxBytes) {
    return Error(ErrorCode::kExhausted, "read " + path + ": longer than the " +
                                            std::to_string(maxBytes) + " bytes allowed here");
  }
  return node->second.content;
}

Result<void> MemoryFilesystem::writeFile(const std::string& path, std::string_view data) {
  const std::string what = "write " + inQuotes(data, 40) + " to " + path;
  std::string real;
  WriteHook hook;
  {
    const std::lock_guard lock(mutex_);
    RAILHEAD_TRY_ASSIGN(real, resolve(path, true));
    const auto node = nodes_.find(real);
    if (node == nodes_.end()) return Error::fromErrno(ENOENT, "open " + path);
    if (node->second.kind == FileKind::kDirectory) return Error::fromErrno(EISDIR, what);
    const auto found = hooks_.find(real);
    if (found != hooks_.end()) hook = found->second;
  }
  RAILHEAD_TRY(gate(what));
  if (hook) return hook(data).addContext(what);
  const std::lock_guard lock(mutex_);
  nodes_[real].content = std::string(data);
  return {};
}

Result<void> MemoryFilesystem::replaceFile(const std::string& path, std::string_view data, mode_t) {
  RAILHEAD_TRY(gate("replace " + path));
  const std::lock_guard lock(mutex_);
  RAILHEAD_TRY_ASSIGN(const std::string parent, resolve(parentOf(path), true));
  if (parent != "/" && nodes_.find(parent) == nodes_.end())
    return Error::fromErrno(ENOENT, "open " + path);
  nodes_[below(parent, nameOf(path))] = {FileKind::kFile, std::string(data), 0};
  return {};
}

Result<std::string> MemoryFilesystem::readLink(const std::string& path) {
  const std::lock_guard lock(mutex_);
  RAILHEAD_TRY_ASSIGN(const std::string real, resolve(path, false));
  const auto node = nodes_.find(real);
  if (node == nodes_.end()) return Error::fromErrno(ENOENT, "read link " + path);
  if (node->second.kind != FileKind::kSymlink) return Error::fromErrno(EINVAL, "read link " + path);
  return node->second.content;
}

Result<std::vector<std::string>> MemoryFilesystem::listDirectory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  RAILHEAD_TRY_ASSIGN(const std::string real, resolve(path, true));
  const auto node = nodes_.find(real);
  if (real != "/" && node == nodes_.end()) return Error::fromErrno(ENOENT, "list " + path);
  if (real != "/" && node->second.kind != FileKind::kDirectory)
    return Error::fromErrno(ENOTDIR, "list " + path);
  const std::string prefix = real == "/" ? "/" : real + "/";
  std::vector<std::string> names;
  for (auto it = nodes_.lower_bound(prefix); it != nodes_.end() && it->first.starts_with(prefix);
       ++it) {
    const std::string rest = it->first.substr(prefix.size());
    if (!rest.empty() && rest.find('/') == std::string::npos) names.push_back(rest);
  }
  return names;
}

Result<os::FileStatus> MemoryFilesystem::status(const std::string& path) {
  const std::lock_guard lock(mutex_);
  RAILHEAD_TRY_ASSIGN(const std::string real, resolve(path, true));
  if (real == "/") return os::FileStatus{FileKind::kDirectory, 0, 0, 1, 1};
  const auto node = nodes_.find(real);
  if (node == nodes_.end()) return Error::fromErrno(ENOENT, "stat " + path);
  const auto inode = static_cast<std::uint64_t>(std::distance(nodes_.begin(), node)) + 2;
  return os::FileStatus{node->second.kind, node->second.content.size(), node->second.deviceId,
                        inode, 1};
}

Result<void> MemoryFilesystem::makeDirectories(const std::string& path, mode_t) {
  {
    const std::lock_guard lock(mutex_);
    RAILHEAD_TRY_ASSIGN(const std::string real, resolve(path, true));
    const auto node = nodes_.find(real);
    if (node != nodes_.end() && node->second.kind == FileKind::kDirectory) return {};
    if (node != nodes_.end()) return Error::fromErrno(EEXIST, "make directory " + path);
  }
  RAILHEAD_TRY(gate("make directory " + path));
  const std::lock_guard lock(mutex_);
  RAILHEAD_TRY_ASSIGN(const std::string real, resolve(path, true));
  makeParents(below(real, "x"));
  return {};
}

Result<void> MemoryFilesystem::remove(const std::string& path) {
  std::string real;
  {
    const std::lock_guard lock(mutex_);
    RAILHEAD_TRY_ASSIGN(real, resolve(path, false));
    const auto node = nodes_.find(real);
    if (node == nodes_.end()) return {};
    const auto child = nodes_.lower_bound(real + "/");
    if (child != nodes_.end() && child->first.starts_with(real + "/")) {
      return Error::fromErrno(ENOTEMPTY, "remove " + path);
    }
  }
  RAILHEAD_TRY(gate("remove " + path));
  const std::lock_guard lock(mutex_);
  nodes_.erase(real);
  return {};
}

Result<void> MemoryFilesystem::rename(const std::string& from, const std::string& to) {
  RAILHEAD_TRY(gate("rename " + from + " to " + to));
  const std::lock_guard lock(mutex_);
  RAILHEAD_TRY_ASSIGN(const std::string source, resolve(from, false));
  RAILHEAD_TRY_ASSIGN(const std::string target, resolve(to, false));
  auto node = nodes_.extract(source);
  if (node.empty()) return Error::fromErrno(ENOENT, "rename " + from + " to " + to);
  nodes_.erase(target);
  node.key() = target;
  nodes_.insert(std::move(node));
  return {};
}

Result<void> MemoryFilesystem::makeSymlink(const std::string& target, const std::string& path) {
  RAILHEAD_TRY(gate("make link " + path));
  const std::lock_guard lock(mutex_);
  RAILHEAD_TRY_ASSIGN(const std::string real, resolve(path, false));
  if (nodes_.contains(real)) return Error::fromErrno(EEXIST, "make link " + path);
  makeParents(real);
  nodes_[real] = {FileKind::kSymlink, target, 0};
  return {};
}

}  // namespace railhead::testing_support
