#include "src/launch/gang.h"

#include "src/os/bound_process.h"
#include "src/os/unique_fd.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <deque>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::launch {
namespace {

// As our own commands print an error (apps/usage).
constexpr std::string_view kRemedyMark = "  remedy: ";
// Before a line of progress that a rank of ours writes for whoever started it.
constexpr std::string_view kProgressMark = "railhead-progress ";
constexpr std::chrono::milliseconds kOwnWords{1000};
// Between SIGTERM and SIGKILL for a rank that had its grace before.
constexpr std::chrono::milliseconds kLastMoment{500};

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMaxOutput = 16 << 20;
constexpr std::size_t kMaxLine = 4 << 10;
constexpr std::size_t kLastLines = 20;
constexpr std::size_t kChunk = 16 << 10;
// Of each stream in one turn: who prints faster than it is read holds up nobody.
constexpr int kChunksAtOnce = 8;
// What a pipe can hold. Behind an ended rank there may be one that still writes.
constexpr int kChunksLeft = 64;
// How often the time limit is looked at.
constexpr std::chrono::milliseconds kTick{50};

std::string rankName(int rank, const std::string& node) {
  return "rank " + std::to_string(rank) + (node.empty() ? "" : " (node " + node + ")");
}

struct Pipe {
  os::UniqueFd read;
  os::UniqueFd write;
};
Result<Pipe> makePipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return Error::fromErrno(errno, "make a pipe");
  ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
  return Pipe{os::UniqueFd(fds[0]), os::UniqueFd(fds[1])};
}

}  // namespace

std::string GangEnd::reason() const {
  if (interrupted) return "interrupted";
  if (failed < 0) return outOfTime ? "the ranks did not end in time" : "";
  for (const auto& rank : ranks) {
    if (rank.rank != failed) continue;
    std::string out = rankName(rank.rank, rank.node) + " ended with ";
    // Beyond the last signal's it is a command's own: 255 is ssh's.
    const bool signal = rank.exitCode > 128 && rank.exitCode <= 128 + SIGRTMAX;
    out += signal ? "signal " + std::to_string(rank.exitCode - 128)
                  : "exit code " + std::to_string(rank.exitCode);
    for (auto line = rank.lastLines.rbegin(); line != rank.lastLines.rend(); ++line) {
      const bool told =
          !line->empty() && !line->starts_with(kRemedyMark) && !line->starts_with(kProgressMark);
      if (told) return out + ": " + *line;
    }
    return out + " without a word";
  }
  return "a rank failed";
}

std::string GangEnd::remedy() const {
  for (const auto& rank : ranks) {
    if (rank.rank != failed || rank.lastLines.empty()) continue;
    const std::string& last = rank.lastLines.back();
    if (last.starts_with(kRemedyMark)) return last.substr(kRemedyMark.size());
  }
  return "";
}

// One rank while it runs.
class RunningGang::Rank {
 public:
  static Result<Rank> start(const RankCommand& command, const std::string& nullDevice) {
    RAILHEAD_TRY_ASSIGN(Pipe output, makePipe());
    RAILHEAD_TRY_ASSIGN(Pipe errors, makePipe());
    // Its standard input stays open as long as this process lives and no longer: a remote command
    // that watches it ends with us.
    std::array<int, 2> input{};
    if (::pipe2(input.data(), O_CLOEXEC) != 0) return Error::fromErrno(errno, "make a pipe");
    const os::UniqueFd inputRead(input[0]);
    os::UniqueFd inputWrite(input[1]);
    ::fcntl(inputWrite.get(), F_SETFL, O_NONBLOCK);
    if (std::cmp_not_equal(::write(inputWrite.get(), command.input.data(), command.input.size()),
                           command.input.size()))
      return Error::fromErrno(errno, "write into a pipe");
    os::BoundProcessSpec spec;
    spec.argv = command.argv;
    spec.input = inputRead.get();
    spec.output = output.write.get();
    spec.errors = errors.write.get();
    spec.ownSession = true;
    spec.diesWithParent = !command.watchesInput;
    spec.environment = withOwn(command.environment);
    auto process = os::BoundProcess::start(spec, nullDevice);
    if (!process.has_value()) {
      return std::move(process.error()).addContext(rankName(command.rank, command.node));
    }
    return Rank(command, std::move(*process), std::move(inputWrite), std::move(output.read),
                std::move(errors.read));
  }

  void addTo(std::vector<pollfd>& waiting) const {
    if (output_) waiting.push_back({output_.get(), POLLIN, 0});
    if (errors_) waiting.push_back({errors_.get(), POLLIN, 0});
    if (!process_.exitCode()) waiting.push_back({process_.pidFd(), POLLIN, 0});
  }
  void drain(const GangSettings& settings, int chunks = kChunksAtOnce) {
    readInto(output_, chunks, [&](std::string_view text) {
      end_.output.append(text.substr(0, kMaxOutput - std::min(kMaxOutput, end_.output.size())));
    });
    readInto(errors_, chunks, [&](std::string_view text) { takeLines(text, settings); });
  }
  // The exit code, once it has ended.
  std::optional<int> poll() {
    (void)process_.ended();  // kills what it left and reaps
    return process_.exitCode();
  }
  // Its children may hold the pipes after it has gone: they are not waited for.
  bool over() { return poll().has_value(); }
  void askToEnd() {
    if (watchesInput_) {
      input_.reset();
    } else {
      process_.signal(SIGTERM);
    }
  }
  // The end of its input was not heeded: an ssh that reaches nobody.
  void insist() {
    if (watchesInput_) process_.signal(SIGTERM);
  }
  Result<void> tell(std::string_view text) {
    const ssize_t put = ::write(input_.get(), text.data(), text.size());
    if (std::cmp_equal(put, text.size())) return {};
    return Error(ErrorCode::kUnavailable,
                 rankName(end_.rank, end_.node) + " does not read its standard input");
  }
  void beginKill() { process_.signal(SIGKILL); }
  void finish(const GangSettings& settings, Clock::time_point limit) {
    process_.kill(limit);
    drain(settings, kChunksLeft);
    if (!line_.empty()) takeLines("\n", settings);
    end_.exitCode = process_.exitCode().value_or(128 + SIGKILL);
  }
  RankEnd takeEnd() { return std::move(end_); }
  int rank() const { return end_.rank; }
  const std::string& node() const { return end_.node; }

 private:
  Rank(const RankCommand& command, os::BoundProcess process, os::UniqueFd input,
       os::UniqueFd output, os::UniqueFd errors)
      : watchesInput_(command.watchesInput),
        process_(std::move(process)),
        input_(std::move(input)),
        output_(std::move(output)),
        errors_(std::move(errors)) {
    end_.rank = command.rank;
    end_.node = command.node;
  }

  static std::map<std::string, std::string> withOwn(std::map<std::string, std::string> extra) {
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string_view text(*entry);
      const auto equals = text.find('=');
      if (equals == std::string_view::npos) continue;
      extra.try_emplace(std::string(text.substr(0, equals)), text.substr(equals + 1));
    }
    return extra;
  }

  template <typename Take>
  static void readInto(os::UniqueFd& fd, int chunks, Take take) {
    std::array<char, kChunk> chunk{};
    for (; fd && chunks > 0; --chunks) {
      const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
      if (got > 0) {
        take(std::string_view(chunk.data(), static_cast<std::size_t>(got)));
      } else if (got == 0) {
        fd.reset();
      } else if (errno != EINTR) {
        return;
      }
    }
  }

  void takeLines(std::string_view text, const GangSettings& settings) {
    for (const char c : text) {
      if (c != '\n') {
        if (line_.size() < kMaxLine) line_ += c;
        continue;
      }
      if (line_.starts_with(kNodeMark)) {
        if (line_.size() > kNodeMark.size()) end_.node = line_.substr(kNodeMark.size());
        line_.clear();
        continue;
      }
      if (settings.onLine) settings.onLine(end_.rank, line_);
      end_.lastLines.push_back(std::move(line_));
      line_.clear();
      if (end_.lastLines.size() > kLastLines) end_.lastLines.erase(end_.lastLines.begin());
    }
  }

  bool watchesInput_;
  os::BoundProcess process_;
  os::UniqueFd input_;
  os::UniqueFd output_;
  os::UniqueFd errors_;
  std::string line_;
  RankEnd end_;
};

class RunningGang::Ranks {
 public:
  explicit Ranks(GangSettings settings) : settings_(std::move(settings)), start_(Clock::now()) {}

  Result<void> start(const std::vector<RankCommand>& commands, const std::string& nullDevice) {
    for (const auto& command : commands) {
      RAILHEAD_TRY_ASSIGN(auto rank, Rank::start(command, nullDevice));
      ranks_.push_back(std::move(rank));
    }
    return {};
  }

  bool step(std::chrono::milliseconds most) {
    if (!end_.ok() || allOver()) return false;
    wait(most);
    look();
    return end_.ok() && !allOver();
  }
  Result<void> tell(int rank, std::string_view text) {
    for (auto& one : ranks_) {
      if (one.rank() == rank) return one.tell(text);
    }
    return Error(ErrorCode::kInternal, "the gang has no rank " + std::to_string(rank));
  }

  bool hasEnded(int rank) {
    return std::none_of(ranks_.begin(), ranks_.end(),
                        [&](auto& one) { return one.rank() == rank && !one.over(); });
  }

  std::vector<std::string> nodes() const {
    std::vector<std::string> out;
    for (const auto& one : ranks_) out.push_back(one.node());
    return out;
  }

  GangEnd end() {
    if (end_.ok()) look();  // at those that ended since
    if (end_.failed >= 0) hearTheOthers();
    if (!allOver()) stop();
    for (auto& rank : ranks_) rank.beginKill();  // before any is waited for
    const auto limit = Clock::now() + os::BoundProcess::kDying;
    for (auto& rank : ranks_) {
      rank.finish(settings_, limit);
      end_.ranks.push_back(rank.takeEnd());
    }
    return std::move(end_);
  }

 private:
  bool allOver() {
    return std::all_of(ranks_.begin(), ranks_.end(), [](auto& rank) { return rank.over(); });
  }
  void wait(std::chrono::milliseconds most = kTick) {
    std::vector<pollfd> waiting;
    for (const auto& rank : ranks_) rank.addTo(waiting);
    if (settings_.interruptFd >= 0 && !end_.interrupted) {
      waiting.push_back({settings_.interruptFd, POLLIN, 0});
    }
    ::poll(waiting.data(), waiting.size(), static_cast<int>(most.count()));
    if (settings_.interruptFd >= 0 && waiting.back().fd == settings_.interruptFd) {
      end_.interrupted = waiting.back().revents != 0;
    }
    for (auto& rank : ranks_) rank.drain(settings_);
  }
  void look() {
    // A rank that another's death ends says so and exits; of several at once the killed one began
    // it.
    int worst = 0;
    for (auto& rank : ranks_) {
      const int code = rank.poll().value_or(0);
      if (code == 0 || (worst != 0 && (worst > 128 || code <= 128))) continue;
      worst = code;
      end_.failed = rank.rank();
    }
    end_.outOfTime = settings_.timeLimit.count() > 0 &&
                     Clock::now() - start_ > settings_.timeLimit && !allOver();
  }
  // A rank that another one's failure ends may be seen to end first. Who ends by itself says so in
  // a moment, with a reason of its own (an exit code beyond 1, a signal).
  void hearTheOthers() {
    const auto blamed = std::find_if(ranks_.begin(), ranks_.end(),
                                     [&](auto& rank) { return rank.rank() == end_.failed; });
    if (blamed->poll().value_or(0) != 1) return;
    const auto limit = Clock::now() + kOwnWords;
    while (Clock::now() < limit && !allOver() && !end_.interrupted) wait();
    // Nobody was sent a signal yet: who died of one began it.
    int worst = 1;
    for (auto& rank : ranks_) {
      const int code = rank.poll().value_or(0);
      if (code <= worst) continue;
      worst = code;
      end_.failed = rank.rank();
    }
  }
  void stop() {
    for (auto& rank : ranks_) rank.askToEnd();
    waitForAll(settings_.grace);
    if (allOver()) return;
    for (auto& rank : ranks_) rank.insist();
    waitForAll(kLastMoment);
  }
  void waitForAll(std::chrono::milliseconds most) {
    const auto limit = Clock::now() + most;
    while (Clock::now() < limit && !allOver()) wait();
  }

  GangSettings settings_;
  Clock::time_point start_;
  std::vector<Rank> ranks_;
  GangEnd end_;
};

RunningGang::RunningGang(std::unique_ptr<Ranks> ranks) : ranks_(std::move(ranks)) {}
RunningGang::~RunningGang() = default;

Result<std::unique_ptr<RunningGang>> RunningGang::start(const std::vector<RankCommand>& ranks,
                                                        GangSettings settings,
                                                        const std::string& nullDevice) {
  auto started = std::make_unique<Ranks>(std::move(settings));
  RAILHEAD_TRY(started->start(ranks, nullDevice));
  return std::unique_ptr<RunningGang>(new RunningGang(std::move(started)));
}

Result<void> RunningGang::tell(int rank, std::string_view text) { return ranks_->tell(rank, text); }
bool RunningGang::step(std::chrono::milliseconds wait) { return ranks_->step(wait); }
bool RunningGang::hasEnded(int rank) { return ranks_->hasEnded(rank); }
std::vector<std::string> RunningGang::nodes() const { return ranks_->nodes(); }
GangEnd RunningGang::end() { return ranks_->end(); }

Result<GangEnd> runGang(const std::vector<RankCommand>& ranks, const GangSettings& settings,
                        const std::string& nullDevice) {
  RAILHEAD_TRY_ASSIGN(const auto gang, RunningGang::start(ranks, settings, nullDevice));
  while (gang->step()) {
  }
  return gang->end();
}

}  // namespace railhead::launch
