#include "src/conflist/uninstall.h"

#include "src/conflist/installer.h"
#include "src/json/json.h"

#include <cstdint>

#include <nlohmann/json.hpp>

namespace railhead::conflist {
namespace {

constexpr std::size_t kMaxCached = 4096;  // files looked at

int valueOf(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Base64 as Go writes bytes into JSON; ends at what is none.
std::string decoded(const std::string& text) {
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = valueOf(c);
    if (value < 0) break;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xff);
  }
  return bytes;
}

// Whether a file of the cache holds a list with our plugin in it.
bool namesUs(os::Filesystem& files, const std::string& path) {
  const auto text = files.readFile(path, kMaxFile);
  if (!text.has_value()) return false;
  const auto entry = json::parseObject(*text, path);
  const auto* config = entry.has_value() ? json::member(*entry, "config") : nullptr;
  const auto* encoded = config == nullptr ? nullptr : config->get_ptr<const std::string*>();
  if (encoded == nullptr) return false;
  const auto list = readConfiguration(decoded(*encoded), true);
  return list.has_value() && list->has(kOurType);
}

std::size_t podsMadeWithUs(os::Filesystem& files, const std::string& cache) {
  const auto names = files.listDirectory(cache);
  if (!names.has_value()) return 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < names->size() && i < kMaxCached; ++i)
    count += namesUs(files, cache + "/" + (*names)[i]) ? 1 : 0;
  return count;
}

}  // namespace

Result<UninstallOutcome> uninstall(os::Filesystem& files, const UninstallPlaces& places) {
  UninstallOutcome outcome;
  const std::string program = places.binFolder + "/" + std::string(kOurType);
  auto picture = lookAtFolder(files, places.folder);
  if (!picture.has_value() && picture.error().code != ErrorCode::kNotFound)
    return std::move(picture).error();
  if (picture.has_value()) {
    const bool present = picture->find(places.file) != nullptr;
    const FolderFile* user = present ? userOf(*picture, places.file) : nullptr;
    if (user != nullptr) {
      outcome.stays = places.file + " stays: " + user->name +
                      " has it as its network; end Multus, run this again, and start Multus again";
      return outcome;
    }
    if (present) {
      const std::string path = places.folder + "/" + places.file;
      RAILHEAD_TRY(files.remove(path));
      outcome.changes.push_back("removed " + path);
    }
    if (const FolderFile* other = namedByHand(*picture, places.file)) {
      outcome.stays = program + " stays: " + other->name + " names it; mend that file first";
      return outcome;
    }
  }
  if (!files.exists(program)) return outcome;
  if (const std::size_t pods = podsMadeWithUs(files, places.cache); pods > 0) {
    outcome.stays = program + " stays: " + std::to_string(pods) +
                    " pods were made with it, and CRI-O takes them down with it; run this again "
                    "when they are gone, or with containerd remove it by hand";
    return outcome;
  }
  RAILHEAD_TRY(files.remove(program));
  outcome.changes.push_back("removed " + program);
  return outcome;
}

}  // namespace railhead::conflist
