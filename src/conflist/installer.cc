#include "src/conflist/installer.h"

#include "src/base/text.h"

#include <algorithm>
#include <utility>

namespace railhead::conflist {
namespace {

constexpr std::size_t kMaxShim = 16 << 20;  // bytes

const FolderFile* multusOf(const FolderPicture& picture, const std::string& ours) {
  const FolderFile* primary = picture.primary(ours, "");
  return primary != nullptr && primary->configuration->isMultus() ? primary : nullptr;
}

// What there is to chain behind when Multus is not: the primary that Multus stands in front of.
const FolderFile* behindMultus(const FolderPicture& picture, const InstallerConfig& config) {
  for (const FolderFile& file : picture.files) {
    if (file.name == config.file || !file.configuration || file.configuration->isMultus()) continue;
    if (config.primary.empty() || file.name == config.primary) return &file;
  }
  return nullptr;
}

// A file before the primary's that cannot be read: being written just now, or broken for good.
const FolderFile* brokenBefore(const FolderPicture& picture, const FolderFile& primary) {
  for (const FolderFile& file : picture.files) {
    if (&file == &primary) return nullptr;
    if (!file.problem.empty()) return &file;
  }
  return nullptr;
}

}  // namespace

const FolderFile* userOf(const FolderPicture& picture, const std::string& ours) {
  for (const FolderFile& file : picture.files) {
    if (file.name != ours && namesFile(file.text, ours)) return &file;
  }
  return nullptr;
}

const FolderFile* namedByHand(const FolderPicture& picture, const std::string& ours) {
  for (const FolderFile& file : picture.files) {
    if (file.name != ours && file.configuration && file.configuration->has(kOurType)) return &file;
  }
  return nullptr;
}

std::string_view standingName(Standing standing) {
  switch (standing) {
    case Standing::kChained:
      return "chained";
    case Standing::kNoFolder:
      return "no-folder";
    case Standing::kNoPrimary:
      return "no-primary";
    case Standing::kLost:
      return "primary-lost";
    case Standing::kByHand:
      return "by-hand";
    case Standing::kUnderMultus:
      return "under-multus";
    case Standing::kAwaitsMultus:
      return "awaits-multus";
    case Standing::kShadowed:
      return "shadowed";
    case Standing::kContested:
      return "contested";
    case Standing::kFailed:
      return "failed";
    case Standing::kProgramOnly:
      return "program-only";
  }
  return "unknown";
}

Result<InstallOutcome> ConflistInstaller::bringUpToDate() {
  InstallOutcome outcome;
  next_.reset();
  auto picture = lookAtFolder(files_, config_.folder);
  if (!picture.has_value()) {
    if (picture.error().code != ErrorCode::kNotFound) return std::move(picture).error();
    outcome.note = "waiting for the CNI folder " + config_.folder;
    return outcome;
  }
  // The program first: a configuration that names a missing one fails every pod.
  RAILHEAD_TRY(installShim(outcome));
  if (!config_.chain) {
    outcome.standing = Standing::kProgramOnly;
    RAILHEAD_TRY(withdraw(*picture, outcome));
    return outcome;
  }
  if (const FolderFile* multus = multusOf(*picture, config_.file)) {
    RAILHEAD_TRY(underMultus(*multus, *picture, outcome));
    return outcome;
  }
  if (const FolderFile* other = namedByHand(*picture, config_.file)) {
    outcome.standing = Standing::kByHand;
    outcome.primary = other->name;
    outcome.note = other->name + " names railhead itself";
    lostSince_.reset();
    RAILHEAD_TRY(withdraw(*picture, outcome));
    return outcome;
  }
  if (awaitsMultus(*picture, outcome)) return outcome;
  const FolderFile* primary = picture->primary(config_.file, config_.primary);
  if (primary == nullptr) {
    RAILHEAD_TRY(withoutPrimary(*picture, outcome));
  } else if (brokenBefore(*picture, *primary) != nullptr && keepsFor(*picture, outcome)) {
    outcome.note = brokenBefore(*picture, *primary)->name + " cannot be read: " + outcome.note;
  } else {
    lostSince_.reset();
    RAILHEAD_TRY(chain(*primary, *picture, outcome));
  }
  return outcome;
}

Result<void> ConflistInstaller::underMultus(const FolderFile& multus, const FolderPicture& picture,
                                            InstallOutcome& outcome) {
  multusExpected_ = true;
  multusGoneSince_.reset();
  lostSince_.reset();
  outcome.standing = Standing::kUnderMultus;
  outcome.primary = multus.name;
  outcome.note = multus.name + " is Multus': it calls railhead for networks of type railhead";
  const FolderFile* primary = behindMultus(picture, config_);
  if (primary == nullptr || userOf(picture, config_.file) == nullptr)
    return withdraw(picture, outcome);
  // Multus goes by the path that it found when it started: without the file every pod would fail.
  outcome.note += "; its cluster network is " + config_.file + ", which follows " + primary->name;
  return write(*primary, picture, outcome);
}

// Multus takes its file away when it ends, and takes the first file that it finds when it starts as
// its cluster network: one of ours, written in between, would be that file.
bool ConflistInstaller::awaitsMultus(const FolderPicture& picture, InstallOutcome& outcome) {
  if (!std::exchange(looked_, true)) {
    multusExpected_ = multusExpected_ || files_.exists(config_.binFolder + "/multus-shim") ||
                      files_.exists(config_.binFolder + "/multus");
  }
  if (!multusExpected_ || picture.find(config_.file) != nullptr) return false;
  if (isOver(multusGoneSince_)) {
    multusExpected_ = false;
    multusGoneSince_.reset();
    return false;
  }
  outcome.standing = Standing::kAwaitsMultus;
  outcome.note = "Multus' file is not there: for " + std::to_string(config_.grace.count()) +
                 " s nothing is written in its place";
  return true;
}

// Whether the grace time since then is over; it begins with the first call.
bool ConflistInstaller::isOver(std::optional<os::Clock::TimePoint>& since) {
  if (!since) since = clock_.now();
  if (clock_.now() - *since >= config_.grace) return true;
  next_ = *since + config_.grace;
  return false;
}

// Whether what we wrote stays as it is until the grace time is over.
bool ConflistInstaller::keepsFor(const FolderPicture& picture, InstallOutcome& outcome) {
  if (picture.find(config_.file) == nullptr || isOver(lostSince_)) return false;
  outcome.standing = Standing::kLost;
  outcome.note =
      config_.file + " stays as it is for " + std::to_string(config_.grace.count()) + " s";
  return true;
}

Result<void> ConflistInstaller::installShim(InstallOutcome& outcome) {
  if (config_.shim.empty()) return {};
  RAILHEAD_TRY_ASSIGN(const std::string wanted,
                      files_.readFile(config_.shim, kMaxShim).addContext("the CNI shim"));
  const auto present = files_.readFile(shimPath(), kMaxShim);
  if (present.has_value() && *present == wanted) return {};
  RAILHEAD_TRY(files_.makeDirectories(config_.binFolder));
  RAILHEAD_TRY(files_.replaceFile(shimPath(), wanted, 0755).addContext("install the CNI shim"));
  outcome.changes.push_back("installed " + shimPath());
  return {};
}

Result<void> ConflistInstaller::chain(const FolderFile& primary, const FolderPicture& picture,
                                      InstallOutcome& outcome) {
  outcome.primary = primary.name;
  const std::string& first = picture.files.front().name;
  outcome.standing = first < config_.file ? Standing::kShadowed : Standing::kChained;
  if (outcome.standing == Standing::kShadowed) {
    outcome.note = first + " comes before " + config_.file +
                   ": the runtime does not call railhead; set cni.file to a name that sorts "
                   "before it, like 0-railhead.conflist";
  }
  return write(primary, picture, outcome);
}

Result<void> ConflistInstaller::write(const FolderFile& primary, const FolderPicture& picture,
                                      InstallOutcome& outcome) {
  RAILHEAD_TRY_ASSIGN(const std::string wanted,
                      chainBehind(primary.text, isListName(primary.name), {config_.socket})
                          .addContext(config_.folder + "/" + primary.name));
  const FolderFile* ours = picture.find(config_.file);
  if (isContested(ours, outcome)) return {};
  if (ours == nullptr || ours->text != wanted) {
    // A configuration may hold a primary's credentials.
    RAILHEAD_TRY(files_.replaceFile(ourPath(), wanted, 0600));
    outcome.changes.push_back("wrote " + ourPath() + " behind " + primary.name);
  }
  written_ = wanted;
  if (!contest_.stands()) contest_.put(clock_.now());
  return {};
}

// Whether our file is to be left where another program put it, for now.
bool ConflistInstaller::isContested(const FolderFile* ours, InstallOutcome& outcome) {
  if (contest_.stands() && (ours == nullptr || ours->text != written_)) contest_.lost(clock_.now());
  const auto until = contest_.until();
  if (!until || clock_.now() >= *until) return false;
  next_ = *until;
  const auto left = std::chrono::ceil<std::chrono::seconds>(*until - clock_.now());
  outcome.standing = Standing::kContested;
  outcome.note = config_.file + " was taken away " + std::to_string(contest_.losses()) +
                 " times, each time within a minute" +
                 (files_.exists(ourPath() + ".cilium_bak")
                      ? ": Cilium renames it; set cni.exclusive=false in Cilium's values"
                      : ": another program wants the folder for itself, as Cilium does with "
                        "cni.exclusive=true; "
                        "set cni.exclusive=false there") +
                 "; put back in " + std::to_string(left.count()) + " s";
  return true;
}

Result<void> ConflistInstaller::withoutPrimary(const FolderPicture& picture,
                                               InstallOutcome& outcome) {
  const std::string wanted = config_.primary.empty() ? "a primary network" : config_.primary;
  outcome.standing = Standing::kNoPrimary;
  outcome.note = "waiting for " + wanted + " in " + config_.folder;
  for (const FolderFile& file : picture.files) {
    if (!file.problem.empty()) outcome.note += "; " + file.name + ": " + file.problem;
  }
  const std::string waiting = outcome.note;
  if (keepsFor(picture, outcome)) {
    outcome.note = waiting + "; " + outcome.note;
    return {};
  }
  lostSince_.reset();
  return withdraw(picture, outcome);
}

Result<void> ConflistInstaller::withdraw(const FolderPicture& picture, InstallOutcome& outcome) {
  if (picture.find(config_.file) == nullptr) return {};
  if (const FolderFile* user = userOf(picture, config_.file)) {
    outcome.note += (outcome.note.empty() ? "" : "; ") + config_.file + " stays: " + user->name +
                    " has it as its network";
    return {};
  }
  RAILHEAD_TRY(files_.remove(ourPath()));
  contest_.given();
  outcome.changes.push_back("removed " + ourPath());
  return {};
}

}  // namespace railhead::conflist
