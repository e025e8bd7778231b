#include "src/conflist/installer.h"

#include "src/base/text.h"

#include <algorithm>

namespace railhead::conflist {
namespace {

constexpr std::size_t kMaxShim = 16 << 20;  // bytes

// The file, other than ours, that has our plugin in it.
const FolderFile* namedByHand(const FolderPicture& picture, const std::string& ours) {
  for (const FolderFile& file : picture.files) {
    if (file.name != ours && file.configuration && file.configuration->has(kOurType)) return &file;
  }
  return nullptr;
}

const FolderFile* multusOf(const FolderPicture& picture, const std::string& ours) {
  const FolderFile* primary = picture.primary(ours, "");
  return primary != nullptr && primary->configuration->isMultus() ? primary : nullptr;
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
    case Standing::kShadowed:
      return "shadowed";
  }
  return "unknown";
}

Result<InstallOutcome> ConflistInstaller::bringUpToDate() {
  InstallOutcome outcome;
  auto picture = lookAtFolder(files_, config_.folder);
  if (!picture.has_value()) {
    if (picture.error().code != ErrorCode::kNotFound) return std::move(picture).error();
    outcome.note = "waiting for the CNI folder " + config_.folder;
    return outcome;
  }
  // The program first: a configuration that names a missing one fails every pod.
  RAILHEAD_TRY(installShim(outcome));
  if (const FolderFile* multus = multusOf(*picture, config_.file)) {
    outcome.standing = Standing::kUnderMultus;
    outcome.primary = multus->name;
    outcome.note = multus->name + " is Multus': it calls railhead for networks of type railhead";
    RAILHEAD_TRY(withdraw(*picture, outcome));
    return outcome;
  }
  if (const FolderFile* other = namedByHand(*picture, config_.file)) {
    outcome.standing = Standing::kByHand;
    outcome.primary = other->name;
    outcome.note = other->name + " names railhead itself";
    RAILHEAD_TRY(withdraw(*picture, outcome));
    return outcome;
  }
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

// Whether what we wrote stays as it is until the grace time is over.
bool ConflistInstaller::keepsFor(const FolderPicture& picture, InstallOutcome& outcome) {
  if (picture.find(config_.file) == nullptr) return false;
  if (!lostSince_) lostSince_ = clock_.now();
  if (clock_.now() - *lostSince_ >= config_.grace) return false;
  outcome.standing = Standing::kLost;
  outcome.note =
      config_.file + " stays as it is for " + std::to_string(config_.grace.count()) + " s";
  return true;
}

std::optional<os::Clock::TimePoint> ConflistInstaller::nextLook() const {
  if (!lostSince_) return std::nullopt;
  return *lostSince_ + config_.grace;
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
  RAILHEAD_TRY_ASSIGN(const std::string wanted,
                      chainBehind(primary.text, isListName(primary.name), {config_.socket})
                          .addContext(config_.folder + "/" + primary.name));
  const FolderFile* ours = picture.find(config_.file);
  if (ours == nullptr || ours->text != wanted) {
    // A configuration may hold a primary's credentials.
    RAILHEAD_TRY(files_.replaceFile(ourPath(), wanted, 0600));
    outcome.changes.push_back("wrote " + ourPath() + " behind " + primary.name);
  }
  const std::string& first = picture.files.front().name;
  outcome.standing = first < config_.file ? Standing::kShadowed : Standing::kChained;
  if (outcome.standing == Standing::kShadowed) {
    outcome.note = first + " comes before " + config_.file +
                   ": the runtime does not call railhead; set cni.file to a name that sorts "
                   "before it, like 0-railhead.conflist";
  }
  return {};
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
  RAILHEAD_TRY(files_.remove(ourPath()));
  outcome.changes.push_back("removed " + ourPath());
  return {};
}

Result<InstallOutcome> ConflistInstaller::uninstall() {
  InstallOutcome outcome;
  outcome.standing = Standing::kNoPrimary;
  auto picture = lookAtFolder(files_, config_.folder);
  if (!picture.has_value() && picture.error().code != ErrorCode::kNotFound)
    return std::move(picture).error();
  if (picture.has_value()) {
    RAILHEAD_TRY(withdraw(*picture, outcome));
    if (const FolderFile* other = namedByHand(*picture, config_.file)) {
      outcome.note = shimPath() + " stays: " + other->name + " names it";
      return outcome;
    }
  }
  if (files_.exists(shimPath())) {
    RAILHEAD_TRY(files_.remove(shimPath()));
    outcome.changes.push_back("removed " + shimPath());
  }
  return outcome;
}

}  // namespace railhead::conflist
