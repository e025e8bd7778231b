#include "src/attach/journal.h"

#include "src/base/text.h"
#include "src/cni/json_input.h"

#include <array>

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

constexpr int kFormat = 1;
constexpr std::size_t kMaxFile = 256 << 10;  // bytes
constexpr std::string_view kSuffix = ".json";
constexpr std::array<std::string_view, 3> kStates{"attaching", "attached", "detaching"};

template <typename T>
void put(cni::Json& object, const char* key, const std::optional<T>& value) {
  if (value) object[key] = *value;
}

cni::Json encodeVf(const netlink::VfChange& vf) {
  cni::Json out = cni::Json::object();
  put(out, "vlan", vf.vlan);
  put(out, "vlanQos", vf.vlanQos);
  put(out, "vlanProtocol", vf.vlanProtocol);
  put(out, "spoofCheck", vf.spoofCheck);
  put(out, "trust", vf.trust);
  if (vf.linkState) out["linkState"] = static_cast<int>(*vf.linkState);
  put(out, "minTxRate", vf.minTxRate);
  put(out, "maxTxRate", vf.maxTxRate);
  return out;
}

cni::Json encodeRail(const RailRecord& rail) {
  cni::Json out;
  out["vf"] = rail.vf.toString();
  out["pf"] = rail.pf.toString();
  out["vfIndex"] = rail.vfIndex;
  out["rail"] = rail.rail;
  out["railSet"] = rail.railSet;
  out["network"] = rail.network;
  out["hostName"] = rail.hostName;
  out["mac"] = rail.mac.toString();
  out["mtu"] = rail.mtu;
  out["up"] = rail.up;
  out["vfBefore"] = encodeVf(rail.vfBefore);
  out["podName"] = rail.podName;
  out["podMtu"] = rail.podMtu;
  out["addresses"] = cni::Json::array();
  for (const IpPrefix& address : rail.addresses) out["addresses"].push_back(address.toString());
  out["rdma"] = rdmaUseName(rail.rdma);
  out["rdmaDevice"] = rail.rdmaDevice;
  out["vfInPod"] = encodeVf(rail.vfInPod);
  return out;
}

Error corrupt(std::string_view key) {
  return Error(ErrorCode::kCorrupt, "key " + std::string(key) + " is missing or has a wrong value");
}

Result<long long> numberIn(const cni::Json& object, std::string_view key) {
  const cni::Json* value = cni::member(object, key);
  if (value == nullptr || !value->is_number_integer()) return corrupt(key);
  return value->get<long long>();
}

Result<std::uint64_t> unsignedIn(const cni::Json& object, std::string_view key) {
  const cni::Json* value = cni::member(object, key);
  if (value == nullptr || !value->is_number_unsigned()) return corrupt(key);
  return value->get<std::uint64_t>();
}

Result<int> intIn(const cni::Json& object, std::string_view key) {
  RAILHEAD_TRY_ASSIGN(const long long value, numberIn(object, key));
  if (value < 0 || value > INT32_MAX) return corrupt(key);
  return static_cast<int>(value);
}

template <typename T>
void readOptional(const cni::Json& object, std::string_view key, std::optional<T>& field) {
  const cni::Json* value = cni::member(object, key);
  if (value == nullptr) return;
  if constexpr (std::is_same_v<T, bool>) {
    if (value->is_boolean()) field = value->get<bool>();
  } else {
    if (value->is_number_integer()) field = static_cast<T>(value->get<long long>());
  }
}

netlink::VfChange decodeVf(const cni::Json* object) {
  netlink::VfChange vf;
  if (object == nullptr) return vf;
  readOptional(*object, "vlan", vf.vlan);
  readOptional(*object, "vlanQos", vf.vlanQos);
  readOptional(*object, "vlanProtocol", vf.vlanProtocol);
  readOptional(*object, "spoofCheck", vf.spoofCheck);
  readOptional(*object, "trust", vf.trust);
  std::optional<int> state;
  readOptional(*object, "linkState", state);
  if (state && *state >= 0 && *state <= 2) vf.linkState = static_cast<netlink::VfLinkState>(*state);
  readOptional(*object, "minTxRate", vf.minTxRate);
  readOptional(*object, "maxTxRate", vf.maxTxRate);
  return vf;
}

// Text that must be there, parsed by T::parse.
template <typename T>
Result<T> parsedIn(const cni::Json& object, std::string_view key) {
  RAILHEAD_TRY_ASSIGN(const std::string text, cni::textMember(object, key, 256));
  return T::parse(text).addContext(key);
}

Result<RailRecord> decodeRail(const cni::Json& object) {
  RailRecord rail;
  RAILHEAD_TRY_ASSIGN(rail.vf, parsedIn<PciAddress>(object, "vf"));
  RAILHEAD_TRY_ASSIGN(rail.pf, parsedIn<PciAddress>(object, "pf"));
  RAILHEAD_TRY_ASSIGN(rail.vfIndex, intIn(object, "vfIndex"));
  RAILHEAD_TRY_ASSIGN(rail.rail, intIn(object, "rail"));
  RAILHEAD_TRY_ASSIGN(rail.railSet, cni::textMember(object, "railSet", 512));
  RAILHEAD_TRY_ASSIGN(rail.network, cni::textMember(object, "network", 512));
  RAILHEAD_TRY_ASSIGN(rail.hostName, cni::textMember(object, "hostName", 15));
  RAILHEAD_TRY(checkInterfaceName(rail.hostName, "hostName"));
  RAILHEAD_TRY_ASSIGN(rail.mac, parsedIn<Mac>(object, "mac"));
  RAILHEAD_TRY_ASSIGN(rail.mtu, intIn(object, "mtu"));
  const cni::Json* up = cni::member(object, "up");
  if (up == nullptr || !up->is_boolean()) return corrupt("up");
  rail.up = up->get<bool>();
  rail.vfBefore = decodeVf(cni::member(object, "vfBefore"));
  RAILHEAD_TRY_ASSIGN(rail.podName, cni::textMember(object, "podName", 15));
  RAILHEAD_TRY(checkInterfaceName(rail.podName, "podName"));
  RAILHEAD_TRY_ASSIGN(rail.podMtu, intIn(object, "podMtu"));
  const cni::Json* addresses = cni::member(object, "addresses");
  if (addresses == nullptr || !addresses->is_array()) return corrupt("addresses");
  for (const cni::Json& address : *addresses) {
    if (!address.is_string()) return corrupt("addresses");
    RAILHEAD_TRY_ASSIGN(const IpPrefix prefix, IpPrefix::parse(address.get<std::string>()));
    rail.addresses.push_back(prefix);
  }
  RAILHEAD_TRY_ASSIGN(const std::string rdma, cni::textMember(object, "rdma", 16));
  RAILHEAD_TRY_ASSIGN(rail.rdma, parseRdmaUse(rdma));
  RAILHEAD_TRY_ASSIGN(rail.rdmaDevice, cni::textMember(object, "rdmaDevice", 64));
  rail.vfInPod = decodeVf(cni::member(object, "vfInPod"));
  return rail;
}

Result<void> decodeHead(const cni::Json& object, Attachment& attachment) {
  RAILHEAD_TRY_ASSIGN(const int format, intIn(object, "format"));
  if (format != kFormat) return corrupt("format");
  RAILHEAD_TRY_ASSIGN(attachment.id.containerId, cni::textMember(object, "container", 128));
  RAILHEAD_TRY_ASSIGN(attachment.id.ifname, cni::textMember(object, "ifname", 15));
  RAILHEAD_TRY(checkInterfaceName(attachment.id.ifname, "ifname"));
  RAILHEAD_TRY_ASSIGN(const std::string state, cni::textMember(object, "state", 16));
  bool known = false;
  for (std::size_t i = 0; i < kStates.size(); ++i) {
    if (state != kStates[i]) continue;
    attachment.state = static_cast<AttachmentState>(i);
    known = true;
  }
  if (!known || attachment.id.containerId.empty()) return corrupt(known ? "container" : "state");
  RAILHEAD_TRY_ASSIGN(attachment.networkName, cni::textMember(object, "networkName", 253));
  RAILHEAD_TRY_ASSIGN(attachment.netnsPath, cni::textMember(object, "netns", 4096));
  RAILHEAD_TRY_ASSIGN(attachment.netns.device, unsignedIn(object, "netnsDevice"));
  RAILHEAD_TRY_ASSIGN(attachment.netns.inode, unsignedIn(object, "netnsInode"));
  RAILHEAD_TRY_ASSIGN(attachment.pod.podNamespace, cni::textMember(object, "podNamespace", 253));
  RAILHEAD_TRY_ASSIGN(attachment.pod.name, cni::textMember(object, "pod", 253));
  RAILHEAD_TRY_ASSIGN(attachment.pod.uid, cni::textMember(object, "podUid", 253));
  return {};
}

}  // namespace

std::string encodeAttachment(const Attachment& attachment) {
  cni::Json out;
  out["format"] = kFormat;
  out["container"] = attachment.id.containerId;
  out["ifname"] = attachment.id.ifname;
  out["state"] = kStates[static_cast<std::size_t>(attachment.state)];
  out["networkName"] = attachment.networkName;
  out["netns"] = attachment.netnsPath;
  out["netnsDevice"] = attachment.netns.device;
  out["netnsInode"] = attachment.netns.inode;
  out["podNamespace"] = attachment.pod.podNamespace;
  out["pod"] = attachment.pod.name;
  out["podUid"] = attachment.pod.uid;
  out["rails"] = cni::Json::array();
  for (const RailRecord& rail : attachment.rails) out["rails"].push_back(encodeRail(rail));
  return cni::dumpJson(out) + "\n";
}

Result<Attachment> decodeAttachment(std::string_view text) {
  Attachment attachment;
  RAILHEAD_TRY_ASSIGN(const cni::Json object, cni::parseJsonObject(text, "record"));
  RAILHEAD_TRY(decodeHead(object, attachment));
  const cni::Json* rails = cni::member(object, "rails");
  if (rails == nullptr || !rails->is_array()) return corrupt("rails");
  for (const cni::Json& rail : *rails) {
    RAILHEAD_TRY_ASSIGN(RailRecord record, decodeRail(rail));
    attachment.rails.push_back(std::move(record));
  }
  return attachment;
}

Result<Journal> Journal::open(os::Filesystem& files, const os::HostPaths& paths) {
  std::string directory = paths.state + "/attachments";
  RAILHEAD_TRY(files.makeDirectories(directory, 0700).addContext("open the attach journal"));
  return Journal(files, std::move(directory));
}

std::string Journal::pathOf(const AttachmentId& id) const {
  // '@' occurs in no container id, so two attachments never share a file. An interface name may
  // hold it, which does no harm after the first.
  return directory_ + "/" + id.containerId + "@" + id.ifname + std::string(kSuffix);
}

Result<void> Journal::write(const Attachment& attachment) {
  return files_->replaceFile(pathOf(attachment.id), encodeAttachment(attachment), 0600)
      .addContext("write the attach journal");
}

Result<void> Journal::erase(const AttachmentId& id) {
  return files_->remove(pathOf(id)).addContext("erase from the attach journal");
}

Result<Journal::Contents> Journal::readAll() {
  Contents contents;
  RAILHEAD_TRY_ASSIGN(const auto names,
                      files_->listDirectory(directory_).addContext("read the attach journal"));
  for (const std::string& name : names) {
    const std::string path = directory_ + "/" + name;
    if (name.starts_with('.')) {  // a write that was interrupted
      static_cast<void>(files_->remove(path).has_value());
      continue;
    }
    if (!name.ends_with(kSuffix)) continue;
    auto text = files_->readFile(path, kMaxFile);
    auto attachment = text.has_value() ? decodeAttachment(*text) : Result<Attachment>(text.error());
    if (!attachment.has_value()) {
      contents.damaged.push_back(std::move(attachment).error().addContext(path));
      continue;
    }
    contents.attachments.push_back(std::move(*attachment));
  }
  return contents;
}

}  // namespace railhead::attach
