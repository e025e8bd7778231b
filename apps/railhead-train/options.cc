#include "apps/railhead-train/options.h"

#include "apps/usage/values.h"
#include "src/base/text.h"
#include "src/trainer/tokens.h"

#include <algorithm>

#include <CLI/CLI.hpp>

namespace railhead::trainer_app {
namespace {

constexpr std::uint64_t kMost = 1'000'000'000;

void addModelOptions(CLI::App& app, Options& options) {
  app.add_option("--model", options.model,
                 "its sizes: " + join(trainer::shapeNames(), ", ") + "; what follows changes them")
      ->capture_default_str();
  app.add_option("--layers", options.layers, "blocks")->check(CLI::Range(1, 1024));
  app.add_option("--heads", options.heads, "of attention")->check(CLI::Range(1, 1024));
  app.add_option("--width", options.width, "of the residual stream")->check(CLI::Range(1, 1 << 16));
  app.add_option("--context", options.context, "tokens of a sequence")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--vocabulary", options.vocabulary, "rows of the token embedding, 256 or more")
      ->check(CLI::Range(256, 1 << 24));
  app.add_option("--data", options.data,
                 "text files, or folders of them (default: the licences of package base-files)");
  app.add_option("--tokens", options.tokens,
                 "bytes, or bpe:N: so many tokens, learned from the text by byte pair encoding")
      ->capture_default_str();
}

void addStepOptions(CLI::App& app, Options& options) {
  app.add_option("--steps", options.steps, "of the whole run (RAILHEAD_STEPS)")
      ->check(CLI::Range(std::uint64_t{1}, kMost))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "sequences of a step, over all ranks")
      ->check(CLI::Range(std::uint64_t{1}, kMost))
      ->capture_default_str();
  app.add_option("--micro-batch", options.microBatch,
                 "sequences of one pass of a rank; the gradients of several are added up "
                 "(default: all at once)")
      ->check(CLI::Range(std::uint64_t{1}, kMost));
  app.add_option("--learning-rate", options.learningRate, "its peak")
      ->check(usage::realRange(0.0, 1e3))
      ->capture_default_str();
  app.add_option("--learning-rate-floor", options.floorShare,
                 "what a cosine brings it down to, as a share of the peak")
      ->check(usage::realRange(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--warmup", options.warmup, "steps of a linear rise to the peak")
      ->check(CLI::Range(std::uint64_t{0}, kMost))
      ->capture_default_str();
  app.add_option("--weight-decay", options.weightDecay, "of matrices")
      ->check(usage::realRange(0.0, 1e3))
      ->capture_default_str();
  app.add_option("--beta1", options.beta1, "of AdamW")
      ->check(usage::realRange(0.0, 0.999999))
      ->capture_default_str();
  app.add_option("--beta2", options.beta2, "of AdamW")
      ->check(usage::realRange(0.0, 0.999999))
      ->capture_default_str();
  app.add_option("--epsilon", options.epsilon, "of AdamW")
      ->check(usage::realRange(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--clip", options.clip, "largest norm of the gradient, 0: any")
      ->check(usage::realRange(0.0, 1e9))
      ->capture_default_str();
  app.add_option("--seed", options.seed,
                 "of the initial weights and the order of the data (RAILHEAD_SEED)")
      ->capture_default_str();
}

void addMachineOptions(CLI::App& app, Options& options) {
  app.add_option("--type", options.type,
                 "of weights and gradients; with bf16 parameters and moments stay in fp32")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  app.add_option(
         "--engine", options.engine,
         "what computes: torch (LibTorch), loops (float32 on one thread, for small models), "
         "auto: torch where it was built in")
      ->check(CLI::IsMember({"auto", "torch", "loops"}))
      ->capture_default_str();
  app.add_option("--device", options.device,
                 "cuda: the GPU that LOCAL_RANK says, over NCCL; cpu: over Gloo; auto: cuda "
                 "where LibTorch sees one")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "of the CPU (default: LibTorch's own choice)")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--deterministic", options.deterministic,
               "the same bits again from the same machine and number of ranks");
  app.add_option("--shard", options.shard,
                 "zero1: each rank keeps its part of the optimizer's state; none: all of it")
      ->check(CLI::IsMember({"zero1", "none"}))
      ->capture_default_str();
  app.add_option("--bucket", options.bucketBytes,
                 "gradients that travel together while the backward pass goes on")
      ->transform(usage::sizeValue())
      ->default_str("25MiB");
  app.add_option("--transport", options.transport,
                 "of ranks on CPUs: verbs (RDMA), tcp, auto: verbs where every rank has a rail")
      ->check(CLI::IsMember({"auto", "verbs", "tcp"}))
      ->capture_default_str();
  app.add_option("--rail", options.rails,
                 "of ranks on CPUs, once per rail: DEVICE or DEVICE@ADDRESS for verbs, an own "
                 "ADDRESS for tcp (default: every rail here; for tcp the address towards "
                 "MASTER_ADDR)");
  app.add_option("--nccl-library", options.ncclLibrary,
                 "the libnccl to load (default: as the loader finds libnccl.so.2)");
  app.add_option("--timeout", options.timeout, "seconds for the ranks to find each other")
      ->check(usage::realRange(0.1, 86400.0))
      ->capture_default_str();
  app.add_option("--patience", options.patience, "seconds that a rank waits for others in a step")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
}

void addOutputOptions(CLI::App& app, Options& options) {
  app.add_option("--checkpoints", options.checkpoints,
                 "folder of checkpoints, which all ranks share (RAILHEAD_CHECKPOINT_DIR)");
  app.add_option("--checkpoint-every", options.checkpointEvery, "steps (default: one at the end)")
      ->check(CLI::Range(std::uint64_t{1}, kMost));
  app.add_option("--keep", options.keep,
                 "checkpoints; older ones are removed, with 0 none (default with "
                 "RAILHEAD_CHECKPOINT_DIR: 0, its giver removes them)")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  app.add_option("--resume", options.resume,
                 "a checkpoint to go on from, or latest: the newest complete one, if there is any "
                 "(RAILHEAD_RESUME)");
  app.add_flag("--resume-anyway", options.resumeAnyway,
               "also with another seed, other data or another batch than it was written with");
  app.add_option("--metrics", options.metrics,
                 "file that each step's JSON line is appended to (RAILHEAD_METRICS_FILE)");
  app.add_option("--report-every", options.reportEvery, "steps between lines on standard output")
      ->check(CLI::Range(std::uint64_t{1}, kMost))
      ->capture_default_str();
  app.add_flag("--json", options.json, "JSON lines on standard output");
}

Result<void> takeNumber(const CLI::App& app, const collective::EnvironmentLookup& environment,
                        const char* flag, const char* variable, std::uint64_t least,
                        std::uint64_t& into) {
  const auto text = environment(variable);
  if (app.count(flag) > 0 || !text) return {};
  const auto number = parseUnsigned(*text);
  if (!number || *number < least) {
    return Error(ErrorCode::kInvalidArgument, std::string(variable) + " is " + inQuotes(*text) +
                                                  ": expected a whole number from " +
                                                  std::to_string(least) + " on");
  }
  into = *number;
  return {};
}

}  // namespace

void addOptions(CLI::App& app, Options& options) {
  addModelOptions(app, options);
  addStepOptions(app, options);
  addMachineOptions(app, options);
  addOutputOptions(app, options);
}

Result<void> takeEnvironment(const CLI::App& app, const collective::EnvironmentLookup& environment,
                             Options& options) {
  const auto take = [&](const char* flag, const char* variable, std::string& into) {
    if (app.count(flag) > 0) return;
    if (const auto value = environment(variable)) into = *value;
  };
  take("--checkpoints", "RAILHEAD_CHECKPOINT_DIR", options.checkpoints);
  // Who gives the folder decides what stays in it.
  const bool given = app.count("--checkpoints") == 0 && !options.checkpoints.empty();
  if (given && app.count("--keep") == 0) options.keep = 0;
  take("--resume", "RAILHEAD_RESUME", options.resume);
  options.resumeNamed =
      app.count("--resume") == 0 && !options.resume.empty() && options.resume != "latest";
  take("--metrics", "RAILHEAD_METRICS_FILE", options.metrics);
  RAILHEAD_TRY(takeNumber(app, environment, "--steps", "RAILHEAD_STEPS", 1, options.steps));
  return takeNumber(app, environment, "--seed", "RAILHEAD_SEED", 0, options.seed);
}

Result<trainer::ModelShape> shapeOf(const Options& options) {
  RAILHEAD_TRY_ASSIGN(auto shape, trainer::shapeNamed(options.model));
  if (options.layers != 0) shape.layers = options.layers;
  if (options.heads != 0) shape.heads = options.heads;
  if (options.width != 0) shape.width = options.width;
  if (options.context != 0) shape.context = options.context;
  RAILHEAD_TRY_ASSIGN(const auto tokens, trainer::tokensAskedFor(options.tokens));
  shape.vocabulary = options.vocabulary != 0 ? options.vocabulary
                                             : std::max<std::uint64_t>(shape.vocabulary, tokens);
  RAILHEAD_TRY(trainer::checkShape(shape));
  return shape;
}

Result<trainer::TrainingSettings> trainingOf(const Options& options, int ranks) {
  trainer::TrainingSettings out;
  RAILHEAD_TRY_ASSIGN(out.shape, shapeOf(options));
  out.schedule = {options.learningRate, options.floorShare, options.warmup, options.steps};
  out.samplesPerStep = options.batch;
  out.samplesPerPass =
      options.microBatch != 0
          ? options.microBatch
          : std::max<std::uint64_t>(options.batch / static_cast<std::uint64_t>(ranks), 1);
  out.weightDecay = options.weightDecay;
  out.beta1 = options.beta1;
  out.beta2 = options.beta2;
  out.epsilon = options.epsilon;
  out.clip = options.clip;
  out.seed = options.seed;
  out.sharded = options.shard == "zero1";
  if (!options.checkpoints.empty()) {
    RAILHEAD_TRY_ASSIGN(out.checkpoints, usage::absolutePath(options.checkpoints));
  }
  out.checkpointEvery = options.checkpointEvery;
  out.keep = options.keep;
  out.resumeAnyway = options.resumeAnyway;
  out.patience = std::chrono::seconds(options.patience);
  RAILHEAD_TRY(trainer::checkTraining(out, ranks));
  return out;
}

}  // namespace railhead::trainer_app
