#include "src/report/terminal/step_printer.h"

#include "src/report/terminal/text_width.h"

#include <cstdio>
#include <cstdlib>
#include <ostream>

namespace railhead::report {
namespace {

constexpr std::size_t kNameColumns = 44;
constexpr std::size_t kTimeColumns = 8;

std::string inSeconds(double seconds, int decimals) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f s", decimals, seconds);
  return text;
}

}  // namespace

StepPrinter::StepPrinter(std::ostream& out, TerminalStyle style, os::Clock& clock)
    : out_(out), style_(style), clock_(clock) {}

StepPrinter::~StepPrinter() {
  const std::lock_guard lock(mutex_);
  if (running_ && style_.terminal) out_ << '\n' << std::flush;
}

void StepPrinter::begin(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (running_) std::abort();
  running_ = Running{printable(name), clock_.now()};
  drawRunning();
  if (!style_.terminal) out_ << '\n';
  out_ << std::flush;
}

void StepPrinter::tick() {
  const std::lock_guard lock(mutex_);
  if (!running_ || !style_.terminal) return;
  clearLine();
  drawRunning();
  out_ << std::flush;
}

void StepPrinter::note(std::string_view line) {
  const std::lock_guard lock(mutex_);
  clearLine();
  out_ << "  " << style_.paint(Ink::kQuiet, printable(line)) << '\n';
  if (running_ && style_.terminal) drawRunning();
  out_ << std::flush;
}

Step StepPrinter::succeed(std::string_view detail) {
  const std::lock_guard lock(mutex_);
  return end(true, detail);
}

Step StepPrinter::fail(const StepFailure& failure) {
  const std::lock_guard lock(mutex_);
  Step step = end(false, {});
  printFailure(failure);
  return step;
}

Step StepPrinter::end(bool ok, std::string_view detail) {
  if (!running_) std::abort();
  const Step step{running_->name, elapsed(), ok, printable(detail)};
  running_.reset();
  clearLine();
  const std::string_view mark = style_.unicode ? (ok ? "✓" : "✗") : (ok ? "+" : "x");
  out_ << style_.paint(ok ? Ink::kGood : Ink::kBad, mark) << ' '
       << style_.paint(ok ? Ink::kPlain : Ink::kStrong, padTo(step.name, kNameColumns))
       << padTo(inSeconds(step.seconds, 1), kTimeColumns, Align::kRight);
  if (!step.detail.empty()) out_ << "  " << style_.paint(Ink::kQuiet, step.detail);
  out_ << '\n' << std::flush;
  return step;
}

void StepPrinter::drawRunning() {
  const std::string mark = style_.unicode ? "▸ " : "> ";
  const std::string dots = style_.unicode ? " …" : " ...";
  std::string time;
  if (style_.terminal && elapsed() >= 1) time = " " + inSeconds(static_cast<int>(elapsed()), 0);
  std::string name = running_->name;
  if (style_.terminal) {  // a line that wraps could not be redrawn
    const std::size_t rest = displayWidth(mark + dots + time) + 1;
    name = cutToWidth(name, style_.columns > rest ? style_.columns - rest : 0);
  }
  out_ << style_.paint(Ink::kStrong, mark) << name << dots << style_.paint(Ink::kQuiet, time);
}

void StepPrinter::clearLine() {
  if (style_.terminal) out_ << "\r\x1b[K";
}

double StepPrinter::elapsed() const {
  return std::chrono::duration<double>(clock_.now() - running_->since).count();
}

void StepPrinter::printFailure(const StepFailure& failure) {
  const auto line = [this](std::string_view label, std::string_view text, Ink ink) {
    out_ << "  " << style_.paint(Ink::kQuiet, padTo(label, 12)) << style_.paint(ink, text) << '\n';
  };
  line("cause", printable(failure.error.message), Ink::kStrong);
  const std::size_t count = failure.logs.size();
  for (std::size_t i = count > kLogLines ? count - kLogLines : 0; i < count; ++i) {
    const bool first = i == 0 || i + kLogLines == count;
    line(first ? printable(failure.logNode) + " log" : "", printable(failure.logs[i]), Ink::kPlain);
  }
  if (!failure.error.remedy.empty()) {
    line("what to do", printable(failure.error.remedy), Ink::kPlain);
  }
  out_ << std::flush;
}

StepTicker::StepTicker(StepPrinter& printer, std::chrono::milliseconds interval) {
  if (!printer.redraws()) return;
  thread_ = std::thread([this, &printer, interval] {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, interval, [this] { return stopping_; })) printer.tick();
  });
}

StepTicker::~StepTicker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace railhead::report
