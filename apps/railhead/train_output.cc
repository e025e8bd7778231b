#include "apps/railhead/train_output.h"

#include "src/base/units.h"
#include "src/metrics/exposition.h"
#include "src/report/terminal/text_width.h"

#include <algorithm>
#include <cstdio>
#include <ostream>

#include <nlohmann/json.hpp>

namespace railhead::app {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::size_t kWindow = 20;

std::string shortNumber(double value, int digits = 4) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

std::string countText(double value) {
  if (value >= 1e6) return shortNumber(value / 1e6, 3) + " M";
  if (value >= 1e4) return shortNumber(value / 1e3, 3) + " k";
  return shortNumber(value, 3);
}

std::string durationText(double seconds) {
  if (seconds < 90) return std::to_string(static_cast<int>(seconds)) + " s";
  if (seconds < 5400) return std::to_string(static_cast<int>(seconds / 60)) + " min";
  return shortNumber(seconds / 3600, 3) + " h";
}

Json orNull(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

const char* eventName(train::RunEvent::Kind kind) {
  using Kind = train::RunEvent::Kind;
  switch (kind) {
    case Kind::kStarted:
      return "started";
    case Kind::kStep:
      return "step";
    case Kind::kCheckpoint:
      return "checkpoint";
    case Kind::kFailed:
      return "failed";
    case Kind::kPause:
      return "pause";
    case Kind::kNote:
      return "note";
    case Kind::kEnded:
      return "ended";
  }
  return "";
}

}  // namespace

void StepWindow::add(const train::StepLine& line) {
  lines_.push_back(line);
  if (lines_.size() > kWindow) lines_.pop_front();
}

std::optional<double> StepWindow::secondsPerStep() const {
  double seconds = 0;
  std::size_t told = 0;
  for (const auto& line : lines_) {
    if (!line.seconds || *line.seconds <= 0) continue;
    seconds += *line.seconds;
    ++told;
  }
  if (told == 0) return std::nullopt;
  return seconds / static_cast<double>(told);
}

std::optional<double> StepWindow::tokensPerSecond() const {
  double tokens = 0;
  double seconds = 0;
  for (const auto& line : lines_) {
    if (!line.tokens || !line.seconds) continue;
    tokens += static_cast<double>(*line.tokens);
    seconds += *line.seconds;
  }
  if (seconds <= 0) return std::nullopt;
  return tokens / seconds;
}

std::optional<double> StepWindow::exposedShare() const {
  double exposed = 0;
  double seconds = 0;
  for (const auto& line : lines_) {
    if (!line.split.exposed || !line.seconds) continue;
    exposed += *line.split.exposed;
    seconds += *line.seconds;
  }
  if (seconds <= 0) return std::nullopt;
  return exposed / seconds;
}

std::string stepText(const train::StepLine& line, const StepWindow& window,
                     std::optional<std::uint64_t> steps) {
  std::string out = "step " + std::to_string(line.step);
  if (steps) out += "/" + std::to_string(*steps);
  if (line.loss) out += ", loss " + shortNumber(*line.loss);
  if (const auto speed = window.tokensPerSecond()) out += ", " + countText(*speed) + " tokens/s";
  if (const auto share = window.exposedShare())
    out += ", " + shortNumber(*share * 100, 2) + " % waiting for the network";
  const auto pace = window.secondsPerStep();
  if (pace && steps && *steps > line.step)
    out += ", " + durationText(*pace * static_cast<double>(*steps - line.step)) + " left";
  return out;
}

TrainView::TrainView(Context& context, bool json, std::optional<std::uint64_t> steps)
    : context_(context), json_(json), steps_(steps), line_(context.err, progressStyle(context)) {}

Result<void> TrainView::serve(const std::string& address) {
  RAILHEAD_TRY_ASSIGN(const auto listen, metrics::ListenAddress::parse(address));
  RAILHEAD_TRY_ASSIGN(
      endpoint_, metrics::HttpEndpoint::start(listen, [this](std::string_view path) {
        if (path != "/metrics") return metrics::HttpAnswer{404, "not found\n", {}};
        const std::string text = exposition();
        if (text.empty()) return metrics::HttpAnswer{503, "the run has not begun\n", {}};
        return metrics::HttpAnswer{200, text, "text/plain; version=0.0.4; charset=utf-8"};
      }));
  context_.err << "metrics: http://" << endpoint_->address().toString() << "/metrics" << std::endl;
  return {};
}

void TrainView::setRun(const std::string& id) {
  const std::lock_guard lock(mutex_);
  run_ = id;
}

void TrainView::show(const train::RunEvent& event) {
  using Kind = train::RunEvent::Kind;
  {
    const std::lock_guard lock(mutex_);
    if (event.attempt != 0) attempt_ = event.attempt;
    if (event.kind == Kind::kStep) {
      window_.add(*event.line);
      last_ = *event.line;
    }
    if (event.kind == Kind::kStarted) {
      window_.clear();
      running_ = true;
    }
    if (event.kind == Kind::kFailed) ++failures_;
    if (event.kind == Kind::kFailed || event.kind == Kind::kEnded) running_ = false;
    if (event.kind == Kind::kCheckpoint) checkpoint_ = event.step;
  }
  if (json_) {
    printJson(event);
  } else {
    print(event);
  }
}

void TrainView::showOutput(int rank, std::string_view line) {
  line_.clear();
  context_.err << "rank " << rank << ": "
               << (context_.terminal ? report::printable(line) : std::string(line)) << '\n';
}

void TrainView::print(const train::RunEvent& event) {
  using Kind = train::RunEvent::Kind;
  if (event.kind == Kind::kStep) {
    line_.show(stepText(*event.line, window_, steps_));
    return;
  }
  line_.clear();
  switch (event.kind) {
    case Kind::kStarted:
      context_.err << "start " << event.attempt
                   << (event.step > 0
                           ? ", from the checkpoint of step " + std::to_string(event.step)
                           : "")
                   << std::endl;
      break;
    case Kind::kCheckpoint:
      context_.err << "checkpoint of step " << event.step << std::endl;
      break;
    case Kind::kFailed:
      context_.err << "failed: " << report::printable(event.text) << std::endl;
      break;
    case Kind::kPause:
      context_.err << "starting again in " << formatSeconds(event.seconds) << std::endl;
      break;
    case Kind::kNote:
      context_.err << "note: " << report::printable(event.text) << std::endl;
      break;
    case Kind::kStep:
    case Kind::kEnded:
      break;
  }
}

void TrainView::printJson(const train::RunEvent& event) {
  using Kind = train::RunEvent::Kind;
  Json out = {{"schema", "railhead.train.event/1"},
              {"event", eventName(event.kind)},
              {"run", run_},
              {"attempt", event.attempt}};
  if (event.kind == Kind::kStarted || event.kind == Kind::kCheckpoint || event.kind == Kind::kEnded)
    out["step"] = event.step;
  if (event.kind == Kind::kStep) {
    const auto& line = *event.line;
    out["step"] = line.step;
    out["loss"] = orNull(line.loss);
    out["tokens_per_second"] = orNull(window_.tokensPerSecond());
    out["seconds"] = orNull(line.seconds);
    out["exposed_share"] = orNull(window_.exposedShare());
    const auto pace = window_.secondsPerStep();
    out["seconds_left"] = pace && steps_ && *steps_ >= line.step
                              ? Json(*pace * static_cast<double>(*steps_ - line.step))
                              : Json(nullptr);
  }
  if (event.kind == Kind::kPause) out["seconds"] = event.seconds;
  if (event.kind == Kind::kFailed) out["reason"] = event.text;
  if (event.kind == Kind::kNote) out["text"] = event.text;
  if (event.kind == Kind::kEnded) out["state"] = event.text;
  context_.out << out.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
}

std::string TrainView::exposition() {
  const std::lock_guard lock(mutex_);
  if (run_.empty()) return {};
  metrics::Exposition out;
  const metrics::Labels labels = {{"run", run_}};
  const auto gauge = [&](const char* name, const char* help, const std::optional<double>& value) {
    out.family(metrics::Kind::kGauge, name, help);
    if (value) out.sample(labels, *value);
  };
  gauge("railhead_train_running", "1 while ranks run.", running_ ? 1.0 : 0.0);
  gauge("railhead_train_start", "How often the ranks were started.", static_cast<double>(attempt_));
  out.family(metrics::Kind::kCounter, "railhead_train_failures_total",
             "Starts that ended with a dead or hung rank.");
  out.sample(labels, static_cast<double>(failures_));
  gauge("railhead_train_checkpoint_step", "Step of the newest checkpoint.",
        checkpoint_ > 0 ? std::optional(static_cast<double>(checkpoint_)) : std::nullopt);
  gauge("railhead_train_step", "The last step done.",
        last_ ? std::optional(static_cast<double>(last_->step)) : std::nullopt);
  gauge("railhead_train_loss", "Of that step.", last_ ? last_->loss : std::nullopt);
  gauge("railhead_train_step_seconds", "Mean of the last steps.", window_.secondsPerStep());
  gauge("railhead_train_tokens_per_second", "Of the last steps.", window_.tokensPerSecond());
  gauge("railhead_train_exposed_ratio", "Of the last steps' time, waiting for the network.",
        window_.exposedShare());
  return out.takeText();
}

void printRun(std::ostream& out, const std::string& folder, const train::Manifest& manifest) {
  out << folder << ": " << manifest.state;
  if (!manifest.reason.empty()) out << ": " << manifest.reason;
  out << '\n';
  const auto& totals = manifest.metrics;
  if (totals.steps > 0) {
    out << "  " << totals.steps << (totals.steps == 1 ? " step" : " steps");
    if (totals.firstLoss && totals.lastLoss) {
      out << ", loss " << shortNumber(*totals.firstLoss) << " to " << shortNumber(*totals.lastLoss);
    }
    if (totals.tokens > 0 && totals.seconds > 0) {
      out << ", " << countText(static_cast<double>(totals.tokens) / totals.seconds) << " tokens/s";
    }
    if (totals.lostSteps > 0) {
      out << ", " << totals.lostSteps << (totals.lostSteps == 1 ? " step" : " steps")
          << " done twice";
    }
    out << '\n';
  }
  if (manifest.attempts.size() > 1) out << "  started " << manifest.attempts.size() << " times\n";
  if (!manifest.checkpoints.empty()) {
    out << "  " << manifest.checkpoints.size()
        << (manifest.checkpoints.size() == 1 ? " checkpoint" : " checkpoints")
        << ", the last of step " << manifest.checkpoints.back().step << '\n';
  }
}

}  // namespace railhead::app
