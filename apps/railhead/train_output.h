// What `railhead train` shows of a run: the live view, lines of JSON, metrics for a scraper, and
// what became of it.
#pragma once

#include "apps/railhead/command_line.h"
#include "src/metrics/http_endpoint.h"
#include "src/report/terminal/live_line.h"
#include "src/train/gang_run.h"
#include "src/train/manifest.h"

#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace railhead::app {

// Speed and share of the last steps, from what rank 0 told.
class StepWindow {
 public:
  void add(const train::StepLine& line);
  void clear() { lines_.clear(); }

  std::optional<double> secondsPerStep() const;
  std::optional<double> tokensPerSecond() const;
  // Of the step's time, communication that was waited for; absent where it is not told.
  std::optional<double> exposedShare() const;

 private:
  std::deque<train::StepLine> lines_;
};

// "step 120/1000, loss 3.214, 12.3 k tokens/s, 12 % waiting for the network, 4 min left".
std::string stepText(const train::StepLine& line, const StepWindow& window,
                     std::optional<std::uint64_t> steps);

// Events go to err as lines (steps only onto a terminal, redrawn), or to out as JSON.
class TrainView {
 public:
  TrainView(Context& context, bool json, std::optional<std::uint64_t> steps);
  // Serves /metrics there until the end of this; 503 until the run has a name. kBusy,
  // kInvalidArgument.
  Result<void> serve(const std::string& address);
  // Before the first event: the run's id, which a run gets with its folder.
  void setRun(const std::string& id);
  void show(const train::RunEvent& event);
  // What a rank printed, as a line on err.
  void showOutput(int rank, std::string_view line);

 private:
  void print(const train::RunEvent& event);
  void printJson(const train::RunEvent& event);
  std::string exposition();

  Context& context_;
  const bool json_;
  const std::optional<std::uint64_t> steps_;
  report::LiveLine line_;

  std::mutex mutex_;  // what follows; the endpoint's thread reads it
  std::string run_;
  StepWindow window_;
  std::optional<train::StepLine> last_;
  std::uint64_t attempt_ = 0;
  std::uint64_t failures_ = 0;
  std::uint64_t checkpoint_ = 0;
  bool running_ = false;

  std::unique_ptr<metrics::HttpEndpoint> endpoint_;  // last: it ends first
};

void printRun(std::ostream& out, const std::string& folder, const train::Manifest& manifest);

}  // namespace railhead::app
