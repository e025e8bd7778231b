// What strace wrote about one phase of a round of kill_node.sh, and which of its calls are worth
// dying at: a death before a call that only reads is a death before the next call that changes
// something.
#pragma once

#include "src/base/text.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::lab {

struct TracedCall {
  std::string name;  // "sendmsg"
  int ordinal = 0;   // among the calls of that name, from 1, as strace counts
  std::string kind;  // what it does, without what differs from one VF or pod to the next
  bool changes = false;
  bool rpc = false;    // to kubelet, not to the kernel
  int rpcsBefore = 0;  // so many of those

  std::string at() const { return name + "@" + std::to_string(ordinal); }
};

// Text behind `before`, up to the first of `ends`; empty when it does not occur.
inline std::string textBehind(std::string_view line, std::string_view before, const char* ends) {
  const auto at = line.find(before);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = line.substr(at + before.size());
  return std::string(rest.substr(0, rest.find_first_of(ends)));
}

inline bool callChanges(const std::string& name, std::string_view line) {
  const auto has = [&](std::string_view text) { return line.find(text) != line.npos; };
  if (has(") = -1 ") && !has("INJECTED")) return false;
  if (name == "write") return !has("agent.log>") && !has("[eventfd]");
  if (name == "openat") return has("O_CREAT");
  if (name == "bind") return has("AF_UNIX");
  if (name == "fchmod" || name == "fsync") return false;
  if (name != "sendmsg") return true;
  // strace does not know the protocol of a socket that was opened before it came: numbers.
  // RTM_NEWLINK, NEWADDR, DELADDR; RDMA_NLDEV_CMD_SET, NEWLINK, DELLINK.
  const std::string type = textBehind(line, "nlmsg_type=", " ,");
  static constexpr std::string_view kChanging[] = {"0x10",        "0x14",        "0x15",
                                                   "RTM_NEWLINK", "RTM_NEWADDR", "RTM_DELADDR",
                                                   "0x1402",      "0x1403",      "0x1404"};
  return std::find(std::begin(kChanging), std::end(kChanging), type) != std::end(kChanging);
}

// The calls of one phase ("ADD", "DEL", "start") in what a round printed.
inline std::vector<TracedCall> tracedCalls(std::string_view printed, const std::string& phase) {
  std::vector<TracedCall> calls;
  std::map<std::string, int> seen;
  int rpcs = 0;
  for (const auto line : split(printed, '\n')) {
    if (!line.starts_with(phase + "> ")) continue;
    const std::string_view text = line.substr(phase.size() + 2);
    TracedCall call;
    call.name = std::string(text.substr(0, text.find('(')));
    call.ordinal = ++seen[call.name];
    call.changes = callChanges(call.name, text);
    const std::string file = textBehind(text, "<", ">");
    call.rpc = call.name == "sendmsg" && text.find("msg_name=NULL") != text.npos;
    call.kind = call.name + " ";
    if (call.name == "sendmsg") {
      call.kind +=
          textBehind(text, "nlmsg_type=", " ,") + " " + textBehind(text, "nlmsg_len=", ",");
    } else {
      call.kind += file.substr(file.rfind('/') + 1);
    }
    if (call.name == "write") call.kind += " " + textBehind(text, ">, ", ":,");
    call.rpcsBefore = rpcs;
    rpcs += call.rpc ? 1 : 0;
    calls.push_back(std::move(call));
  }
  return calls;
}

inline std::vector<TracedCall> changingCalls(std::string_view printed, const std::string& phase) {
  std::vector<TracedCall> calls = tracedCalls(printed, phase);
  std::erase_if(calls, [](const TracedCall& call) { return !call.changes; });
  return calls;
}

}  // namespace railhead::lab
