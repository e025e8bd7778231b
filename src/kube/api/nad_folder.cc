#include "src/kube/api/nad_sources.h"
#include "src/os/folder_watch.h"

#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <utility>

#include <poll.h>

namespace railhead::kube {
namespace {

constexpr int kSettle = 50;       // ms: several files are written one after the other
constexpr int kSlowLook = 30000;  // ms: of a folder that tells nothing
constexpr int kRetry = 1000;      // ms: of one that does not exist
constexpr std::size_t kMaxFile = 2U << 20;

bool isManifest(std::string_view name) {
  return !name.starts_with('.') &&
         (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"));
}

// Sorted, as the folder is read.
std::vector<std::string> manifestsIn(os::Filesystem& files, const std::string& folder) {
  std::vector<std::string> paths;
  const auto names = files.listDirectory(folder);
  if (!names.has_value()) return paths;
  for (const std::string& name : *names) {
    if (!isManifest(name)) continue;
    const std::string path = folder + "/" + name;
    const auto status = files.status(path);
    if (status.has_value() && status->kind == os::FileKind::kFile) paths.push_back(path);
  }
  return paths;
}

}  // namespace

Result<std::unique_ptr<NadFolder>> NadFolder::start(os::Filesystem& files, std::string folder,
                                                    NadStore& store, NadProblem problem) {
  RAILHEAD_TRY_ASSIGN(Cancel cancel, Cancel::create());
  std::unique_ptr<NadFolder> source(
      new NadFolder(files, std::move(folder), store, std::move(problem), std::move(cancel)));
  source->look();
  source->thread_ = std::thread([raw = source.get()] { raw->run(); });
  return source;
}

NadFolder::NadFolder(os::Filesystem& files, std::string folder, NadStore& store, NadProblem problem,
                     Cancel cancel)
    : files_(files),
      folder_(std::move(folder)),
      store_(store),
      problem_(std::move(problem)),
      cancel_(std::move(cancel)) {}

NadFolder::~NadFolder() {
  cancel_.cancel();
  thread_.join();
}

void NadFolder::run() {
  std::optional<os::FolderWatch> watch;
  int pause = 0;  // it may have changed before there was a watch
  for (;;) {
    std::array<pollfd, 2> fds{pollfd{cancel_.fd(), POLLIN, 0},
                              pollfd{watch ? watch->fd() : -1, POLLIN, 0}};
    const int got = ::poll(fds.data(), fds.size(), pause);
    if (got < 0 && errno != EINTR) return;
    if (got > 0 && fds[0].revents != 0) return;
    if (got > 0) {
      // The folder may have been replaced by another of its name.
      if (watch->drain().folderGone) watch.reset();
      pause = kSettle;
      continue;
    }
    if (!watch) {
      if (auto opened = os::FolderWatch::open(folder_); opened.has_value())
        watch = std::move(*opened);
    }
    look();
    pause = watch ? kSlowLook : kRetry;
  }
}

void NadFolder::look() {
  std::map<std::string, Nad> nads;
  std::vector<Error> problems;
  auto paths = manifestsIn(files_, folder_);
  if (paths.size() > kMaxFiles) {
    problems.emplace_back(ErrorCode::kExhausted, folder_ + " has " + std::to_string(paths.size()) +
                                                     " manifests: those after the first " +
                                                     std::to_string(kMaxFiles) + " are not read");
    paths.resize(kMaxFiles);
  }
  for (const auto& path : paths) {
    const auto text = files_.readFile(path, kMaxFile);
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
