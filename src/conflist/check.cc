#include "src/conflist/check.h"

#include "src/base/text.h"

#include <algorithm>
#include <string_view>

#include <nlohmann/json.hpp>

namespace railhead::conflist {
namespace {

using nlohmann::ordered_json;

bool isForbidden(const Error& error) { return error.code == ErrorCode::kPermissionDenied; }

constexpr const char* kMoreRights = "run check-cni as root, or as who may read it";

void findInFolder(os::Filesystem& files, CheckReport& report) {
  const CheckPlaces& places = report.places;
  auto picture = lookAtFolder(files, places.folder);
  if (!picture.has_value()) {
    report.folderForbidden = isForbidden(picture.error());
    report.findings.push_back(
        {true, picture.error().message,
         report.folderForbidden ? kMoreRights
                                : "install the primary network, or name the folder with --cni-conf",
         report.folderForbidden});
    return;
  }
  report.picture = std::move(*picture);
  if (report.picture.files.empty()) {
    report.findings.push_back(
        {true, places.folder + " holds no .conf, .conflist or .json file: no pod gets a network",
         "install the primary network"});
  }
  for (const FolderFile& file : report.picture.files) {
    if (file.problem.empty()) continue;
    const bool first = &file == report.picture.first();
    report.findings.push_back(
        {first, file.name + ": " + file.problem,
         file.forbidden ? kMoreRights
         : first        ? "mend or remove it: containerd reads it first and refuses every pod"
                        : "",
         file.forbidden});
  }
}

// Cilium with cni.exclusive renames the files of others.
void findRenamed(os::Filesystem& files, CheckReport& report) {
  const auto names = files.listDirectory(report.places.folder);
  if (!names.has_value()) return;
  const bool renamed = std::any_of(names->begin(), names->end(), [&](const std::string& name) {
    return name.starts_with(report.places.file + ".cilium_bak");
  });
  if (!renamed) return;
  const std::string what = "Cilium renamed " + report.places.file + " to .cilium_bak";
  if (report.picture.find(report.places.file) == nullptr) {
    report.findings.push_back({true, what, "set cni.exclusive=false in Cilium's values"});
  } else {
    report.findings.push_back({false, what + " once; the file is there again",
                               "remove " + report.places.file + ".cilium_bak"});
  }
}

void findPrograms(os::Filesystem& files, CheckReport& report) {
  const FolderFile* first = report.picture.first();
  if (first == nullptr || !first->configuration) return;
  const auto folders = split(report.places.binFolder, ':');
  for (const std::string& type : first->configuration->plugins) {
    std::vector<std::string> forbidden;  // folders that may hold it
    const bool present = std::any_of(folders.begin(), folders.end(), [&](std::string_view folder) {
      const auto status = files.status(std::string(folder) + "/" + type);
      if (!status.has_value() && isForbidden(status.error())) forbidden.emplace_back(folder);
      return status.has_value() && status->kind == os::FileKind::kFile;
    });
    report.programs.push_back({type, present             ? Presence::kThere
                                     : forbidden.empty() ? Presence::kMissing
                                                         : Presence::kUnseen});
    if (present) continue;
    if (!forbidden.empty()) {
      report.findings.push_back({true,
                                 "whether " + type + " is in " + join(forbidden, ":") +
                                     " cannot be seen: permission denied; " + first->name +
                                     " names it",
                                 kMoreRights, true});
      continue;
    }
    report.findings.push_back(
        {true,
         type + " is missing in " + report.places.binFolder + ", and " + first->name + " names it",
         type == kOurType ? "start railhead-agent with cni.conflist: true"
                          : "install the primary network's programs; if the runtime has several "
                            "folders of them, name all: --cni-bin A:B"});
  }
}

// Multus keeps the path that it found when it started.
void findMultusNetwork(const FolderFile& multus, CheckReport& report) {
  const std::string& ours = report.places.file;
  if (!namesFile(multus.text, ours)) return;
  const bool present = report.picture.find(ours) != nullptr;
  const std::string what = multus.name + " has " + ours + " as its cluster network";
  report.findings.push_back(
      present ? Finding{false, what, ""}
              : Finding{true, what + ", which is not there: every pod fails", "restart Multus"});
}

void findCall(CheckReport& report) {
  const FolderFile* first = report.picture.first();
  if (first == nullptr || !first->configuration) return;
  const Configuration& used = *first->configuration;
  if (used.isMultus()) {
    report.findings.push_back(
        {false, first->name + " is Multus': it calls railhead for networks of type railhead", ""});
    findMultusNetwork(*first, report);
    return;
  }
  if (!used.has(kOurType)) {
    const bool written = report.picture.find(report.places.file) != nullptr;
    report.findings.push_back({true,
                               "the runtime uses " + first->name + ", which does not call railhead",
                               written ? "set cni.file to a name that sorts before " + first->name
                                       : "start railhead-agent with cni.conflist: true"});
  } else if (!used.givesAnnotations) {
    report.findings.push_back(
        {true, first->name + " does not hand pod annotations to railhead",
         "add \"capabilities\": {\"io.kubernetes.cri.pod-annotations\": true} to its entry"});
  }
}

// What we wrote must say what the primary says now.
void findStale(CheckReport& report) {
  const FolderFile* ours = report.picture.find(report.places.file);
  const FolderFile* primary = report.picture.primary(report.places.file, "");
  if (ours == nullptr || primary == nullptr || !ours->configuration) return;
  auto expected = primary->configuration->plugins;
  expected.emplace_back(kOurType);
  if (ours->configuration->plugins == expected) return;
  report.findings.push_back({false, report.places.file + " is not behind " + primary->name,
                             "see whether railhead-agent runs: it follows the primary's file"});
}

void findAgent(os::Filesystem& files, CheckReport& report) {
  const auto socket = files.status(report.places.socket);
  if (socket.has_value()) return;
  if (isForbidden(socket.error())) {
    report.findings.push_back({true,
                               "whether an agent answers cannot be seen: " + socket.error().message,
                               kMoreRights, true});
    return;
  }
  report.findings.push_back(
      {true, "no agent answers at " + report.places.socket + ": pods with networks have to wait",
       "start railhead-agent"});
}

std::string describeFile(const FolderFile& file, bool used) {
  std::string line = "  " + file.name + (used ? "  (in use)" : "");
  if (!file.configuration) {
    return line + (file.forbidden ? "\n      not to be seen: " : "\n      broken: ") +
           file.problem + "\n";
  }
  const Configuration& read = *file.configuration;
  return line + "\n      network " + inQuotes(read.network) + ", version " +
         (read.version.empty() ? "not said" : read.version) + ": " + join(read.plugins, " -> ") +
         "\n";
}

std::string_view presenceText(Presence presence) {
  switch (presence) {
    case Presence::kThere:
      return "";
    case Presence::kMissing:
      return "  MISSING";
    case Presence::kUnseen:
      return "  not to be seen";
  }
  return "";
}

std::string_view verdictText(const CheckReport& report) {
  if (report.callsUs()) return "Pods that ask for networks get them from railhead.\n";
  if (report.cannotTell())
    return "Whether pods that ask for networks get them from railhead cannot be seen.\n";
  return "Pods that ask for networks do not get them.\n";
}

}  // namespace

bool CheckReport::callsUs() const {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& finding) { return finding.fails; });
}

bool CheckReport::cannotTell() const {
  return !callsUs() && std::all_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.forbidden || !finding.fails;
  });
}

CheckReport checkCni(os::Filesystem& files, const CheckPlaces& places) {
  CheckReport report;
  report.places = places;
  findInFolder(files, report);
  findRenamed(files, report);
  findPrograms(files, report);
  findCall(report);
  findStale(report);
  findAgent(files, report);
  return report;
}

std::string describe(const CheckReport& report) {
  std::string text =
      "CNI configurations in " + report.places.folder + ", in the runtime's order:\n";
  if (report.picture.files.empty())
    text += report.folderForbidden ? "  not to be seen\n" : "  none\n";
  for (const FolderFile& file : report.picture.files)
    text += describeFile(file, &file == report.picture.first());
  if (!report.programs.empty()) text += "Programs in " + report.places.binFolder + ":\n";
  for (const Program& program : report.programs)
    text.append("  " + program.type).append(presenceText(program.presence)).append("\n");
  for (const Finding& finding : report.findings) {
    text += (finding.fails ? "problem: " : "note: ") + finding.what + "\n";
    if (!finding.remedy.empty()) text += "  remedy: " + finding.remedy + "\n";
  }
  return text.append(verdictText(report));
}

std::string toJson(const CheckReport& report) {
  ordered_json json = {
      {"version", 1},
      {"folder", report.places.folder},
      {"binFolder", report.places.binFolder},
      {"works", report.cannotTell() ? ordered_json() : ordered_json(report.callsUs())},
      {"files", ordered_json::array()},
      {"programs", ordered_json::array()},
      {"findings", ordered_json::array()}};
  for (const FolderFile& file : report.picture.files) {
    ordered_json one = {{"name", file.name}, {"inUse", &file == report.picture.first()}};
    if (file.configuration) {
      one["network"] = file.configuration->network;
      one["cniVersion"] = file.configuration->version;
      one["plugins"] = file.configuration->plugins;
    } else {
      one["problem"] = file.problem;
    }
    json["files"].push_back(std::move(one));
  }
  for (const Program& program : report.programs) {
    const bool there = program.presence == Presence::kThere;
    json["programs"].push_back(
        {{"type", program.type},
         {"present",
          program.presence == Presence::kUnseen ? ordered_json() : ordered_json(there)}});
  }
  for (const Finding& finding : report.findings) {
    json["findings"].push_back(
        {{"fails", finding.fails}, {"what", finding.what}, {"remedy", finding.remedy}});
  }
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace railhead::conflist
