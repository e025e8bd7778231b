// What NCCL says beside its channels: who is which rank, devices, claims, rings, tuning, settings.
#include "src/base/text.h"
#include "src/verify/line_cursor.h"
#include "src/verify/nccl_line.h"

#include <algorithm>
#include <array>

namespace railhead::verify {
namespace {

// The text between `key` and the next space; nullopt without `key`.
std::optional<std::string_view> field(std::string_view text, std::string_view key) {
  const auto at = text.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = text.substr(at + key.size());
  return rest.substr(0, rest.find(' '));
}

std::optional<std::uint64_t> hexField(std::string_view text, std::string_view key) {
  const auto value = field(text, key);
  return value ? parseHex(*value) : std::nullopt;
}

// A decimal number that may be negative, as colours are.
std::int64_t signedField(std::string_view text, std::string_view key) {
  auto value = field(text, key).value_or("");
  if (value.ends_with('-') && value.size() > 1) value.remove_suffix(1);  // "key 0- Init START"
  const bool negative = value.starts_with('-');
  const auto magnitude = parseUnsigned(value.substr(negative ? 1 : 0)).value_or(0) & 0x7fffffff;
  return negative ? -static_cast<std::int64_t>(magnitude) : static_cast<std::int64_t>(magnitude);
}

constexpr std::array<std::string_view, 7> kAlgorithms{
    "TREE", "RING", "COLLNET_DIRECT", "COLLNET_CHAIN", "NVLS", "NVLS_TREE", "PAT"};
constexpr std::array<std::string_view, 3> kProtocols{"LL", "LL128", "SIMPLE"};

template <std::size_t N>
std::string_view nameOf(std::string_view told, const std::array<std::string_view, N>& names) {
  const auto number = parseUnsigned(told);
  return number && *number < N ? names[*number] : told;
}

// "mlx5_0:1/RoCE", in 2.30 "mlx5_0:1:2:3/RoCE"; the name alone. nullopt when it is cut.
std::optional<std::string> deviceName(std::string_view text) {
  const auto colon = text.find(':');
  const auto slash = text.find('/');
  if (colon == 0 || colon == std::string_view::npos || slash == std::string_view::npos ||
      slash < colon) {
    return std::nullopt;
  }
  std::string_view link = text.substr(slash + 1);
  if (link.ends_with("/SHARP")) link.remove_suffix(6);  // the NGC plugin, where NICs can aggregate
  if (link != "RoCE" && link != "IB") return std::nullopt;
  return std::string(text.substr(0, colon));
}

// "{[0] mlx5_0:1/RoCE, [1] mlx5_1:1/RoCE}" without the braces.
std::vector<std::string> mergedNames(std::string_view text) {
  std::vector<std::string> names;
  for (const std::string_view part : split(text, ',')) {
    const auto close = part.find("] ");
    if (close == std::string_view::npos) return {};
    auto name = deviceName(part.substr(close + 2));
    if (!name) return {};
    names.push_back(std::move(*name));
  }
  return names;
}
}  // namespace

std::optional<InitLine> parseInit(std::string_view text) {
  InitLine line;
  line.complete = text.ends_with("Init COMPLETE");
  if (!line.complete && !text.ends_with("Init START")) return std::nullopt;
  const auto comm = hexField(text, "comm ");
  const auto rank = parseUnsigned(field(text, " rank ").value_or(""));
  const auto count = parseUnsigned(field(text, " nranks ").value_or(""));
  if (!comm || !rank || !count || *count > 0xffffff || *rank >= *count) return std::nullopt;
  line.comm = *comm;
  line.rank = static_cast<int>(*rank);
  line.rankCount = static_cast<int>(*count);
  line.commId = hexField(text, " commId ");
  line.parent = hexField(text, " parent ").value_or(0);
  if (!line.commId && line.parent == 0) return std::nullopt;
  line.splitCount = signedField(text, "splitCount ");
  if (line.splitCount == 0) line.splitCount = signedField(text, "childCount ");
  line.color = signedField(text, " color ");
  return line;
}

std::vector<NetDevice> parseNetDevices(std::string_view text) {
  const std::string_view begin = "NET/IB : Using ";
  std::vector<NetDevice> devices;
  if (!text.starts_with(begin)) return devices;
  text.remove_prefix(begin.size());
  text = text.substr(0, text.find(';'));
  bool merged = false;
  int ordinal = 0;
  while (!text.empty()) {
    const auto open = text.find('[');
    if (open == std::string_view::npos) break;
    text.remove_prefix(open + 1);
    const auto close = text.find(']');
    if (close == std::string_view::npos) break;
    const auto index = parseUnsigned(text.substr(0, close));
    text.remove_prefix(close + 1);
    if (!index || *index > 4096) continue;  // "[RO]"
    NetDevice device{static_cast<int>(*index), {}};
    if (text.starts_with("={")) {
      merged = true;
      const auto end = text.find('}');
      if (end == std::string_view::npos) break;
      device.names = mergedNames(text.substr(2, end - 2));
      text.remove_prefix(end + 1);
    } else if (auto name = deviceName(text.substr(0, text.find(' ')))) {
      device.names.push_back(std::move(*name));
    }
    const int position = ordinal++;
    // 2.20 to 2.23 print the physical number of a device that is alone, and count merged ones.
    if (merged) device.index = position;
    if (!device.names.empty()) devices.push_back(std::move(device));
  }
  return devices;
}

std::optional<NetDevice> parseVirtualDevice(std::string_view text) {
  Cursor cursor(text);
  if (!cursor.literal("NET/IB : Made virtual device [")) return std::nullopt;
  const auto index = cursor.number();
  if (!index || !cursor.literal("] name=")) return std::nullopt;
  NetDevice device{*index, {}};
  const std::string_view names = cursor.rest().substr(0, cursor.rest().find(' '));
  for (const std::string_view name : split(names, '+')) {
    if (name.empty() || device.names.size() == 16) return std::nullopt;
    device.names.emplace_back(name);
  }
  return device;
}

std::optional<GdrClaim> parseGdrClaim(std::string_view text) {
  const auto at = text.find("GPU Direct RDMA ");
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = text.substr(at);
  GdrClaim claim;
  claim.text = text;
  claim.enabled = rest.find("nabled") != std::string_view::npos;
  if (!claim.enabled && rest.find("isabled") == std::string_view::npos) return std::nullopt;
  // "... for HCA 0 'mlx5_0'" against "... for GPU 0 / HCA 0 (distance 4 <= 5)".
  claim.aboutGpu = rest.find("for GPU") != std::string_view::npos;
  return claim;
}

std::optional<RingsLine> parseRings(std::string_view text) {
  Cursor cursor(text);
  if (!cursor.literal("Connected all rings")) return std::nullopt;
  if (cursor.atEnd()) return RingsLine{};
  if (!cursor.literal(", use ring PXN ") || !cursor.number() || !cursor.literal(" GDR ")) {
    return std::nullopt;
  }
  const auto gdr = cursor.number();
  if (!gdr || !cursor.atEnd()) return std::nullopt;
  return RingsLine{*gdr != 0};
}

std::optional<TuningLine> parseTuning(std::string_view text) {
  const auto arrow = text.find(" Bytes -> Algo ");
  if (arrow == std::string_view::npos) return std::nullopt;
  TuningLine line;
  std::string_view before = text.substr(0, arrow);
  if (const auto colon = before.find(": "); colon != std::string_view::npos) {
    line.function = before.substr(0, colon);
    before.remove_prefix(colon + 2);
  }
  const auto bytes = parseUnsigned(before);
  const auto algorithm = field(text, " Algo ");
  const auto protocol = field(text, " proto ");
  if (!bytes || !algorithm || !protocol || line.function.size() > 32) return std::nullopt;
  if (algorithm->size() > 32 || protocol->size() > 32) return std::nullopt;
  line.bytes = *bytes;
  line.algorithm = nameOf(*algorithm, kAlgorithms);
  line.protocol = nameOf(*protocol, kProtocols);
  if (const auto range = text.find("channel{Lo..Hi}={"); range != std::string_view::npos) {
    Cursor cursor(text.substr(range + 17));
    const auto low = cursor.number();
    const auto high = cursor.literal("..") ? cursor.number() : std::nullopt;
    if (low && high && *high >= *low) line.channels = *high - *low + 1;
  }
  return line;
}

std::optional<SettingLine> parseSetting(std::string_view text) {
  if (!text.starts_with("NCCL_")) return std::nullopt;
  const std::string_view name =
      text.substr(0, static_cast<std::size_t>(
                         std::find_if_not(text.begin(), text.end(), isWordByte) - text.begin()));
  Cursor cursor(text.substr(name.size()));
  if (!cursor.literal(" set by environment to ") && !cursor.literal(" set to ")) {
    return std::nullopt;
  }
  std::string_view value = cursor.rest();
  if (value.ends_with('.')) value.remove_suffix(1);  // numbers end in a full stop
  return SettingLine{name, value};
}

std::string_view wordAfter(std::string_view text, std::string_view before) {
  if (!text.starts_with(before)) return {};
  text.remove_prefix(before.size());
  return text.substr(0, text.find(' '));
}

}  // namespace railhead::verify
