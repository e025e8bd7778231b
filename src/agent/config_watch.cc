#include "src/agent/config_watch.h"

#include "src/config/field.h"

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace railhead::agent {
namespace {

constexpr int kSettle = 50;       // ms: an editor writes in several steps
constexpr int kSlowLook = 30000;  // ms: for file systems that tell nothing

std::string folderOf(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

Result<std::string> readConfigFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error::fromErrno(errno == 0 ? ENOENT : errno, "read " + path);
  std::string text(config::kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return Error(ErrorCode::kUnavailable, "read " + path + " failed");
  if (text.size() > config::kMaxBytes) {
    return Error(ErrorCode::kInvalidArgument, path + " is larger than " +
                                                  std::to_string(config::kMaxBytes / 1024) +
                                                  " KiB, the most a configuration has");
  }
  return text;
}

Result<std::unique_ptr<ConfigWatch>> ConfigWatch::start(std::string path, std::string known,
                                                        Changed changed, Unreadable unreadable) {
  os::UniqueFd inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  os::UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!inotify || !stop) return Error::fromErrno(errno, "make an inotify watch");
  // The folder, since a file that is replaced is another file.
  const std::string folder = folderOf(path);
  if (::inotify_add_watch(
          inotify.get(), folder.c_str(),
          IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR) < 0) {
    return Error::fromErrno(errno, "watch folder " + folder);
  }
  return std::unique_ptr<ConfigWatch>(new ConfigWatch(std::move(path), std::move(known),
                                                      std::move(changed), std::move(unreadable),
                                                      std::move(inotify), std::move(stop)));
}

ConfigWatch::ConfigWatch(std::string path, std::string known, Changed changed,
                         Unreadable unreadable, os::UniqueFd inotify, os::UniqueFd stop)
    : path_(std::move(path)),
      known_(std::move(known)),
      changed_(std::move(changed)),
      unreadable_(std::move(unreadable)),
      inotify_(std::move(inotify)),
      stop_(std::move(stop)),
      thread_([this] { run(); }) {}

ConfigWatch::~ConfigWatch() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

void ConfigWatch::run() {
  std::array<pollfd, 2> fds{pollfd{stop_.get(), POLLIN, 0}, pollfd{inotify_.get(), POLLIN, 0}};
  for (int wait = 0;;) {  // it may have changed before there was a watch
    const int got = ::poll(fds.data(), fds.size(), wait);
    if (got < 0 && errno != EINTR) return;
    if (got > 0 && fds[0].revents != 0) return;
    if (got > 0) {
      alignas(inotify_event) std::array<char, 4096> buffer{};
      while (::read(inotify_.get(), buffer.data(), buffer.size()) > 0) {
      }
      wait = kSettle;
    } else {
      look();
      wait = kSlowLook;
    }
  }
}

void ConfigWatch::look() {
  auto text = readConfigFile(path_);
  const bool again = !complaint_.empty();
  const std::string complaint = text.has_value() ? "" : text.error().message;
  const bool news = complaint != std::exchange(complaint_, complaint);
  if (!text.has_value()) {
    if (news && unreadable_) unreadable_(text.error());
    return;
  }
  // Who heard that it was gone has to hear that it is back, as it was.
  if (*text == known_ && !(again && unreadable_)) return;
  known_ = *text;
  changed_(known_);
}

}  // namespace railhead::agent
