#include "src/verify/nccl_line.h"

#include "src/base/text.h"

#include <algorithm>
#include <array>

namespace railhead::verify {
namespace {

constexpr std::string_view kMarker = "NCCL ";

// No locale has a say here.
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool isWordByte(char c) { return isDigit(c) || isLetter(c) || c == '_'; }

// Takes one piece after the other from the front of a text.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  std::string_view rest() const { return rest_; }
  bool atEnd() const { return rest_.empty(); }

  bool literal(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }

  // Up to seven digits: no rank, channel or device has more.
  std::optional<int> number() {
    const auto digits = std::find_if_not(rest_.begin(), rest_.end(), isDigit) - rest_.begin();
    if (digits == 0 || digits > 7) return std::nullopt;
    const auto value = parseUnsigned(take(static_cast<std::size_t>(digits)));
    if (!value) return std::nullopt;
    return static_cast<int>(*value);
  }

  // "[1901000]": a bus id in hexadecimal (2.18.1) or a device number. What it says is not needed.
  bool bracketed() {
    if (!literal("[")) return false;
    const auto isHex = [](char c) { return isDigit(c) || (c >= 'a' && c <= 'f'); };
    const auto length = std::find_if_not(rest_.begin(), rest_.end(), isHex) - rest_.begin();
    if (length == 0 || length > 16) return false;
    rest_.remove_prefix(static_cast<std::size_t>(length));
    return literal("]");
  }

  std::string_view take(std::size_t length) {
    const std::string_view taken = rest_.substr(0, length);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

// Reads "host:pid:tid [cudaDev] " (and, for a warning, "file:line ") off the end of `head`.
void readOrigin(std::string_view head, LogMessage& message) {
  const auto bracket = head.rfind(" [");
  if (bracket == std::string_view::npos) return;
  std::string_view rest = head.substr(0, bracket);
  const auto lastNumber = [&rest]() -> std::optional<std::uint64_t> {
    const auto colon = rest.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto value = parseUnsigned(rest.substr(colon + 1));
    if (value) rest = rest.substr(0, colon);
    return value;
  };
  const auto tid = lastNumber();
  if (!tid) return;
  const auto pid = lastNumber();
  if (!pid) return;
  message.tid = *tid;
  message.pid = *pid;
  const auto isHostByte = [](char c) { return isWordByte(c) || c == '.' || c == '-'; };
  const auto begin = std::find_if_not(rest.rbegin(), rest.rend(), isHostByte);
  message.host = rest.substr(static_cast<std::size_t>(rest.rend() - begin));
}

// The level of the marker at `at`; the length of the whole marker comes along.
std::optional<std::pair<LogLevel, std::size_t>> levelAt(std::string_view line, std::size_t at) {
  const std::string_view rest = line.substr(at + kMarker.size());
  if (rest.starts_with("INFO ")) return std::pair(LogLevel::kInfo, kMarker.size() + 5);
  if (rest.starts_with("WARN ")) return std::pair(LogLevel::kWarn, kMarker.size() + 5);
  if (rest.starts_with("version ")) return std::pair(LogLevel::kVersion, std::size_t{0});
  return std::nullopt;
}

// "/GDRDMA", "(PCI)", "/Shared" and nothing else up to the end.
bool readNetFlags(Cursor& cursor, ChannelLine& line) {
  line.gdr = cursor.literal("/GDRDMA");
  line.gdrOverPci = line.gdr && cursor.literal("(PCI)");
  line.shared = cursor.literal("/Shared");
  return cursor.atEnd();
}

// "IB/0", "AWS Libfabric/0(3)/GDRDMA".
bool readNet(Cursor& cursor, ChannelLine& line) {
  const auto slash = cursor.rest().find('/');
  if (slash == 0 || slash == std::string_view::npos || slash > 64) return false;
  line.carrier = cursor.take(slash);
  const auto isNameByte = [](char c) { return isWordByte(c) || c == ' ' || c == '-' || c == '.'; };
  if (!std::all_of(line.carrier.begin(), line.carrier.end(), isNameByte)) return false;
  cursor.literal("/");
  const auto device = cursor.number();
  if (!device) return false;
  line.device = *device;
  if (line.medium == Medium::kNet && cursor.literal("(")) {
    const auto proxy = cursor.number();
    if (!proxy || !cursor.literal(")")) return false;
    line.proxyRank = *proxy;
  }
  return readNetFlags(cursor, line);
}

// "CUMEM/read", "direct pointer", "indirect/1[2]/read", "IPC/CE".
bool readP2p(Cursor& cursor, ChannelLine& line) {
  for (const std::string_view kind : {"direct pointer", "IPC", "CUMEM", "MNNVL", "indirect"}) {
    if (!cursor.literal(kind)) continue;
    line.carrier = kind;
    if (kind == "indirect" && !(cursor.literal("/") && cursor.number() && cursor.bracketed())) {
      return false;
    }
    cursor.literal("/read");
    cursor.literal("/CE");
    return cursor.atEnd();
  }
  return false;
}

bool readShm(Cursor& cursor, ChannelLine& line) {
  line.carrier = cursor.rest();
  static constexpr std::array<std::string_view, 5> kForms{"direct", "direct/direct", "CE/direct",
                                                          "direct/CE", "CE/CE"};
  return std::find(kForms.begin(), kForms.end(), line.carrier) != kForms.end();
}

bool readSide(Cursor& cursor, ChannelLine& line) {
  if (cursor.literal(" [send]")) {
    line.side = Side::kSend;
  } else if (cursor.literal(" [receive]")) {
    line.side = Side::kReceive;
  } else {
    return false;
  }
  return true;
}

// What follows "Channel ".
bool readChannel(Cursor cursor, ChannelLine& line) {
  const auto channel = cursor.number();
  if (!channel) return false;
  line.channel = *channel;
  if (cursor.literal("/") && !cursor.number()) return false;
  if (!cursor.literal(" : ")) return false;
  const auto from = cursor.number();
  if (!from || !cursor.bracketed() || !cursor.literal(" -> ")) return false;
  const auto to = cursor.number();
  if (!to || !cursor.bracketed()) return false;
  line.from = *from;
  line.to = *to;
  const bool sided = readSide(cursor, line);
  if (!cursor.literal(" via ")) return false;
  if (cursor.literal("NET/")) return sided && readNet(cursor, line);
  if (sided) return false;
  if (cursor.literal("P2P/")) {
    line.medium = Medium::kP2p;
    return readP2p(cursor, line);
  }
  line.medium = Medium::kShm;
  return cursor.literal("SHM/") && readShm(cursor, line);
}

// What follows "CollNet ": "00/0 : 3 [send] via COLLNET/SHARP/0/GDRDMA".
bool readCollNet(Cursor cursor, ChannelLine& line) {
  line.medium = Medium::kCollNet;
  const auto channel = cursor.number();
  if (!channel || !cursor.literal("/") || !cursor.number() || !cursor.literal(" : ")) return false;
  line.channel = *channel;
  const auto rank = cursor.number();
  if (!rank || !readSide(cursor, line) || !cursor.literal(" via COLLNET/")) return false;
  line.from = *rank;
  return readNet(cursor, line);
}

// "00/04 :    0   1   2": which ranks a ring has, not how they are connected.
bool isRingListing(std::string_view rest) {
  return rest.find(':') != std::string_view::npos &&
         std::all_of(rest.begin(), rest.end(),
                     [](char c) { return isDigit(c) || c == ' ' || c == '/' || c == ':'; });
}

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
  const std::string_view link = text.substr(slash + 1);
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

void stripDecoration(std::string& line) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b' && i + 1 < line.size() && line[i + 1] == '[') {
      i += 2;
      while (i < line.size() && (line[i] < '@' || line[i] > '~')) ++i;
      continue;
    }
    line[kept++] = line[i];
  }
  while (kept > 0 && (line[kept - 1] == '\r' || line[kept - 1] == ' ')) --kept;
  line.resize(kept);
}

void forEachMessage(std::string_view line, bool terminated,
                    const std::function<void(const LogMessage&)>& take) {
  std::optional<LogMessage> open;
  std::size_t textBegin = 0;
  const auto close = [&](std::size_t end, bool whole) {
    if (!open) return;
    open->text = line.substr(textBegin, end - textBegin);
    open->whole = whole;
    take(*open);
  };
  for (auto at = line.find(kMarker); at != std::string_view::npos;
       at = line.find(kMarker, at + kMarker.size())) {
    const auto level = levelAt(line, at);
    // "NCCL INFO NCCL version 2.28.9" is one message.
    if (!level || (open && textBegin == at)) continue;
    close(at, false);
    open.emplace();
    open->level = level->first;
    readOrigin(line.substr(0, at), *open);
    textBegin = at + level->second;
  }
  close(line.size(), terminated);
}

ChannelForm parseChannel(const LogMessage& message, ChannelLine& line) {
  line = {};
  Cursor cursor(message.text);
  bool read = false;
  if (cursor.literal("Channel ")) {
    if (isRingListing(cursor.rest())) return ChannelForm::kNone;
    read = readChannel(cursor, line);
  } else if (cursor.literal("CollNet ")) {
    read = readCollNet(cursor, line);
  } else {
    return ChannelForm::kNone;
  }
  return read && message.whole ? ChannelForm::kWhole : ChannelForm::kDamaged;
}

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
