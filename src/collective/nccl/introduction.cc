#include "src/collective/nccl/introduction.h"

#include "src/base/text.h"

#include <algorithm>

namespace railhead::collective {
namespace {

// Lines: what this is, version, id in hexadecimal (or nothing), failure (the rest).
constexpr std::string_view kHead = "railhead-nccl 1";
constexpr std::size_t kMaxFailure = 2000;

std::string hexOf(const nccl::UniqueId& id) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char each : id) {
    const auto byte = static_cast<unsigned char>(each);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 0xf];
  }
  return out;
}

std::optional<nccl::UniqueId> idOf(std::string_view hex) {
  nccl::UniqueId id{};
  if (hex.size() != 2 * id.size()) return std::nullopt;
  for (std::size_t i = 0; i < id.size(); ++i) {
    const auto byte = parseHex(hex.substr(2 * i, 2));
    if (!byte) return std::nullopt;
    id[i] = static_cast<char>(*byte);
  }
  return id;
}

}  // namespace

std::string NcclIntroduction::encode() const {
  std::string text = failure.substr(0, kMaxFailure);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return std::string(kHead) + "\n" + std::to_string(version) + "\n" + (id ? hexOf(*id) : "") +
         "\n" + text;
}

Result<NcclIntroduction> NcclIntroduction::decode(std::string_view text) {
  const auto lines = split(text, '\n');
  NcclIntroduction out;
  if (lines.size() == 4 && lines[0] == kHead) {
    const auto version = parseUnsigned(lines[1]);
    out.id = idOf(lines[2]);
    out.failure = lines[3];
    if (version && *version < 1'000'000 && (out.id || lines[2].empty())) {
      out.version = static_cast<int>(*version);
      return out;
    }
  }
  return Error(ErrorCode::kCorrupt, "a rank introduced itself with " + inQuotes(text),
               "start the same version of this program on all ranks");
}

Result<nccl::UniqueId> agreedId(const std::vector<std::string>& texts, int ranks) {
  if (texts.size() != static_cast<std::size_t>(ranks))
    return Error(ErrorCode::kInternal, "not every rank introduced itself");
  std::vector<NcclIntroduction> all;
  for (const std::string& text : texts) {
    RAILHEAD_TRY_ASSIGN(auto each, NcclIntroduction::decode(text));
    if (!each.failure.empty()) {
      return Error(ErrorCode::kEnvironment,
                   "rank " + std::to_string(all.size()) + ": " + each.failure);
    }
    all.push_back(std::move(each));
  }
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank].version == all[0].version) continue;
    return Error(ErrorCode::kCheckFailed,
                 "the ranks have different versions of NCCL: rank 0 has " +
                     nccl::versionText(all[0].version) + ", rank " + std::to_string(rank) +
                     " has " + nccl::versionText(all[rank].version),
                 "use one image, or name the same libnccl.so.2 everywhere");
  }
  const auto& id = all[0].id;
  if (!id) return Error(ErrorCode::kInternal, "rank 0 sent no NCCL id");
  return *id;
}

}  // namespace railhead::collective
