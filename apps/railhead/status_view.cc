#include "apps/railhead/status_view.h"

#include "src/base/text.h"
#include "src/report/terminal/table.h"

#include <cmath>
#include <cstdio>
#include <ostream>

#include <nlohmann/json.hpp>

namespace railhead::app {
namespace {

using Json = nlohmann::ordered_json;
using report::Ink;

// Tolerant reads: another version's agent, or anything else, may have answered.
const Json& member(const Json& json, const char* key) {
  static const Json nothing;
  if (!json.is_object()) return nothing;
  const auto found = json.find(key);
  return found == json.end() ? nothing : *found;
}
const Json& list(const Json& json, const char* key) {
  static const Json empty = Json::array();
  const Json& found = member(json, key);
  return found.is_array() ? found : empty;
}
std::string text(const Json& json, const char* key) {
  const Json& found = member(json, key);
  return found.is_string() ? found.get<std::string>() : std::string();
}
double number(const Json& json, const char* key) {
  const Json& found = member(json, key);
  return found.is_number() ? found.get<double>() : 0;
}
bool flag(const Json& json, const char* key) {
  const Json& found = member(json, key);
  return found.is_boolean() && found.get<bool>();
}

std::string shortNumber(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.6g", value);
  return buffer;
}

std::string linkText(const Json& pf) {
  if (!flag(pf, "up")) return "down";
  return flag(pf, "carrier") ? "up" : "no carrier";
}

std::string rateText(const Json& pf) {
  const double gbps = number(pf, "speedGbps");
  return gbps > 0 ? shortNumber(gbps) + " Gb/s" : "";
}

// "x4 32 GT/s", and what it could be when that is more.
std::string pcieText(const Json& pf) {
  const Json& link = member(pf, "pcie");
  const double width = number(link, "width");
  if (width <= 0) return "";
  const auto both = [](double lanes, double rate) {
    return "x" + shortNumber(lanes) + (rate > 0 ? " " + shortNumber(rate) + " GT/s" : "");
  };
  const std::string now = both(width, number(link, "gigatransfers"));
  const std::string most = both(number(link, "maxWidth"), number(link, "maxGigatransfers"));
  const bool less = number(link, "maxWidth") > width ||
                    number(link, "maxGigatransfers") > number(link, "gigatransfers");
  return less ? now + " of " + most : now;
}

// "cage 1: 0 of 2": which cage of the node, and its place in it.
std::string twinText(const Json& node, const std::string& pci) {
  std::size_t number = 0;
  for (const Json& cage : list(node, "cages")) {
    ++number;
    if (!cage.is_array() || cage.size() < 2) continue;
    for (const Json& pf : cage) {
      if (pf.is_string() && pf.get<std::string>() == pci) return "cage " + std::to_string(number);
    }
  }
  return "";
}

struct Holder {
  std::string pod;
  std::string addresses;
};

Holder holderOf(const Json& status, const std::string& device) {
  Holder holder;
  for (const Json& attachment : list(status, "attachments")) {
    for (const Json& rail : list(attachment, "rails")) {
      if (text(rail, "rail_set") != device) continue;
      holder.pod = text(attachment, "namespace") + "/" + text(attachment, "pod");
      if (!flag(attachment, "attached")) holder.pod += " (under way)";
      if (!holder.addresses.empty()) holder.addresses += ", ";
      holder.addresses += text(rail, "name");
      for (const Json& address : list(rail, "addresses")) {
        if (address.is_string()) holder.addresses += " " + address.get<std::string>();
      }
    }
  }
  return holder;
}

struct Tally {
  std::size_t devices = 0;
  std::size_t healthy = 0;
};

Tally tallyOf(const Json& resource) {
  Tally tally;
  for (const Json& device : list(resource, "devices")) {
    ++tally.devices;
    if (flag(device, "healthy")) ++tally.healthy;
  }
  return tally;
}

// Rail resources, then those of GPUs.
std::vector<const Json*> resourcesOf(const Json& status) {
  std::vector<const Json*> all;
  for (const Json& one : list(status, "resources")) all.push_back(&one);
  for (const Json& one : list(member(status, "gpus"), "resources")) all.push_back(&one);
  return all;
}

std::string resourceLine(const Json& resource) {
  const Tally tally = tallyOf(resource);
  std::string line = text(resource, "name") + " " + std::to_string(tally.healthy) + " of " +
                     std::to_string(tally.devices) + " healthy";
  if (text(resource, "state") != "registered") {
    line += ", " + text(resource, "state");
    if (const auto detail = text(resource, "detail"); !detail.empty()) line += ": " + detail;
  }
  return line;
}

bool allIsWell(const Json& status) {
  for (const Json* resource : resourcesOf(status)) {
    const Tally tally = tallyOf(*resource);
    if (tally.healthy < tally.devices || text(*resource, "state") != "registered") return false;
  }
  return list(status, "withheld").empty();
}

class Screen {
 public:
  Screen(std::ostream& out, const report::TerminalStyle& style) : out_(out), style_(style) {}

  void nodeLine(const NodeAnswer& answer, const Json& status) {
    std::string line = answer.node;
    bool well = answer.problem.empty();
    if (!well) {
      line += "  " + answer.problem;
    } else {
      well = allIsWell(status);
      std::vector<std::string> parts;
      for (const Json* resource : resourcesOf(status)) parts.push_back(resourceLine(*resource));
      if (parts.empty()) parts.emplace_back("offers nothing");
      line += "  " + join(parts, "; ");
      const auto withheld = list(status, "withheld").size();
      if (withheld > 0) line += "; " + std::to_string(withheld) + " rail sets lack a VF";
    }
    const std::string mark = style_.unicode ? (well ? "●" : "✗") : (well ? "*" : "x");
    line = report::printable(line);
    if (style_.terminal)
      line = report::cutToWidth(line, style_.columns > 2 ? style_.columns - 2 : 0);
    out_ << style_.paint(well ? Ink::kGood : Ink::kBad, mark) << ' ' << line << '\n';
  }

  void addNode(const std::string& name, const Json& status) {
    const Json& node = member(status, "node");
    for (const Json& pf : list(node, "pfs")) {
      pfs_.addRow(
          {name, text(pf, "name"), linkText(pf), rateText(pf), pcieText(pf),
           twinText(node, text(pf, "pci")),
           shortNumber(number(pf, "numVfs")) + " of " + shortNumber(number(pf, "totalVfs"))});
    }
    for (const Json* resource : resourcesOf(status)) {
      for (const Json& device : list(*resource, "devices")) {
        const Holder holder = holderOf(status, text(device, "id"));
        const std::string reason = text(device, "reason");
        const std::string health = flag(device, "healthy") ? "healthy" : "unhealthy: " + reason;
        devices_.addRow({name, text(*resource, "name"), shortNumber(number(device, "index")),
                         holder.pod.empty() ? "-" : holder.pod, holder.addresses, health});
      }
    }
    addProfile(name, member(status, "profile"));
    addPrivileges(name, member(status, "privileges"));
  }

  void tables() {
    out_ << '\n';
    pfs_.print(out_, style_);
    out_ << '\n';
    devices_.print(out_, style_);
    if (anyProfile_) {
      out_ << '\n';
      profiles_.print(out_, style_);
    }
    if (!anyPrivileges_) return;
    out_ << '\n';
    privileges_.print(out_, style_);
  }

 private:
  // Only of agents that are told of one.
  void addProfile(const std::string& name, const Json& profile) {
    if (!profile.is_object()) return;
    anyProfile_ = true;
    const std::string hash = text(profile, "hash").substr(0, 12);
    profiles_.addRow({name, hash.empty() ? "none" : hash, text(profile, "since").substr(0, 19),
                      text(profile, "state"), text(profile, "detail")});
  }

  // An older agent tells nothing of them.
  void addPrivileges(const std::string& name, const Json& privileges) {
    if (!privileges.is_object()) return;
    anyPrivileges_ = true;
    if (!flag(privileges, "restricted")) {
      privileges_.addRow({name, "all", "nothing was given up"});
      return;
    }
    for (const Json& one : list(privileges, "kept"))
      privileges_.addRow({name, text(one, "capability"), text(one, "why")});
    for (const Json& one : list(privileges, "missing"))
      privileges_.addRow({name, text(one, "capability"), "missing, to " + text(one, "why")});
    if (list(privileges, "kept").empty() && list(privileges, "missing").empty())
      privileges_.addRow({name, "none", ""});
  }

  std::ostream& out_;
  const report::TerminalStyle& style_;
  report::Table pfs_{{{"NODE"}, {"PF"}, {"LINK"}, {"RATE"}, {"PCIE"}, {"TWINS"}, {"VFS"}}};
  bool anyProfile_ = false;
  report::Table profiles_{{{"NODE"}, {"PROFILE"}, {"SINCE (UTC)"}, {"STATE"}, {"WHY"}}};
  bool anyPrivileges_ = false;
  report::Table privileges_{{{"NODE"}, {"CAPABILITY"}, {"WHY"}}};
  report::Table devices_{{{"NODE"}, {"RESOURCE"}, {"#"}, {"HELD BY"}, {"ADDRESSES"}, {"HEALTH"}}};
};

Json parsed(const std::string& status) {
  Json json = Json::parse(status, nullptr, false);
  return text(json, "schema") == "railhead.agent-status/1" ? json : Json();
}

}  // namespace

std::vector<NodeAnswer> checkedAnswers(std::vector<NodeAnswer> answers) {
  for (auto& answer : answers) {
    if (answer.problem.empty() && parsed(answer.json).is_null()) {
      answer.problem = "the answer is no status of an agent: " + inQuotes(answer.json, 60);
    }
    if (!answer.problem.empty()) answer.json.clear();
    // A node alone does not always know what the cluster calls it.
    if (answer.node.empty()) answer.node = text(member(parsed(answer.json), "node"), "hostname");
    if (answer.node.empty()) answer.node = "this node";
  }
  return answers;
}

void printStatus(std::ostream& out, const std::vector<NodeAnswer>& answers,
                 const report::TerminalStyle& style) {
  Screen screen(out, style);
  bool any = false;
  for (const auto& answer : answers) {
    const Json status = parsed(answer.json);
    screen.nodeLine(answer, status);
    if (status.is_null()) continue;
    screen.addNode(answer.node, status);
    any = true;
  }
  if (any) screen.tables();
}

std::string statusToJson(const std::vector<NodeAnswer>& answers) {
  Json json{{"schema", "railhead.status/1"}, {"nodes", Json::array()}};
  for (const auto& answer : answers) {
    Json node{{"node", answer.node}};
    if (answer.problem.empty()) {
      node["status"] = parsed(answer.json);
    } else {
      node["problem"] = answer.problem;
    }
    json["nodes"].push_back(std::move(node));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace railhead::app
