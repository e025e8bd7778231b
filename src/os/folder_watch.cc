#include "src/os/folder_watch.h"

#include <cerrno>
#include <cstdint>
#include <cstring>

#include <sys/inotify.h>
#include <unistd.h>

namespace railhead::os {

Result<FolderWatch> FolderWatch::open(const std::string& folder) {
  UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd) return Error::fromErrno(errno, "make an inotify watch");
  constexpr std::uint32_t kEvents = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE |
                                    IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  if (::inotify_add_watch(fd.get(), folder.c_str(), kEvents) < 0) {
    return Error::fromErrno(errno, "watch folder " + folder);
  }
  return FolderWatch(std::move(fd));
}

FolderWatch::Changes FolderWatch::drain() {
  Changes changes;
  alignas(inotify_event) char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(fd_.get(), buffer, sizeof buffer);
    if (got <= 0) {
      if (got < 0 && errno == EINTR) continue;
      return changes;
    }
    for (ssize_t at = 0; at < got;) {
      inotify_event event{};
      std::memcpy(&event, buffer + at, sizeof event);
      const char* name = buffer + at + sizeof event;
      if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)) != 0) {
        changes.folderGone = true;
      } else if ((event.mask & IN_Q_OVERFLOW) != 0) {
        changes.missedSome = true;
      } else if (event.len > 0) {
        const std::string file(name, ::strnlen(name, event.len));
        const bool came = (event.mask & (IN_CREATE | IN_MOVED_TO)) != 0;
        const bool written = (event.mask & IN_CLOSE_WRITE) != 0;
        (came ? changes.appeared : written ? changes.written : changes.vanished).insert(file);
      }
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  }
}

}  // namespace railhead::os
