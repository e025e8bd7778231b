#include "src/base/text.h"
#include "src/config/field.h"
#include "src/kube/api/nad_sources.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace railhead::kube {
namespace {

constexpr int kSettle = 50;       // ms: several files are written one after the other
constexpr int kSlowLook = 30000;  // ms: a folder that does not exist, or tells nothing
constexpr std::size_t kMaxFile = 2U << 20;

bool isManifest(const std::filesystem::path& path) {
  const auto ending = path.extension();
  return path.filename().native().front() != '.' &&
         (ending == ".yaml" || ending == ".yml" || ending == ".json");
}

// Sorted.
std::vector<std::string> manifestsIn(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code ignored;
    if (isManifest(entry->path()) && entry->is_regular_file(ignored))
      paths.push_back(entry->path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

Result<std::string> readManifest(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error::fromErrno(errno == 0 ? EIO : errno, "read " + path);
  std::string text(kMaxFile + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return Error(ErrorCode::kUnavailable, "read " + path + " failed");
  if (text.size() > kMaxFile)
    return Error(ErrorCode::kInvalidArgument,
                 path + " is larger than the " + std::to_string(kMaxFile) + " bytes allowed");
  return text;
}

}  // namespace

Result<std::unique_ptr<NadFolder>> NadFolder::start(std::string folder, NadStore& store,
                                                    NadProblem problem) {
  os::UniqueFd inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify) return Error::fromErrno(errno, "make an inotify watch");
  RAILHEAD_TRY_ASSIGN(Cancel cancel, Cancel::create());
  return std::unique_ptr<NadFolder>(new NadFolder(std::move(folder), store, std::move(problem),
                                                  std::move(inotify), std::move(cancel)));
}

NadFolder::NadFolder(std::string folder, NadStore& store, NadProblem problem, os::UniqueFd inotify,
                     Cancel cancel)
    : folder_(std::move(folder)),
      store_(store),
      problem_(std::move(problem)),
      inotify_(std::move(inotify)),
      cancel_(std::move(cancel)) {
  watch();
  look();
  thread_ = std::thread([this] { run(); });
}

NadFolder::~NadFolder() {
  cancel_.cancel();
  thread_.join();
}

void NadFolder::watch() {
  watching_ = ::inotify_add_watch(inotify_.get(), folder_.c_str(),
                                  IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM |
                                      IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) >= 0;
}

void NadFolder::run() {
  std::array<pollfd, 2> fds{pollfd{cancel_.fd(), POLLIN, 0}, pollfd{inotify_.get(), POLLIN, 0}};
  for (int wait = watching_ ? kSlowLook : 1000;;) {
    const int got = ::poll(fds.data(), fds.size(), wait);
    if (got < 0 && errno != EINTR) return;
    if (got > 0 && fds[0].revents != 0) return;
    if (got > 0) {
      alignas(inotify_event) std::array<char, 4096> buffer{};
      while (::read(inotify_.get(), buffer.data(), buffer.size()) > 0) {
      }
      wait = kSettle;
    } else {
      // Added again each time: the folder may have been replaced by another of its name.
      watch();
      look();
      wait = watching_ ? kSlowLook : 1000;
    }
  }
}

void NadFolder::look() {
  std::map<std::string, Nad> nads;
  std::vector<Error> problems;
  auto paths = manifestsIn(folder_);
  if (paths.size() > kMaxFiles) {
    problems.emplace_back(ErrorCode::kExhausted, folder_ + " has " + std::to_string(paths.size()) +
                                                     " manifests: those after the first " +
                                                     std::to_string(kMaxFiles) + " are not read");
    paths.resize(kMaxFiles);
  }
  for (const auto& path : paths) {
    const auto text = readManifest(path);
    auto read = text.has_value() ? parseNadManifest(*text, path) : text.error();
    if (read.has_value()) {
      for (auto& nad : *read) nads.insert_or_assign(nad.qualifiedName(), std::move(nad));
    } else {
      problems.push_back(std::move(read).error());
    }
  }
  std::vector<Nad> all;
  for (auto& [name, nad] : nads) all.push_back(std::move(nad));
  if (auto kept = store_.replaceAll(std::move(all)); !kept.has_value())
    problems.push_back(std::move(kept).error());
  std::string told;
  for (const auto& problem : problems) told += problem.message + "\n";
  if (std::exchange(lastProblems_, told) == told) return;
  for (const auto& problem : problems) problem_(problem);
}

}  // namespace railhead::kube
