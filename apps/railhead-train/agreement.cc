#include "apps/railhead-train/agreement.h"

#include "apps/railhead-train/engines.h"
#include "src/base/text.h"

#include <charconv>

namespace railhead::trainer_app {
namespace {

// One line each, in the same order on every rank.
std::string settingsText(const Options& options, const trainer::TrainingSettings& settings,
                         const trainer::Corpus& corpus) {
  std::string out;
  const auto line = [&](const char* name, auto value) {
    char text[64];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    out += std::string(name) + "=" + std::string(text, end) + "\n";
  };
  const auto word = [&](const char* name, const std::string& value) {
    out += std::string(name) + "=" + value + "\n";
  };
  line("--layers", settings.shape.layers);
  line("--heads", settings.shape.heads);
  line("--width", settings.shape.width);
  line("--context", settings.shape.context);
  line("--vocabulary", settings.shape.vocabulary);
  word("--data (its digest)", corpus.sha256());
  word("--tokens", corpus.tokenName());
  line("--steps", settings.schedule.steps);
  line("--batch", settings.samplesPerStep);
  line("--micro-batch", settings.samplesPerPass);
  line("--learning-rate", settings.schedule.peak);
  line("--learning-rate-floor", settings.schedule.floorShare);
  line("--warmup", settings.schedule.warmupSteps);
  line("--weight-decay", settings.weightDecay);
  line("--beta1", settings.beta1);
  line("--beta2", settings.beta2);
  line("--epsilon", settings.epsilon);
  line("--clip", settings.clip);
  line("--seed", settings.seed);
  word("--engine", engineName(options));
  word("--type", options.type);
  word("--shard", options.shard);
  line("--bucket", options.bucketBytes);
  word("--checkpoints (given)", settings.checkpoints.empty() ? "no" : "yes");
  line("--checkpoint-every", settings.checkpointEvery);
  const bool anyPath = !options.resume.empty() && options.resume != "latest";
  word("--resume", anyPath ? "a folder" : options.resume);
  return out;
}

}  // namespace

Result<void> agreeOnRun(const Options& options, const trainer::TrainingSettings& settings,
                        const trainer::Corpus& corpus, const trainer::Gather& gather) {
  RAILHEAD_TRY_ASSIGN(const auto texts, gather(settingsText(options, settings, corpus)));
  const auto first = split(texts[0], '\n');
  for (std::size_t rank = 1; rank < texts.size(); ++rank) {
    const auto other = split(texts[rank], '\n');
    for (std::size_t i = 0; i < first.size(); ++i) {
      const std::string_view theirs = i < other.size() ? other[i] : "";
      if (theirs == first[i]) continue;
      return Error(ErrorCode::kCheckFailed,
                   "rank " + std::to_string(rank) + " was started with " + inQuotes(theirs) +
                       ", rank 0 with " + inQuotes(first[i]),
                   "start every rank with the same options and data");
    }
  }
  return {};
}

}  // namespace railhead::trainer_app
