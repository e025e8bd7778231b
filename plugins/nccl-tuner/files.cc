#include "plugins/nccl-tuner/files.h"

#include "plugins/nccl-tuner/descriptor.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>

namespace railhead::nccl_tuner {
namespace {

int openForReading(const char* path) {
  return ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

// Reads up to `most` bytes; -1 with errno.
ssize_t readUpTo(int file, char* bytes, std::size_t most) {
  std::size_t have = 0;
  while (have < most) {
    const auto got = ::read(file, bytes + have, most - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(have);
}

}  // namespace

bool readTableFile(const char* path, Table& table, Remark& why) {
  const Descriptor file(openForReading(path));
  if (!file.open()) {
    why.say(errno == ENOENT ? "no table at %.200s" : "the table %.200s cannot be opened: %s", path,
            std::strerror(errno));
    return false;
  }
  constexpr std::size_t kRoom = Table::kMaxBytes + 1;  // one more, to see that there is more
  auto* bytes = static_cast<char*>(std::malloc(kRoom));
  const auto got = bytes == nullptr ? -1 : readUpTo(file.get(), bytes, kRoom);
  Remark fault;
  bool good = false;
  if (got < 0)
    why.say("the table %.200s cannot be read: %s", path, std::strerror(errno));
  else if (good = table.parse({bytes, static_cast<std::size_t>(got)}, fault); !good)
    why.say("the table %.180s is not one: %.100s", path, fault.text);
  std::free(bytes);
  return good;
}

const LiveTable* mapLiveFile(const char* path, Remark& why) {
  const Descriptor file(openForReading(path));
  if (!file.open()) {
    why.say("the live table %.200s cannot be opened: %s", path, std::strerror(errno));
    return nullptr;
  }
  if (::lseek(file.get(), 0, SEEK_END) < static_cast<off_t>(sizeof(LiveTable))) {
    why.say("the live table %.200s is not a file of 64 bytes or more", path);
    return nullptr;
  }
  void* const at = ::mmap(nullptr, sizeof(LiveTable), PROT_READ, MAP_SHARED, file.get(), 0);
  if (at == MAP_FAILED) {
    why.say("the live table %.200s cannot be mapped: %s", path, std::strerror(errno));
    return nullptr;
  }
  return static_cast<const LiveTable*>(at);
}

}  // namespace railhead::nccl_tuner
