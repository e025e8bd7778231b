#include "src/trainer/training.h"

#include "src/base/text.h"
#include "src/checkpoint/writing.h"
#include "src/json/json.h"
#include "src/trainer/data_order.h"
#include "src/trainer/state_files.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include <nlohmann/json.hpp>

namespace railhead::trainer {
namespace {

std::map<std::string, std::string> modelFields(const ModelShape& shape) {
  return {{"layers", std::to_string(shape.layers)},
          {"heads", std::to_string(shape.heads)},
          {"width", std::to_string(shape.width)},
          {"context", std::to_string(shape.context)},
          {"vocabulary", std::to_string(shape.vocabulary)}};
}

std::map<std::string, std::string> runFields(const TrainingSettings& settings,
                                             const Corpus& corpus) {
  return {{"seed", std::to_string(settings.seed)},
          {"data_sha256", corpus.sha256()},
          {"tokens", corpus.tokenName()},
          {"samples_per_step", std::to_string(settings.samplesPerStep)}};
}

// What one rank says about its part of a checkpoint.
std::string encodePart(const Result<checkpoint::CheckpointFile>& part) {
  if (!part.has_value()) {
    return json::dump({{"code", static_cast<int>(part.error().code)},
                       {"error", part.error().message},
                       {"remedy", part.error().remedy}});
  }
  return json::dump({{"name", part->name}, {"bytes", part->bytes}, {"sha256", part->sha256}});
}

Result<checkpoint::CheckpointFile> decodePart(const std::string& text, std::size_t rank) {
  const std::string who = "rank " + std::to_string(rank);
  RAILHEAD_TRY_ASSIGN(const auto json, json::parseObject(text, who));
  if (json.contains("error")) {
    const auto code = json.value("code", static_cast<int>(ErrorCode::kIo));
    return Error(
        code >= 0 && code <= static_cast<int>(ErrorCode::kInternal) ? static_cast<ErrorCode>(code)
                                                                    : ErrorCode::kIo,
        who + ": " + json.value("error", std::string()), json.value("remedy", std::string()));
  }
  return checkpoint::CheckpointFile{json.value("name", std::string()),
                                    json.value("bytes", std::uint64_t{0}),
                                    json.value("sha256", std::string())};
}

class Training {
 public:
  Training(const TrainingSettings& settings, const TrainingParts& parts)
      : settings_(settings),
        parts_(parts),
        rank_(static_cast<std::uint64_t>(parts.exchange.rank())),
        ranks_(static_cast<std::uint64_t>(parts.exchange.ranks())),
        order_(settings.seed, parts.corpus.windows(), settings.samplesPerStep),
        samples_(settings.samplesPerStep / ranks_),
        passes_(samples_ / settings.samplesPerPass) {
    const std::size_t tokens = settings.samplesPerPass * settings.shape.context;
    inputs_.resize(tokens);
    targets_.resize(tokens);
    window_.resize(settings.shape.context + 1);
  }

  // Every rank has made its own part of the weights: now all have the whole.
  Result<void> spreadWeights() {
    for (const auto& bucket : parts_.engine.plan().buckets()) {
      RAILHEAD_TRY(gatherWeights(bucket));
    }
    RAILHEAD_TRY(parts_.exchange.join(deadline()));
    RAILHEAD_TRY(parts_.exchange.finish(deadline()));
    return {};
  }

  Result<TrainingResult> run(std::uint64_t done) {
    TrainingResult result;
    result.step = done;
    while (result.step < settings_.schedule.steps && !result.stopped) {
      ++result.step;
      RAILHEAD_TRY(step(result).addContext("step " + std::to_string(result.step)));
      const bool last = result.step == settings_.schedule.steps || result.stopped;
      const bool due =
          settings_.checkpointEvery != 0 && result.step % settings_.checkpointEvery == 0;
      if (!settings_.checkpoints.empty() && (last || due)) {
        RAILHEAD_TRY_ASSIGN(
            result.checkpoint,
            save(result.step).addContext("checkpoint of step " + std::to_string(result.step)));
      }
    }
    result.stopped = result.stopped && result.step < settings_.schedule.steps;
    return result;
  }

 private:
  collective::Deadline deadline() const {
    return std::chrono::steady_clock::now() + settings_.patience;
  }
  std::size_t elementBytes() const { return collective::elementBytes(parts_.engine.type()); }

  double secondsSince(os::Clock::TimePoint from) const {
    return std::chrono::duration<double>(parts_.clock.now() - from).count();
  }

  void fill(std::span<const std::uint64_t> windows) {
    const std::size_t length = settings_.shape.context;
    for (std::size_t i = 0; i < windows.size(); ++i) {
      parts_.corpus.copyWindow(windows[i], window_);
      std::copy(window_.begin(), window_.end() - 1, inputs_.begin() + i * length);
      std::copy(window_.begin() + 1, window_.end(), targets_.begin() + i * length);
    }
  }

  // Of the same samples for any number of ranks: rank 0 has the first ones.
  Result<void> passes(std::uint64_t step, double& dataSeconds) {
    const auto windows = order_.windowsOf(step);
    const auto own = std::span(windows).subspan(rank_ * samples_, samples_);
    for (std::uint64_t pass = 0; pass < passes_; ++pass) {
      const auto begin = parts_.clock.now();
      fill(own.subspan(pass * settings_.samplesPerPass, settings_.samplesPerPass));
      dataSeconds += secondsSince(begin);
      RAILHEAD_TRY(parts_.engine.pass({inputs_, targets_, settings_.samplesPerPass},
                                      {pass == 0, pass + 1 == passes_},
                                      [this](std::size_t bucket) { return reduce(bucket); }));
    }
    return {};
  }

  collective::Call bucketCall(collective::Operation operation, const Bucket& bucket) const {
    return {operation, parts_.engine.type(), bucket.padded, 0, true};
  }

  Result<void> reduce(std::size_t index) {
    const Bucket& bucket = parts_.engine.plan().buckets()[index];
    std::byte* whole = parts_.engine.gradients() + bucket.offset * elementBytes();
    if (!settings_.sharded) {
      return parts_.exchange.start(bucketCall(collective::Operation::kAllReduce, bucket), whole,
                                   whole);
    }
    return parts_.exchange.start(bucketCall(collective::Operation::kReduceScatter, bucket), whole,
                                 whole + ownPart(bucket));
  }

  Result<void> gatherWeights(const Bucket& bucket) {
    if (!settings_.sharded) return {};
    std::byte* whole = parts_.engine.weights() + bucket.offset * elementBytes();
    return parts_.exchange.start(bucketCall(collective::Operation::kAllGather, bucket),
                                 whole + ownPart(bucket), whole);
  }

  // Bytes from a bucket's beginning to this rank's part.
  std::size_t ownPart(const Bucket& bucket) const {
    return bucket.padded / ranks_ * rank_ * elementBytes();
  }

  Result<void> addUpSums() {
    RAILHEAD_TRY(parts_.exchange.join(deadline()));
    RAILHEAD_TRY(parts_.engine.sumUp(parts_.stopAsked() ? 1 : 0));
    const collective::Call call{collective::Operation::kAllReduce,
                                collective::ElementType::kFloat32, kSums, 0, true};
    RAILHEAD_TRY(parts_.exchange.start(call, parts_.engine.sums(), parts_.engine.sums()));
    return parts_.exchange.join(deadline());
  }

  StepSettings stepSettings(std::uint64_t step) const {
    StepSettings out;
    out.step = step;
    out.learningRate = learningRate(settings_.schedule, step);
    out.weightDecay = settings_.weightDecay;
    out.beta1 = settings_.beta1;
    out.beta2 = settings_.beta2;
    out.epsilon = settings_.epsilon;
    out.gradientScale = 1.0 / static_cast<double>(ranks_ * passes_);
    out.clip = settings_.clip;
    return out;
  }

  Result<void> step(TrainingResult& result) {
    const auto begin = parts_.clock.now();
    StepMetrics metrics;
    metrics.step = result.step;
    metrics.tokens = settings_.samplesPerStep * settings_.shape.context;
    RAILHEAD_TRY(passes(result.step, metrics.dataSeconds));
    RAILHEAD_TRY(addUpSums());
    const StepSettings update = stepSettings(result.step);
    const auto& buckets = parts_.engine.plan().buckets();
    // The end first in the backward pass is the last one that the next forward pass needs.
    for (std::size_t index = buckets.size(); index-- > 0;) {
      RAILHEAD_TRY(parts_.engine.update(index, update));
      RAILHEAD_TRY(gatherWeights(buckets[index]));
    }
    RAILHEAD_TRY(parts_.exchange.join(deadline()));
    RAILHEAD_TRY_ASSIGN(metrics.travel, parts_.exchange.finish(deadline()));
    RAILHEAD_TRY_ASSIGN(const StepOutcome outcome, parts_.engine.outcome());
    metrics.loss = outcome.sums[kLoss] * update.gradientScale;
    metrics.gradientNorm = std::sqrt(outcome.sums[kSquares]) * update.gradientScale;
    metrics.learningRate = update.learningRate;
    metrics.seconds = secondsSince(begin);
    result.loss = metrics.loss;
    result.stopped = outcome.sums[kStop] > 0;
    if (!std::isfinite(metrics.loss) || !std::isfinite(metrics.gradientNorm)) {
      return Error(ErrorCode::kCheckFailed,
                   "loss " + std::to_string(metrics.loss) + " and gradient norm " +
                       std::to_string(metrics.gradientNorm) + " are not numbers any more",
                   "resume from an earlier checkpoint with a smaller --learning-rate");
    }
    return parts_.onStep(metrics);
  }

  Result<std::string> save(std::uint64_t step) {
    const std::string unfinished = settings_.checkpoints + "/" + checkpoint::unfinishedName(step);
    Result<void> begun;
    if (rank_ == 0) {
      const auto folder = checkpoint::beginCheckpoint(parts_.files, settings_.checkpoints, step);
      if (!folder.has_value()) begun = folder.error();
    }
    RAILHEAD_TRY(agree(begun));
    const auto written = writeState(parts_.engine, static_cast<int>(rank_), unfinished);
    RAILHEAD_TRY_ASSIGN(const auto texts, parts_.gather(encodePart(written)));
    checkpoint::Checkpoint record;
    record.step = step;
    record.world = ranks_;
    record.model = modelFields(settings_.shape);
    record.run = runFields(settings_, parts_.corpus);
    for (std::size_t rank = 0; rank < texts.size(); ++rank) {
      RAILHEAD_TRY_ASSIGN(auto file, decodePart(texts[rank], rank));
      record.files.push_back(std::move(file));
    }
    Result<void> finished;
    if (rank_ == 0) finished = finish(record);
    RAILHEAD_TRY(agree(finished));
    const std::string path = settings_.checkpoints + "/" + checkpoint::checkpointName(step);
    RAILHEAD_TRY(parts_.onCheckpoint(step, path));
    return path;
  }

  Result<void> finish(const checkpoint::Checkpoint& record) {
    RAILHEAD_TRY(checkpoint::finishCheckpoint(parts_.files, settings_.checkpoints, record));
    return checkpoint::pruneCheckpoints(parts_.files, settings_.checkpoints, record.step,
                                        settings_.keep);
  }

  // What rank 0 could not do fails on all ranks.
  Result<void> agree(const Result<void>& own) {
    const Result<checkpoint::CheckpointFile> said =
        own.has_value() ? Result<checkpoint::CheckpointFile>(checkpoint::CheckpointFile{})
                        : own.error();
    RAILHEAD_TRY_ASSIGN(const auto texts, parts_.gather(encodePart(said)));
    RAILHEAD_TRY(decodePart(texts[0], 0));
    return {};
  }

  const TrainingSettings& settings_;
  const TrainingParts& parts_;
  std::uint64_t rank_, ranks_;
  DataOrder order_;
  std::uint64_t samples_;  // of this rank in a step
  std::uint64_t passes_;
  std::vector<std::int32_t> inputs_, targets_, window_;
};

Result<void> checkSameModel(const TrainingSettings& settings, const ResumePoint& found) {
  for (const auto& [name, value] : modelFields(settings.shape)) {
    const auto stored = found.checkpoint.model.find(name);
    const bool missing = stored == found.checkpoint.model.end();
    if (!missing && stored->second == value) continue;
    return Error(ErrorCode::kInvalidArgument,
                 found.path + " is of another model: its " + name + " is " +
                     (missing ? "missing" : stored->second) + ", here " + value,
                 "give the same --model, --layers, --heads, --width, --context and --vocabulary");
  }
  return {};
}

Result<void> checkSameRun(const TrainingSettings& settings, const Corpus& corpus,
                          const ResumePoint& found) {
  for (const auto& [name, value] : runFields(settings, corpus)) {
    const auto stored = found.checkpoint.run.find(name);
    if (stored != found.checkpoint.run.end() && stored->second == value) continue;
    return Error(ErrorCode::kInvalidArgument,
                 found.path + " is of another run: its " + name + " is " +
                     (stored == found.checkpoint.run.end() ? "missing" : inQuotes(stored->second)) +
                     ", here " + inQuotes(value),
                 "give the same --seed, --data, --tokens and --batch, or go on with others by "
                 "--resume-anyway");
  }
  return {};
}

// Values depend on their place alone: several threads make them, for a large model takes long.
void fillTogether(const InitialValues& initial, std::uint64_t first, std::span<float> out) {
  constexpr std::size_t kWorthAThread = 1 << 18;
  const std::size_t most = std::max(std::thread::hardware_concurrency(), 1U);
  const std::size_t threads = std::clamp<std::size_t>(out.size() / kWorthAThread, 1, most);
  const std::size_t part = (out.size() + threads - 1) / threads;
  std::vector<std::jthread> others;
  for (std::size_t begin = part; begin < out.size(); begin += part) {
    const auto mine = out.subspan(begin, std::min(part, out.size() - begin));
    others.emplace_back([&initial, first, begin, mine] { initial.fill(first + begin, mine); });
  }
  initial.fill(first, out.first(std::min(part, out.size())));
}

}  // namespace

Result<void> checkTraining(const TrainingSettings& settings, int ranks) {
  RAILHEAD_TRY(checkShape(settings.shape));
  const std::uint64_t grain = settings.samplesPerPass * static_cast<std::uint64_t>(ranks);
  if (settings.samplesPerPass == 0 || settings.samplesPerStep == 0 ||
      settings.samplesPerStep % grain != 0) {
    return Error(ErrorCode::kInvalidArgument,
                 "a batch of " + std::to_string(settings.samplesPerStep) +
                     " sequences: expected a multiple of " + std::to_string(ranks) +
                     " ranks times --micro-batch " + std::to_string(settings.samplesPerPass));
  }
  return {};
}

Result<void> initialise(Engine& engine, std::uint64_t seed) {
  const auto& parameters = engine.plan().parameters();
  std::vector<float> values;
  for (const auto& piece : engine.pieces()) {
    values.assign(piece.flat.count(), 0);
    for (const State state : {State::kFirstMoment, State::kSecondMoment}) {
      RAILHEAD_TRY(engine.writeState(state, piece.flat, values));
    }
    for (std::size_t index = 0; index < parameters.size(); ++index) {
      const Parameter& parameter = parameters[index];
      const InitialValues initial(seed, parameter, index);
      const auto begin = std::max(parameter.begin, piece.flat.begin);
      const auto end = std::min(parameter.end(), piece.flat.end);
      if (begin >= end) continue;
      fillTogether(initial, begin - parameter.begin,
                   std::span(values).subspan(begin - piece.flat.begin, end - begin));
    }
    RAILHEAD_TRY(engine.writeState(State::kParameter, piece.flat, values));
  }
  return engine.publish();
}

Result<TrainingResult> train(const TrainingSettings& settings, const TrainingParts& parts,
                             const std::optional<ResumePoint>& resume) {
  RAILHEAD_TRY(checkTraining(settings, parts.exchange.ranks()));
  if (settings.shape.vocabulary < parts.corpus.tokenCount()) {
    return Error(ErrorCode::kInvalidArgument,
                 "vocabulary is " + std::to_string(settings.shape.vocabulary) +
                     ": expected at least the " + std::to_string(parts.corpus.tokenCount()) +
                     " tokens of the text");
  }
  std::uint64_t done = 0;
  if (resume) {
    RAILHEAD_TRY(checkSameModel(settings, *resume));
    if (!settings.resumeAnyway) RAILHEAD_TRY(checkSameRun(settings, parts.corpus, *resume));
    RAILHEAD_TRY(readState(parts.engine, resume->path, resume->checkpoint.files));
    done = resume->checkpoint.step;
  } else {
    RAILHEAD_TRY(initialise(parts.engine, settings.seed));
  }
  Training training(settings, parts);
  RAILHEAD_TRY(training.spreadWeights());
  return training.run(done);
}

}  // namespace railhead::trainer
