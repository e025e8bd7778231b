#include "src/train/run_file.h"

#include "src/base/text.h"
#include "src/config/field.h"

#include <algorithm>
#include <cctype>

namespace railhead::train {
namespace {

using config::Field;

constexpr std::uint64_t kMaxWorld = 4096;
constexpr std::size_t kMaxWords = 256;
constexpr std::size_t kMaxWordLength = 16 << 10;
constexpr std::size_t kMaxVariables = 256;
constexpr std::size_t kMaxData = 1024;
constexpr double kMostSeconds = 30 * 86400;

bool isLabel(const std::string& text, std::size_t most) {
  const auto plain = [](unsigned char c) { return std::islower(c) != 0 || std::isdigit(c) != 0; };
  return !text.empty() && text.size() <= most && plain(static_cast<unsigned char>(text.front())) &&
         plain(static_cast<unsigned char>(text.back())) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return c == '-' || plain(static_cast<unsigned char>(c)); });
}

// Labels with dots between them: what most objects of a cluster may be called.
bool isObjectName(const std::string& text) {
  const auto parts = split(text, '.');
  return text.size() <= 253 && std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
           return isLabel(std::string(part), 63);
         });
}

Result<std::string> label(const Field& field, std::size_t most) {
  const std::string allowed =
      "1 to " + std::to_string(most) + " lower-case letters, digits and '-', none at either end";
  RAILHEAD_TRY_ASSIGN(std::string text, field.text(allowed, most));
  if (!isLabel(text, most)) return field.complainAllowed(allowed);
  return text;
}

Result<void> seconds(const Field& parent, std::string_view name, double least, double& into) {
  const Field field = parent.child(name);
  if (!field.present()) return {};
  const std::string allowed = "a number of seconds up to 2592000";
  RAILHEAD_TRY_ASSIGN(const std::string text, field.text(allowed, 32));
  const auto value = parseDouble(text);
  if (!value || *value < least || *value > kMostSeconds) return field.complainAllowed(allowed);
  into = *value;
  return {};
}

Result<void> oneOf(const Field& parent, std::string_view name,
                   const std::vector<std::string>& allowed, std::string& into) {
  const Field field = parent.child(name);
  if (!field.present()) return {};
  RAILHEAD_TRY_ASSIGN(std::string text, field.text(join(allowed, ", ")));
  if (std::find(allowed.begin(), allowed.end(), text) == allowed.end())
    return field.complainAllowed(join(allowed, ", "));
  into = std::move(text);
  return {};
}

Result<void> textOf(const Field& parent, std::string_view name, std::string_view allowed,
                    std::string& into) {
  const Field field = parent.child(name);
  if (!field.present()) return {};
  RAILHEAD_TRY_ASSIGN(into, field.text(allowed, 1024));
  return {};
}

// The name of an object in the cluster; what none has would be refused there, later.
Result<void> objectName(const Field& parent, std::string_view name, std::string_view what,
                        std::string& into) {
  RAILHEAD_TRY(textOf(parent, name, what, into));
  if (!into.empty() && !isObjectName(into)) {
    return parent.child(name).complainAllowed(std::string(what) +
                                              ", of lower-case letters, digits, '-' and '.'");
  }
  return {};
}

template <typename T>
Result<void> count(const Field& parent, std::string_view name, std::uint64_t least,
                   std::uint64_t most, T& into) {
  const Field field = parent.child(name);
  if (!field.present()) return {};
  RAILHEAD_TRY_ASSIGN(const auto value, field.number(least, most));
  into = static_cast<T>(value);
  return {};
}

bool isVariable(const std::string& name) {
  return !name.empty() && name.size() <= 128 &&
         std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

// What the launcher says itself; a run file cannot contradict it.
bool isReserved(const std::string& name) {
  static const std::vector<std::string> kReserved = {
      "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"};
  return name.starts_with("RAILHEAD_") ||
         std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end();
}

Result<void> readEnvironment(const Field& root, RunFile& out) {
  const Field field = root.child("environment");
  if (!field.present()) return {};
  if (!field.isMap() || field.keys().size() > kMaxVariables)
    return field.complainAllowed("a map of at most 256 variables");
  RAILHEAD_TRY(field.checkKeys(field.keys()));
  for (const std::string& name : field.keys()) {
    const Field one = field.child(name);
    if (!isVariable(name))
      return one.complain("is no name of a variable; allowed: letters, digits and '_'");
    if (isReserved(name)) return one.complain("is set by the launcher; allowed: other names");
    if (!one.isScalar()) return one.complainAllowed("a text");
    // An empty one is a value, too: as YAML has it, in quotes.
    auto value = one.text("a text of at most 4096 characters", 4096);
    RAILHEAD_TRY_ASSIGN(out.environment[name], std::move(value));
  }
  return {};
}

// "nvidia.com/gpu", "cpu": what an API server takes as a resource's name.
bool isResource(const std::string& name) {
  const auto slash = name.find('/');
  const bool prefixed = slash != std::string::npos;
  const std::string last = prefixed ? name.substr(slash + 1) : name;
  const auto plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return (!prefixed || isObjectName(name.substr(0, slash))) && !last.empty() && last.size() <= 63 &&
         plain(last.front()) && plain(last.back()) &&
         std::all_of(last.begin(), last.end(), [&](char c) {
           return plain(c) || std::string_view("._-").find(c) != std::string_view::npos;
         });
}

Result<void> readResources(const Field& root, RunFile& out) {
  const Field field = root.child("resources");
  if (!field.present()) return {};
  if (!field.isMap() || field.keys().size() > 16)
    return field.complainAllowed("a map of at most 16 resources, like nvidia.com/gpu: 1");
  RAILHEAD_TRY(field.checkKeys(field.keys()));
  out.resources.clear();
  for (const std::string& name : field.keys()) {
    const Field one = field.child(name);
    if (!isResource(name))
      return one.complain("is no name of a resource; allowed: like nvidia.com/gpu");
    RAILHEAD_TRY_ASSIGN(const auto number, one.number(1, 1024));
    out.resources[name] = std::to_string(number);
  }
  return {};
}

Result<void> readData(const Field& root, RunFile& out) {
  const Field field = root.child("data");
  if (!field.present()) return {};
  RAILHEAD_TRY_ASSIGN(const auto entries, field.list(0, kMaxData));
  for (const Field& entry : entries) {
    RAILHEAD_TRY(entry.checkKeys({"path", "sha256"}));
    DataFile file;
    RAILHEAD_TRY_ASSIGN(const Field path, entry.required("path", "a file"));
    RAILHEAD_TRY_ASSIGN(file.path, path.text("a file", 1024));
    file.line = path.line();
    if (const Field digest = entry.child("sha256"); digest.present()) {
      constexpr const char* kAllowed = "64 hexadecimal digits, in lower case";
      RAILHEAD_TRY_ASSIGN(file.sha256, digest.text(kAllowed, 64));
      const bool hex = file.sha256.size() == 64 &&
                       file.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
      if (!hex) return digest.complainAllowed(kAllowed);
      file.line = digest.line();
    }
    out.data.push_back(std::move(file));
  }
  return {};
}

Result<void> readRetry(const Field& root, RunFile& out) {
  const Field field = root.child("retry");
  if (!field.present()) return {};
  RAILHEAD_TRY(field.checkKeys({"restarts", "backoffSeconds", "backoffMaxSeconds", "notAfter"}));
  RAILHEAD_TRY(count(field, "restarts", 0, 10000, out.retry.restarts));
  RAILHEAD_TRY(seconds(field, "backoffSeconds", 0, out.retry.backoffSeconds));
  RAILHEAD_TRY(seconds(field, "backoffMaxSeconds", 0, out.retry.backoffMaxSeconds));
  const Field codes = field.child("notAfter");
  if (!codes.present()) return {};
  RAILHEAD_TRY_ASSIGN(const auto entries, codes.list(0, 64));
  out.retry.notAfter.clear();
  for (const Field& entry : entries) {
    RAILHEAD_TRY_ASSIGN(const auto code, entry.number(1, 255, "an exit code"));
    out.retry.notAfter.push_back(static_cast<int>(code));
  }
  return {};
}

Result<void> readDeadlines(const Field& root, RunFile& out) {
  const Field field = root.child("deadlines");
  if (!field.present()) return {};
  RAILHEAD_TRY(field.checkKeys({"startSeconds", "stepSeconds", "stopSeconds", "runSeconds"}));
  RAILHEAD_TRY(seconds(field, "startSeconds", 0, out.deadlines.start));
  RAILHEAD_TRY(seconds(field, "stepSeconds", 0, out.deadlines.step));
  RAILHEAD_TRY(seconds(field, "stopSeconds", 0, out.deadlines.stop));
  return seconds(field, "runSeconds", 0, out.deadlines.run);
}

Result<void> readVerify(const Field& root, RunFile& out) {
  const Field field = root.child("verify");
  if (!field.present()) return {};
  RAILHEAD_TRY(field.checkKeys({"expect", "minShare", "backend", "transport"}));
  VerifyFirst verify;
  RAILHEAD_TRY(oneOf(field, "expect", {"gdr", "rdma"}, verify.expect));
  RAILHEAD_TRY(oneOf(field, "backend", {"auto", "nccl", "host"}, verify.backend));
  RAILHEAD_TRY(oneOf(field, "transport", {"auto", "tcp", "verbs"}, verify.transport));
  if (const Field share = field.child("minShare"); share.present()) {
    RAILHEAD_TRY_ASSIGN(const std::string text, share.text("a number from 0 to 1", 32));
    verify.minShare = parseDouble(text);
    if (!verify.minShare || *verify.minShare < 0 || *verify.minShare > 1)
      return share.complainAllowed("a number from 0 to 1");
  }
  if (out.ranks < 2)
    return field.complain(
        "is of no use with one rank, which has no path; allowed: ranks: 2 or more");
  out.verify = verify;
  return {};
}

Result<void> readKubernetes(const Field& root, RunFile& out) {
  const Field field = root.child("kubernetes");
  if (!field.present()) return {};
  RAILHEAD_TRY(field.checkKeys(
      {"namespace", "network", "runtimeClass", "claim", "mountPath", "scheduler", "podGroup"}));
  auto& part = out.kubernetes;
  if (const Field space = field.child("namespace"); space.present()) {
    RAILHEAD_TRY_ASSIGN(part.namespaceName, label(space, 63));
  }
  if (const Field claim = field.child("claim"); claim.present()) {
    RAILHEAD_TRY_ASSIGN(part.claim, label(claim, 63));
  }
  RAILHEAD_TRY(textOf(field, "network", "a network's name, or none", part.network));
  RAILHEAD_TRY(objectName(field, "runtimeClass", "a RuntimeClass, or none", part.runtimeClass));
  RAILHEAD_TRY(objectName(field, "scheduler", "a scheduler's name", part.scheduler));
  RAILHEAD_TRY(oneOf(field, "podGroup", {"coscheduling", "volcano"}, part.podGroup));
  RAILHEAD_TRY(textOf(field, "mountPath", "an absolute path", part.mountPath));
  if (!part.mountPath.starts_with("/") || part.mountPath.find(':') != std::string::npos)
    return field.child("mountPath").complainAllowed("an absolute path without ':'");
  if (part.network == "none") part.network.clear();
  if (part.runtimeClass == "none") part.runtimeClass.clear();
  return {};
}

Result<void> readWorld(const Field& root, RunFile& out) {
  RAILHEAD_TRY_ASSIGN(const Field ranks, root.required("ranks", "1 to 4096"));
  RAILHEAD_TRY_ASSIGN(const auto world, ranks.number(1, kMaxWorld));
  out.ranks = static_cast<int>(world);
  RAILHEAD_TRY(count(root, "ranksPerNode", 1, kMaxWorld, out.ranksPerNode));
  if (out.ranks % out.ranksPerNode != 0) {
    return root.child("ranksPerNode")
        .complainAllowed("a number that divides ranks, which is " + std::to_string(out.ranks));
  }
  return textOf(root, "on", "local[:N], lab, ssh:HOST,HOST or kubernetes[:CONTEXT]", out.on);
}

Result<void> readCommand(const Field& root, RunFile& out) {
  RAILHEAD_TRY_ASSIGN(const Field command, root.required("command", "a list of words"));
  RAILHEAD_TRY_ASSIGN(const auto words, command.list(1, kMaxWords));
  for (const Field& word : words) {
    RAILHEAD_TRY_ASSIGN(out.command.emplace_back(), word.text("a word", kMaxWordLength));
  }
  RAILHEAD_TRY(textOf(root, "image", "the name of a container image", out.image));
  if (out.image.find_first_of(" \t\n") != std::string::npos)
    return root.child("image").complainAllowed("the name of a container image");
  return textOf(root, "profile", "a profile's file", out.profile);
}

}  // namespace

std::string RunFile::where(const std::string& field) const {
  const auto line = lines.find(field);
  return source + (line == lines.end() ? "" : ":" + std::to_string(line->second)) + ": " + field;
}

Result<RunFile> parseRunFile(std::string_view text, const std::string& source) {
  RAILHEAD_TRY_ASSIGN(const Field root, Field::parse(text, source));
  RAILHEAD_TRY(
      root.checkKeys({"schemaVersion", "name", "command", "image", "on", "ranks", "ranksPerNode",
                      "resources", "profile", "data", "seed", "steps", "environment", "checkpoints",
                      "retry", "deadlines", "verify", "kubernetes"}));
  RAILHEAD_TRY_ASSIGN(const Field version, root.required("schemaVersion", "1"));
  RAILHEAD_TRY(version.number(1, 1));
  RunFile out;
  out.source = source;
  for (const auto& key : root.keys()) out.lines[key] = root.child(key).line();
  RAILHEAD_TRY_ASSIGN(const Field name, root.required("name", "the run's name"));
  RAILHEAD_TRY_ASSIGN(out.name, label(name, 30));
  RAILHEAD_TRY(readCommand(root, out));
  RAILHEAD_TRY(readWorld(root, out));
  RAILHEAD_TRY(readResources(root, out));
  RAILHEAD_TRY(readData(root, out));
  RAILHEAD_TRY(count(root, "seed", 0, (1ULL << 63) - 1, out.seed));
  if (root.child("steps").present()) {
    RAILHEAD_TRY(count(root, "steps", 1, 1ULL << 48, out.steps.emplace()));
  }
  RAILHEAD_TRY(readEnvironment(root, out));
  if (const Field checkpoints = root.child("checkpoints"); checkpoints.present()) {
    RAILHEAD_TRY(checkpoints.checkKeys({"keep"}));
    RAILHEAD_TRY(count(checkpoints, "keep", 0, 1 << 20, out.keepCheckpoints));
  }
  RAILHEAD_TRY(readRetry(root, out));
  RAILHEAD_TRY(readDeadlines(root, out));
  RAILHEAD_TRY(readVerify(root, out));
  RAILHEAD_TRY(readKubernetes(root, out));
  return out;
}

}  // namespace railhead::train
