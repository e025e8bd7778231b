#include "src/verify/nccl_line.h"

#include "src/base/text.h"
#include "src/verify/line_cursor.h"

#include <algorithm>
#include <array>

namespace railhead::verify {
namespace {

constexpr std::string_view kMarker = "NCCL ";

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

// A raw terminal turns the end of a line into a run of spaces. NCCL writes no such run into a
// channel line, and who cuts another's line off begins with a name. Where the text before it ends,
// when the next message's origin, or Ray's "(Worker pid=12) " before it, follows right behind.
std::optional<std::size_t> paddedEnd(std::string_view head, const LogMessage& next) {
  constexpr std::string_view kRun = "    ";
  if (next.host.empty()) return std::nullopt;
  const auto before = head.substr(0, static_cast<std::size_t>(next.host.data() - head.data()));
  const auto run = before.rfind(kRun);
  if (run == std::string_view::npos) return std::nullopt;
  const auto prefix = before.substr(run + kRun.size());
  const std::size_t end = before.find_last_not_of(' ', run) + 1;  // npos + 1 is 0
  if (end == 0 || !(prefix.empty() || prefix.starts_with('('))) return std::nullopt;
  return end;
}

// The level of the marker at `at`; the length of the whole marker comes along.
std::optional<std::pair<LogLevel, std::size_t>> levelAt(std::string_view line, std::size_t at) {
  const std::string_view rest = line.substr(at + kMarker.size());
  if (rest.starts_with("INFO ")) return std::pair(LogLevel::kInfo, kMarker.size() + 5);
  if (rest.starts_with("WARN ")) return std::pair(LogLevel::kWarn, kMarker.size() + 5);
  if (rest.starts_with("version ")) return std::pair(LogLevel::kVersion, std::size_t{0});
  return std::nullopt;
}

// "/flush=None": how a receiver makes sure that what the NIC wrote can be seen, told since 2.31.
bool readFlush(Cursor& cursor) {
  if (!cursor.literal("/flush=")) return true;
  const std::string_view rest = cursor.rest();
  const auto length = std::find_if_not(rest.begin(), rest.end(), isLetter) - rest.begin();
  return !cursor.take(static_cast<std::size_t>(length)).empty();
}

// "/GDRDMA", "(PCI)", "/flush=None", "/Shared" and nothing else up to the end. The logs that have
// a flush have no "/Shared": it may stand on either side.
bool readNetFlags(Cursor& cursor, ChannelLine& line) {
  line.gdr = cursor.literal("/GDRDMA");
  line.gdrOverPci = line.gdr && cursor.literal("(PCI)");
  if (line.gdr && !readFlush(cursor)) return false;
  line.shared = cursor.literal("/Shared");
  if (line.gdr && line.shared && !readFlush(cursor)) return false;
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

// AMD's RCCL ends a channel line with " comm 0x2083dd50 nRanks 02", which NCCL's ends without.
std::string_view withoutCommunicator(std::string_view text) {
  const auto at = text.rfind(" comm 0x");
  if (at == std::string_view::npos) return text;
  const auto rest = text.substr(at + 8);
  const auto count = rest.find(" nRanks ");
  const bool known = count != std::string_view::npos && parseHex(rest.substr(0, count)) &&
                     parseUnsigned(rest.substr(count + 8));
  return known ? text.substr(0, at) : text;
}

}  // namespace

bool isVerbs(std::string_view carrier) {
  return carrier == "IB" || carrier.starts_with("IBext") || carrier.starts_with("NCCL RDMA Plugin");
}

void stripDecoration(std::string& line) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b' && i + 2 < line.size() && line[i + 1] == '(') {  // a character set
      i += 2;
      continue;
    }
    if (line[i] == '\x1b' && i + 1 < line.size() && line[i + 1] == '[') {
      i += 2;
      while (i < line.size() && (line[i] < '@' || line[i] > '~')) ++i;
      continue;
    }
    line[kept++] = line[i];
  }
  line.resize(kept);
  line.resize(line.find_last_not_of(" \t\r") + 1);  // npos + 1 is 0
}

bool stripRepeats(std::string& line) {
  const auto begin = line.rfind(" [repeated ");
  if (begin == std::string::npos) return false;
  Cursor cursor(std::string_view(line).substr(begin + 11));
  if (!cursor.number() || !cursor.literal("x across cluster]")) return false;
  line.resize(begin);
  return true;
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
    // Not from the line's beginning: a line full of markers would cost their square.
    const std::string_view head = line.substr(textBegin, at - textBegin);
    LogMessage next;
    next.level = level->first;
    readOrigin(head, next);
    const auto padded = paddedEnd(head, next);
    close(padded ? textBegin + *padded : at, padded.has_value());
    open = next;
    textBegin = at + level->second;
  }
  close(line.size(), terminated);
}

ChannelForm parseChannel(const LogMessage& message, ChannelLine& line) {
  line = {};
  Cursor cursor(withoutCommunicator(message.text));
  bool read = false;
  if (cursor.literal("Channel ")) {
    if (isRingListing(cursor.rest())) return ChannelForm::kNone;
    read = readChannel(cursor, line);
  } else if (cursor.literal("CollNet ")) {
    read = readCollNet(cursor, line);
  } else {
    const bool old =
        cursor.literal("Ring ") && cursor.rest().find(" via ") != std::string_view::npos;
    return old ? ChannelForm::kOld : ChannelForm::kNone;
  }
  return read && message.whole ? ChannelForm::kWhole : ChannelForm::kDamaged;
}

}  // namespace railhead::verify
