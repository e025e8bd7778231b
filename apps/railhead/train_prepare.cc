#include "apps/railhead/train_prepare.h"

#include "apps/railhead/user_files.h"
#include "apps/usage/values.h"
#include "src/base/text.h"
#include "src/checkpoint/file_digest.h"
#include "src/collective/world.h"
#include "src/digest/sha256.h"
#include "src/launch/gang.h"
#include "src/os/host_paths.h"
#include "src/os/process.h"
#include "src/tune/export.h"

#include <algorithm>
#include <filesystem>

#include <nlohmann/json.hpp>

namespace railhead::app {
namespace {

constexpr std::size_t kMaxRunFile = 256 << 10;
constexpr std::size_t kMaxProfile = 4 << 20;
constexpr std::size_t kMaxScript = 64 << 20;
constexpr std::chrono::seconds kGitTime{10};
constexpr const char* kImage = "RAILHEAD_IMAGE";  // as --image of verify
constexpr std::chrono::seconds kPodsGo{10};       // for one that is stopped to take its own away

std::string below(const std::string& folder, const std::string& path) {
  return (std::filesystem::path(folder) / path).lexically_normal().string();
}

// Empty when git has nothing to say.
std::optional<std::string> git(const std::string& folder, std::vector<std::string> words) {
  os::ProcessSpec spec;
  spec.argv = {"git", "-C", folder};
  spec.argv.insert(spec.argv.end(), words.begin(), words.end());
  spec.deadline = kGitTime;
  const auto said = os::SystemProcessRunner().run(spec);
  if (!said.has_value() || said->exitCode != 0) return std::nullopt;
  return std::string(trim(said->output));
}

Result<train::NamedFile> dataOf(const ReadRunFile& file, std::size_t index) {
  const train::DataFile& data = file.run.data[index];
  const std::string field =
      file.run.source + ":" + std::to_string(data.line) + ": data[" + std::to_string(index) + "]";
  auto digest = checkpoint::digestOf(below(file.folder, data.path));
  if (!digest.has_value()) return std::move(digest.error()).addContext(field + ".path");
  if (data.sha256.empty() || data.sha256 == digest->sha256)
    return train::NamedFile{data.path, digest->bytes, digest->sha256};
  return Error(ErrorCode::kCheckFailed,
               field + ".sha256 is " + data.sha256 + " and " + data.path + " has " + digest->sha256,
               "bring the data back that the run file means, or write the digest of these");
}

// The lowest share of all directions that have one.
std::optional<double> lowestShare(const nlohmann::json& report) {
  std::optional<double> out;
  const auto directions = report.find("directions");
  if (directions == report.end() || !directions->is_array()) return out;
  for (const auto& direction : *directions) {
    const auto share = direction.find("share");
    if (share == direction.end() || !share->is_number()) continue;
    out = std::min(out.value_or(share->get<double>()), share->get<double>());
  }
  return out;
}

// The pods of verify ask for what the run's do; their image is railhead's own.
std::vector<std::string> podWords(const train::RunFile& run) {
  const auto orNone = [](const std::string& text) { return text.empty() ? "none" : text; };
  const auto& part = run.kubernetes;
  std::vector<std::string> out = {
      "--ranks",   std::to_string(run.ranks), "--namespace",     part.namespaceName,
      "--network", orNone(part.network),      "--runtime-class", orNone(part.runtimeClass)};
  for (const auto& [name, count] : run.resources)
    out.insert(out.end(), {"--resource", name + "=" + count});
  return out;
}

bool isInPods(const TrainPlace& place) {
  return place.placement.kind == launch::Placement::Kind::kKubernetes;
}

std::vector<std::string> verifyWords(const train::VerifyFirst& verify, const TrainPlace& place,
                                     const train::RunFile& run, const Context& context) {
  std::vector<std::string> out = {
      context.program, "verify",    "--on",         place.placement.toString(),
      "--json",        "--backend", verify.backend, "--transport",
      verify.transport};
  if (place.lab != nullptr) out.insert(out.end(), {"--lab", place.lab->name()});
  if (isInPods(place)) {
    const auto pods = podWords(run);
    out.insert(out.end(), pods.begin(), pods.end());
  }
  if (!verify.expect.empty()) out.insert(out.end(), {"--expect", verify.expect});
  if (verify.minShare) out.insert(out.end(), {"--min-share", std::to_string(*verify.minShare)});
  return out;
}

}  // namespace

Result<ReadRunFile> readRunFile(const std::string& path) {
  ReadRunFile out;
  RAILHEAD_TRY_ASSIGN(out.path, usage::absolutePath(path));
  out.folder = std::filesystem::path(out.path).parent_path().string();
  auto text = readText(out.path, kMaxRunFile);
  if (!text.has_value() && text.error().code == ErrorCode::kExhausted) {
    text.error().code = ErrorCode::kInvalidArgument;
    return std::move(text.error())
        .withRemedy(
            "keep scripts and data in files of their own, in a cluster in the image or the "
            "claim, and name them in the run file");
  }
  RAILHEAD_TRY_ASSIGN(out.text, std::move(text));
  RAILHEAD_TRY_ASSIGN(out.run, train::parseRunFile(out.text, path));
  return out;
}

Result<ReadRunFile> readOwnRunFile(const train::RunFolder& folder,
                                   const train::Manifest& manifest) {
  RAILHEAD_TRY_ASSIGN(auto file, readRunFile(folder.runFile()));
  file.folder = manifest.code.folder;
  if (digest::sha256Hex(file.text) == manifest.runFile.sha256) return file;
  return Error(ErrorCode::kCheckFailed,
               "run_file.sha256: " + folder.runFile() + " is not what the run began with",
               "bring it back, or begin another run with it: railhead train run");
}

train::Code codeOf(const std::string& folder, const std::vector<std::string>& command) {
  train::Code out;
  out.folder = folder;
  if (auto revision = git(folder, {"rev-parse", "HEAD"})) {
    out.revision = std::move(*revision);
    const auto changed = git(folder, {"status", "--porcelain", "--untracked-files=no"});
    out.modified = changed && !changed->empty();
  }
  for (const auto& word : command) {
    const std::string path = below(folder, word);
    std::error_code none;
    if (!std::filesystem::is_regular_file(path, none) ||
        std::filesystem::file_size(path, none) > kMaxScript)
      continue;
    const auto digest = checkpoint::digestOf(path);
    if (digest.has_value()) out.scripts.push_back({word, digest->bytes, digest->sha256});
  }
  return out;
}

std::string changedScript(const train::Code& then, const train::Code& now) {
  for (const auto& script : then.scripts) {
    if (std::find(now.scripts.begin(), now.scripts.end(), script) == now.scripts.end()) {
      return script.path;
    }
  }
  return {};
}

Result<train::Manifest> newManifest(const ReadRunFile& file, const launch::Placement& placement) {
  const train::RunFile& run = file.run;
  train::Manifest out;
  out.state = "running";
  out.railhead = RAILHEAD_VERSION;
  out.runFile = {"run.yaml", file.text.size(), digest::sha256Hex(file.text)};
  out.command = run.command;
  out.image = run.image;
  if (const auto at = run.image.find('@'); at != std::string::npos)
    out.imageDigest = run.image.substr(at + 1);
  out.seed = run.seed;
  out.code = codeOf(file.folder, run.command);
  for (std::size_t i = 0; i < run.data.size(); ++i) {
    if (placement.kind == launch::Placement::Kind::kKubernetes) {
      // In the image or the claim, which is not ours to read: its digest is the image's.
      out.data.push_back({run.data[i].path, 0, run.data[i].sha256});
      continue;
    }
    RAILHEAD_TRY_ASSIGN(auto data, dataOf(file, i));
    out.data.push_back(std::move(data));
  }
  out.place = placeOf(run, placement);
  return out;
}

train::Place placeOf(const train::RunFile& run, const launch::Placement& placement) {
  train::Place out;
  out.on = placement.toString();
  out.ranks = run.ranks;
  out.ranksPerNode =
      placement.kind == launch::Placement::Kind::kLocal ? run.ranks : run.ranksPerNode;
  return out;
}

Result<void> checkData(const train::Manifest& manifest, const std::string& folder) {
  RAILHEAD_TRY_ASSIGN(const auto placement, launch::Placement::parse(manifest.place.on));
  if (placement.kind == launch::Placement::Kind::kKubernetes) return {};
  for (std::size_t i = 0; i < manifest.data.size(); ++i) {
    const auto& data = manifest.data[i];
    const std::string field = "data[" + std::to_string(i) + "]";
    auto digest = checkpoint::digestOf(below(folder, data.path));
    if (!digest.has_value()) return std::move(digest.error()).addContext(field + ".path");
    if (digest->sha256 == data.sha256) continue;
    return Error(ErrorCode::kCheckFailed,
                 field + ".sha256: " + data.path + " has " + digest->sha256 +
                     " and had, when the run began, " + data.sha256,
                 "bring the data back; with other data it is another run: railhead train run");
  }
  return {};
}

Result<void> checkProfile(const ReadRunFile& file) {
  if (file.run.profile.empty()) return {};
  const std::string path = below(file.folder, file.run.profile);
  const std::string field = file.run.where("profile");
  RAILHEAD_TRY_ASSIGN(const std::string text, readText(path, kMaxProfile).addContext(field));
  RAILHEAD_TRY(tune::parseProfile(text, path).addContext(field));
  return {};
}

Result<std::map<std::string, std::string>> applyRunProfile(const ReadRunFile& file,
                                                           const train::RunFolder& folder,
                                                           os::Filesystem& files,
                                                           train::Manifest& manifest) {
  std::map<std::string, std::string> out;
  if (file.run.profile.empty()) return out;
  const std::string path = below(file.folder, file.run.profile);
  RAILHEAD_TRY_ASSIGN(const std::string text, readText(path, kMaxProfile));
  RAILHEAD_TRY_ASSIGN(const auto profile, tune::parseProfile(text, path));
  manifest.profile = tune::profileHash(profile);
  RAILHEAD_TRY(files.makeDirectories(folder.profile()));
  RAILHEAD_TRY(files.replaceFile(folder.profile() + "/profile.yaml", text));
  const std::string conf = folder.profile() + "/nccl.conf";
  RAILHEAD_TRY(files.replaceFile(conf, tune::ncclConf(profile)));
  out["NCCL_CONF_FILE"] = conf;
  if (profile.table.empty()) return out;
  const std::string table = folder.profile() + "/nccl-tuner.table";
  RAILHEAD_TRY_ASSIGN(const std::string rows, tune::tunerTable(profile));
  RAILHEAD_TRY(files.replaceFile(table, rows));
  out["RAILHEAD_TUNER_TABLE"] = table;
  return out;
}

Result<train::Verdict> verifyFirst(const train::RunFile& run, const TrainPlace& place,
                                   int interruptFd, const Context& context) {
  if (isInPods(place) && collective::processEnvironment()(kImage).value_or("").empty()) {
    return Error(
        ErrorCode::kInvalidArgument,
        run.where("verify") + " has pods of its own in a cluster, and nothing says of which image",
        std::string("name one that holds railhead in ") + kImage +
            ", or take verify out of the run file");
  }
  launch::RankCommand command;
  command.node = "this machine";
  command.argv = verifyWords(*run.verify, place, run, context);
  launch::GangSettings settings;
  if (isInPods(place)) settings.grace = kPodsGo;
  settings.interruptFd = interruptFd;
  RAILHEAD_TRY_ASSIGN(const auto end,
                      launch::runGang({command}, settings, os::HostPaths().dev + "/null"));
  if (end.interrupted) return Error(ErrorCode::kUnavailable, "interrupted");
  const auto& rank = end.ranks.front();
  const auto report = nlohmann::json::parse(rank.output, nullptr, false);
  if (!report.is_object() || !report.contains("verdict") || !report["verdict"].is_string()) {
    return Error(rank.exitCode == static_cast<int>(ExitCode::kEnvironment)
                     ? ErrorCode::kEnvironment
                     : ErrorCode::kUnavailable,
                 "verify before the start: " + end.reason(), end.remedy());
  }
  train::Verdict out;
  out.verdict = report["verdict"].get<std::string>();
  out.expected = rank.exitCode == 0;
  out.share = lowestShare(report);
  return out;
}

std::map<std::string, std::string> telling(const std::map<std::string, std::string>& own) {
  static const std::vector<std::string> kBeginnings = {
      "NCCL_",     "CUDA_",  "CUBLAS",   "CUDNN_",         "OMP_", "MKL_",
      "OPENBLAS_", "TORCH_", "PYTORCH_", "PYTHONHASHSEED", "UCX_", "GLOO_"};
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : own) {
    const auto begins = [&](const std::string& beginning) { return name.starts_with(beginning); };
    if (std::any_of(kBeginnings.begin(), kBeginnings.end(), begins)) out[name] = value;
  }
  return out;
}

}  // namespace railhead::app
