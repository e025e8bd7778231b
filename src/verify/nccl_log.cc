#include "src/verify/nccl_log.h"

#include "src/base/random.h"
#include "src/base/text.h"

#include <algorithm>
#include <tuple>

namespace railhead::verify {
namespace {

constexpr std::string_view kGdrFlag = "/GDRDMA";
constexpr std::size_t kMaxCarriers = 256;
constexpr std::size_t kMaxVersions = 8;
constexpr std::size_t kMaxWarnings = 32;
constexpr std::size_t kMaxTunings = 512;
constexpr std::size_t kMaxSettings = 64;
constexpr std::size_t kMaxDevices = 128;
constexpr std::size_t kMaxNetworks = 8;
constexpr std::size_t kMaxText = 256;  // of anything told by a log and kept

std::string kept(std::string_view text) { return std::string(text.substr(0, kMaxText)); }

// "2.28.9+cuda13.0" of "NCCL version 2.28.9+cuda13.0"; empty: no version.
std::string versionIn(std::string_view text) {
  const auto version = wordAfter(text, "NCCL version ");
  const bool plausible = !version.empty() && version.front() >= '0' && version.front() <= '9';
  return plausible ? kept(version) : std::string();
}

void addOnce(std::vector<std::string>& texts, std::string_view text, std::size_t most) {
  const std::string one = kept(text);
  const bool known = std::find(texts.begin(), texts.end(), one) != texts.end();
  if (!known && texts.size() < most) texts.push_back(one);
}

void addDevice(std::vector<NetDevice>& devices, NetDevice device) {
  const auto same = [&](const NetDevice& other) { return other.index == device.index; };
  const auto found = std::find_if(devices.begin(), devices.end(), same);
  if (found != devices.end()) {
    *found = std::move(device);
  } else if (devices.size() < kMaxDevices) {
    devices.push_back(std::move(device));
  }
}

}  // namespace

std::size_t NcclLog::KeyHash::operator()(const Key& key) const {
  SplitMix mix(static_cast<std::uint64_t>(static_cast<std::uint32_t>(key[1])) << 32 |
               static_cast<std::uint32_t>(key[2]));
  SplitMix again(mix.next() ^ static_cast<std::uint32_t>(key[0]));
  return static_cast<std::size_t>(again.next());
}

void NcclLog::line(std::string_view text, bool terminated) {
  ++statistics_.lines;
  const std::uint64_t damagedBefore = statistics_.damaged;
  std::size_t told = 0;
  forEachMessage(text, terminated, [&](const LogMessage& each) {
    if (message(each)) ++told;
  });
  // The end of a channel line that another process's output cut off: somewhere a path lacks it, and
  // what is left of that line may look whole.
  std::size_t flags = 0;
  for (auto at = text.find(kGdrFlag); at != std::string_view::npos;
       at = text.find(kGdrFlag, at + kGdrFlag.size())) {
    ++flags;
  }
  if (flags > told && statistics_.damaged == damagedBefore) {
    damagedLine(text);
    ++statistics_.tornFlags;
  }
}

void NcclLog::damagedLine(std::string_view text) {
  if (statistics_.damaged++ == 0) statistics_.firstDamaged = kept(text);
}

bool NcclLog::message(const LogMessage& message) {
  ++statistics_.messages;
  ChannelLine channelLine;
  switch (parseChannel(message, channelLine)) {
    case ChannelForm::kWhole:
      channel(message, channelLine);
      return channelLine.gdr;
    case ChannelForm::kDamaged:
      damagedLine(message.text);
      return false;
    case ChannelForm::kOld:
      ++statistics_.oldLines;
      return message.text.find(kGdrFlag) != std::string_view::npos;
    case ChannelForm::kNone:
      break;
  }
  if (message.level == LogLevel::kWarn) {
    if (warnings_.size() < kMaxWarnings) warnings_.push_back(kept(message.text));
  } else if (message.whole) {
    otherMessage(message);
  }
  return false;
}

void NcclLog::otherMessage(const LogMessage& message) {
  if (const auto told = parseTuning(message.text)) {
    tuning(*told);
    return;
  }
  const std::string version = versionIn(message.text);
  if (!version.empty()) addOnce(versions_, version, kMaxVersions);
  // Printed without a prefix, it does not say by whom.
  if (message.level == LogLevel::kVersion) return;
  const auto process = processOf(message);
  if (!process) return;
  if (!version.empty()) {
    processes_[*process].version = version;
  } else if (const auto told = parseInit(message.text)) {
    init(message, *told);
  } else {
    processMessage(message.text, processes_[*process]);
  }
}

void NcclLog::processMessage(std::string_view text, LoggedProcess& process) {
  for (const std::string_view before : {"Using network ", "Assigned NET plugin "}) {
    if (!text.starts_with(before)) continue;
    text.remove_prefix(before.size());
    if (text.ends_with(" to comm")) text.remove_suffix(8);
    addOnce(process.networks, text, kMaxNetworks);
    addOnce(networks_, text, kMaxNetworks);
    return;
  }
  if (const auto rings = parseRings(text)) {
    process.ringsConnected = true;
    if (rings->gdr) process.ringGdr = *rings->gdr && process.ringGdr.value_or(true);
  } else if (auto made = parseVirtualDevice(text)) {
    addDevice(process.devices, std::move(*made));
  } else if (const auto claim = parseGdrClaim(text)) {
    auto& claims = claim->aboutGpu ? process.gpuClaims : process.nicClaims;
    auto& first = claim->enabled ? claims.enabled : claims.disabled;
    ++claims.count;
    if (first.empty()) first = kept(claim->text);
  } else if (const auto setting = parseSetting(text)) {
    if (process.settings.size() < kMaxSettings) {
      process.settings.insert_or_assign(kept(setting->name), kept(setting->value));
    }
  } else {
    for (auto& device : parseNetDevices(text)) addDevice(process.devices, std::move(device));
  }
}

void NcclLog::tuning(const TuningLine& line) {
  const std::pair key(std::string(line.function), std::string(line.algorithm) + "/" +
                                                      std::string(line.protocol) + "/" +
                                                      std::to_string(line.channels));
  auto found = tunings_.find(key);
  if (found == tunings_.end()) {
    if (tunings_.size() == kMaxTunings) return;
    found = tunings_
                .emplace(key, LoggedTuning{std::string(line.function), std::string(line.algorithm),
                                           std::string(line.protocol), line.channels, line.bytes,
                                           line.bytes, 0})
                .first;
  }
  auto& told = found->second;
  told.smallest = std::min(told.smallest, line.bytes);
  told.largest = std::max(told.largest, line.bytes);
  ++told.count;
}

std::optional<std::uint32_t> NcclLog::processOf(const LogMessage& message) {
  std::pair key(kept(message.host), message.pid);
  const auto found = processIndex_.find(key);
  if (found != processIndex_.end()) return found->second;
  if (processes_.size() >= bounds_.processes) return std::nullopt;
  const auto index = static_cast<std::uint32_t>(processes_.size());
  auto& process = processes_.emplace_back();
  process.host = key.first;
  process.pid = key.second;
  states_.emplace_back();
  processIndex_.emplace(std::move(key), index);
  return index;
}

std::optional<std::uint16_t> NcclLog::carrierIndex(std::string_view name) {
  const auto found = std::find(carriers_.begin(), carriers_.end(), name);
  if (found != carriers_.end()) return static_cast<std::uint16_t>(found - carriers_.begin());
  if (carriers_.size() == kMaxCarriers) return std::nullopt;
  carriers_.emplace_back(name);
  return static_cast<std::uint16_t>(carriers_.size() - 1);
}

void NcclLog::channel(const LogMessage& message, const ChannelLine& line) {
  const auto process = processOf(message);
  if (process && line.medium == Medium::kNet && !mayUse(processes_[*process], line.carrier)) {
    damagedLine(message.text);
    return;
  }
  const std::int32_t communicator = process ? communicatorOf(*process, message.tid, line) : -1;
  if (communicator < 0) {
    ++statistics_.leftOut;
    return;
  }
  const Key key{communicator, line.from, line.to};
  auto found = pairs_.find(key);
  if (found == pairs_.end()) {
    if (pairs_.size() >= bounds_.pairs) {
      ++statistics_.leftOut;
      return;
    }
    found = pairs_.emplace(key, PackedPair{}).first;
  }
  auto& end = line.side == Side::kSend ? found->second.send : found->second.receive;
  end.process = *process;
  const auto carrier = carrierIndex(line.carrier);
  if (!carrier || line.device > 32767) {
    end.cut = true;
    ++statistics_.leftOut;
    return;
  }
  ++statistics_.channelLines;
  addPath(end, {std::uint64_t{1} << (line.channel & 63), line.proxyRank,
                static_cast<std::int16_t>(line.device), *carrier,
                static_cast<std::uint8_t>(line.medium), line.gdr, line.gdrOverPci});
}

// Lines of two processes in one another can make up names that nobody has.
bool NcclLog::mayUse(const LoggedProcess& process, std::string_view network) const {
  const auto& named = process.networks.empty() ? networks_ : process.networks;
  return named.empty() || std::find(named.begin(), named.end(), network) != named.end();
}

void NcclLog::addPath(PackedEnd& end, const PackedPath& path) const {
  const auto same = std::find_if(end.paths.begin(), end.paths.end(), [&](const auto& other) {
    return std::tie(other.proxyRank, other.device, other.carrier, other.medium, other.gdr,
                    other.gdrOverPci) == std::tie(path.proxyRank, path.device, path.carrier,
                                                  path.medium, path.gdr, path.gdrOverPci);
  });
  if (same != end.paths.end()) {
    same->channels |= path.channels;
  } else if (end.paths.size() < bounds_.pathsPerEnd) {
    end.paths.push_back(path);
  } else {
    end.cut = true;
  }
}

std::vector<LoggedTuning> NcclLog::tunings() const {
  std::vector<LoggedTuning> all;
  for (const auto& [key, told] : tunings_) all.push_back(told);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::tie(a.function, a.smallest, a.largest) <
           std::tie(b.function, b.smallest, b.largest);
  });
  return all;
}

EndPaths NcclLog::unpacked(const PackedEnd& end) const {
  EndPaths out;
  out.cut = end.cut;
  if (end.process >= 0) out.process = static_cast<std::uint32_t>(end.process);
  for (const auto& path : end.paths) {
    out.paths.push_back({static_cast<Medium>(path.medium), carriers_[path.carrier], path.device,
                         path.proxyRank, path.gdr, path.gdrOverPci, path.channels});
  }
  return out;
}

std::vector<LoggedPair> NcclLog::pairs() const {
  const auto place = places(resolved());
  const auto joined = [](EndPaths& into, EndPaths more) {
    if (!into.process) into.process = more.process;
    into.cut = into.cut || more.cut;
    for (auto& path : more.paths) into.paths.push_back(std::move(path));
  };
  std::vector<LoggedPair> all;
  all.reserve(pairs_.size());
  for (const auto& [key, pair] : pairs_) {
    all.push_back({place[static_cast<std::size_t>(key[0])], key[1], key[2], unpacked(pair.send),
                   unpacked(pair.receive)});
  }
  const auto order = [](const LoggedPair& pair) {
    return std::tie(pair.communicator, pair.from, pair.to);
  };
  std::sort(all.begin(), all.end(),
            [&](const auto& a, const auto& b) { return order(a) < order(b); });
  // The ends of a pair whose processes named no communicator were kept apart.
  std::size_t count = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (count > 0 && order(all[count - 1]) == order(all[i])) {
      joined(all[count - 1].send, std::move(all[i].send));
      joined(all[count - 1].receive, std::move(all[i].receive));
    } else if (count != i) {
      all[count++] = std::move(all[i]);
    } else {
      ++count;
    }
  }
  all.resize(count);
  return all;
}

std::vector<std::string> NcclLog::devicesOf(std::uint32_t process, const ChannelPath& path) const {
  const bool overDevice = path.medium == Medium::kNet && isVerbs(path.carrier);
  if (process >= processes_.size() || !overDevice) return {};
  const auto& devices = processes_[process].devices;
  for (const auto& device : devices) {
    if (device.index == path.device) return device.names;
  }
  // From 2.24 on NCCL numbers what it makes of devices after those it lists, and says so with
  // NCCL_DEBUG_SUBSYS=NET alone. Of a single one it can only have made that one again.
  if (devices.size() == 1 && path.device > devices[0].index) return devices[0].names;
  return {};
}

void NcclLogStream::feed(std::string_view bytes) {
  log_.statistics_.bytes += bytes.size();
  while (!bytes.empty()) {
    const auto newline = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, newline);
    const std::size_t room = log_.bounds_.line - std::min(line_.size(), log_.bounds_.line);
    if (piece.size() > room) tooLong_ = true;
    line_.append(piece.substr(0, room));
    if (newline == std::string_view::npos) return;
    finishLine(true);
    bytes.remove_prefix(newline + 1);
  }
}

void NcclLogStream::end() {
  if (!line_.empty() || tooLong_) finishLine(false);
}

void NcclLogStream::finishLine(bool terminated) {
  if (tooLong_) ++log_.statistics_.longLines;
  stripDecoration(line_);
  if (stripRepeats(line_)) ++log_.statistics_.repeated;
  log_.line(line_, terminated && !tooLong_);
  line_.clear();
  tooLong_ = false;
}

}  // namespace railhead::verify
