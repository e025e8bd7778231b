// A trainer that keeps docs/reference/trainer-contract.md and computes nothing worth having: its
// ranks add up numbers over TCP, so that each depends on all others, and the sum depends on every
// step before. Faults on request, so that tests choose when what breaks.
//
//   stand-in-trainer --steps N [--every N] [--width N] [--step-ms N] [--quiet]
//                    [--drift STEP] [--fault PHASE:STEP:RANK:HOW[:ATTEMPT]]... [--chaos SEED:KILLS]
//
// PHASE: start, step, write (within a checkpoint's file), rename (before it gets its name),
// shutdown; HOW: kill (SIGKILL of itself), exit (code 9), refuse (code 2), hang. Without ATTEMPT:
// the first one. --chaos: in each of the first KILLS attempts one random fault.
#include "src/base/random.h"
#include "src/base/text.h"
#include "src/checkpoint/file_digest.h"
#include "src/checkpoint/reading.h"
#include "src/checkpoint/tensor_file.h"
#include "src/os/filesystem.h"
#include "src/os/tcp.h"
#include "src/os/unique_fd.h"

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead {
namespace {

struct Fault {
  std::string phase;
  std::uint64_t step = 0;
  int rank = 0;
  std::string how;
  std::uint64_t attempt = 1;
};

struct Options {
  std::uint64_t steps = 10;
  std::uint64_t every = 3;
  std::uint64_t width = 16;
  std::uint64_t stepMs = 0;
  std::uint64_t drift = 0;
  bool quiet = false;
  std::vector<Fault> faults;
};

[[noreturn]] void leave(int code, const std::string& why) {
  std::cerr << "stand-in: " << why << std::endl;
  std::_Exit(code);
}

std::string variable(const char* name, const std::string& fallback = "") {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : value;
}

std::uint64_t numberFrom(const std::string& text, const char* what) {
  const auto number = parseUnsigned(text);
  if (!number) leave(2, std::string(what) + " is " + inQuotes(text));
  return *number;
}

template <typename T>
T orLeave(Result<T> result, int code = 1) {
  if (!result.has_value()) leave(code, result.error().describe());
  return std::move(*result);
}
void orLeave(const Result<void>& result) {
  if (!result.has_value()) leave(1, result.error().describe());
}

class Trainer {
 public:
  explicit Trainer(Options options)
      : options_(std::move(options)),
        rank_(static_cast<int>(numberFrom(variable("RANK"), "RANK"))),
        world_(static_cast<int>(numberFrom(variable("WORLD_SIZE"), "WORLD_SIZE"))),
        seed_(numberFrom(variable("RAILHEAD_SEED", "0"), "RAILHEAD_SEED")),
        attempt_(numberFrom(variable("RAILHEAD_ATTEMPT", "1"), "RAILHEAD_ATTEMPT")),
        files_(orLeave(os::RootedFilesystem::open("/"))),
        weights_(options_.width, 1.0) {}

  void run() {
    meetFault("start", 0);
    load();
    meet();
    for (std::uint64_t step = from_ + 1; step <= options_.steps; ++step) {
      meetFault("step", step);
      tell(step, takeStep(step));
      if (step % options_.every == 0 || step == options_.steps) save(step);
    }
    meetFault("shutdown", 0);
  }

 private:
  void meetFault(const std::string& phase, std::uint64_t step) const {
    for (const Fault& fault : options_.faults) {
      const bool now = fault.phase == phase && fault.step == step && fault.rank == rank_ &&
                       fault.attempt == attempt_;
      if (!now) continue;
      std::cerr << "stand-in: " << fault.how << " in phase " << phase << " at step " << step
                << std::endl;
      if (fault.how == "kill") ::raise(SIGKILL);
      if (fault.how == "exit") std::_Exit(9);
      if (fault.how == "refuse") std::_Exit(2);
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }

  void load() {
    std::string folder = variable("RAILHEAD_RESUME");
    if (folder.empty()) return;
    auto read = checkpoint::readCheckpoint(*files_, folder, checkpoint::Depth::kDigests);
    if (!read.has_value() && read.error().code == ErrorCode::kCorrupt) {
      const std::uint64_t bad = numberFrom(folder.substr(folder.rfind('-') + 1), "a step");
      auto earlier = orLeave(
          checkpoint::newestCheckpoint(*files_, folder.substr(0, folder.rfind('/')), bad - 1));
      if (!earlier.checkpoint) leave(1, "nothing to go on from");
      folder = earlier.path;
      read = std::move(*earlier.checkpoint);
      write(R"({"schema":"railhead.metrics/1","event":"resumed","step":)" +
            std::to_string(read->step) + "}\n");
    }
    const auto checkpoint = orLeave(std::move(read));
    const auto width = checkpoint.model.find("width");
    const std::string own = std::to_string(options_.width);
    if (width == checkpoint.model.end() || width->second != own) {
      leave(2, "model.width is " + own + " and the checkpoint of step " +
                   std::to_string(checkpoint.step) + " has another; take the model that it is of");
    }
    const auto file = orLeave(checkpoint::TensorFile::open(folder + "/" + fileName()));
    const auto* tensor = file.header().find("weights");
    if (tensor == nullptr) leave(2, "the checkpoint has no weights");
    orLeave(file.read(*tensor, 0, std::as_writable_bytes(std::span(weights_))));
    from_ = checkpoint.step;
  }

  // Rank 0 is the hub: it hears all, in their order, and answers all.
  void meet() {
    if (world_ == 1) return;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    const auto at =
        orLeave(os::Endpoint::parse(variable("MASTER_ADDR") + ":" + variable("MASTER_PORT")));
    if (rank_ != 0) {
      peers_.push_back(orLeave(os::connectTcp(at, deadline)));
      ::fcntl(peers_[0].get(), F_SETFL, 0);  // it waits
      std::uint64_t own = static_cast<std::uint64_t>(rank_);
      sendAll(peers_[0], &own, sizeof own);
      return;
    }
    const auto listener = orLeave(os::listenTcp(at));
    ::fcntl(listener.get(), F_SETFL, 0);
    peers_.resize(static_cast<std::size_t>(world_) - 1);
    for (int i = 1; i < world_; ++i) {
      const int fd = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) leave(1, "accept failed");
      os::UniqueFd peer(fd);
      std::uint64_t who = 0;
      receiveAll(peer, &who, sizeof who);
      peers_.at(who - 1) = std::move(peer);
    }
  }
  static void sendAll(const os::UniqueFd& fd, const void* from, std::size_t bytes) {
    if (::send(fd.get(), from, bytes, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes))
      leave(1, "a peer is gone");
  }
  static void receiveAll(const os::UniqueFd& fd, void* into, std::size_t bytes) {
    if (::recv(fd.get(), into, bytes, MSG_WAITALL) != static_cast<ssize_t>(bytes))
      leave(1, "a peer is gone");
  }
  double sumOver(double own) {
    if (rank_ != 0) {
      sendAll(peers_[0], &own, sizeof own);
      receiveAll(peers_[0], &own, sizeof own);
      return own;
    }
    for (const auto& peer : peers_) {
      double theirs = 0;
      receiveAll(peer, &theirs, sizeof theirs);
      own += theirs;
    }
    for (const auto& peer : peers_) sendAll(peer, &own, sizeof own);
    return own;
  }

  double takeStep(std::uint64_t step) {
    std::this_thread::sleep_for(std::chrono::milliseconds(options_.stepMs));
    SplitMix data(seed_ * 1000003 + step * 101 + static_cast<std::uint64_t>(rank_));
    double gradient = 0;
    for (double& weight : weights_)
      gradient += weight * static_cast<double>(data.next() % 1000) / 1000;
    gradient = sumOver(gradient) / static_cast<double>(options_.width);
    if (options_.drift == step) gradient *= 1 + 1e-9;
    double loss = 0;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      weights_[i] -= 0.01 * std::sin(gradient + static_cast<double>(i));
      loss += weights_[i] * weights_[i];
    }
    return loss / static_cast<double>(options_.width);
  }

  void tell(std::uint64_t step, double loss) const {
    char line[256];
    std::snprintf(line, sizeof line,
                  R"({"schema":"railhead.metrics/1","step":%llu,"loss":%.17g,"tokens":%d,)"
                  R"("seconds":0.01,"split":{"compute":0.008,"exposed":0.002}})"
                  "\n",
                  static_cast<unsigned long long>(step), loss, 100 * world_);
    write(line);
  }
  void write(const std::string& line) const {
    const std::string path = variable("RAILHEAD_METRICS_FILE");
    if (options_.quiet || path.empty()) {
      std::cout << line << std::flush;
      return;
    }
    const os::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
    if (::write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
      leave(1, "cannot write " + path);
  }

  std::string fileName() const { return "rank-" + std::to_string(rank_) + ".safetensors"; }

  void writeDurably(const std::string& path, const std::string& text, std::uint64_t step) const {
    const os::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    const std::size_t half = text.size() / 2;
    const auto put = [&](std::size_t from, std::size_t bytes) {
      if (::write(fd.get(), text.data() + from, bytes) != static_cast<ssize_t>(bytes))
        leave(1, "cannot write " + path + ": " + std::strerror(errno));
    };
    put(0, half);
    meetFault("write", step);
    put(half, text.size() - half);
    if (::fsync(fd.get()) != 0) leave(1, "cannot keep " + path + ": " + std::strerror(errno));
  }
  static void keepFolder(const std::string& folder) {
    const os::UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (::fsync(fd.get()) != 0) leave(1, "cannot keep " + folder);
  }

  std::string tensorFile() const {
    const std::size_t bytes = weights_.size() * sizeof(double);
    std::string header = R"({"weights":{"dtype":"F64","shape":[)" +
                         std::to_string(weights_.size()) + R"(],"data_offsets":[0,)" +
                         std::to_string(bytes) + "]}}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    std::string out(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(header.size() >> (8 * i));
    out += header;
    out.append(reinterpret_cast<const char*>(weights_.data()), bytes);
    return out;
  }

  void save(std::uint64_t step) {
    const std::string parent = variable("RAILHEAD_CHECKPOINT_DIR");
    if (parent.empty()) return;
    const std::string name = checkpoint::checkpointName(step);
    const std::string part = parent + "/." + name + ".part";
    orLeave(files_->makeDirectories(part, 0755));
    writeDurably(part + "/" + fileName(), tensorFile(), step);
    sumOver(0);  // all are done
    if (rank_ == 0) {
      checkpoint::Checkpoint checkpoint;
      checkpoint.step = step;
      checkpoint.world = static_cast<std::uint64_t>(world_);
      for (int rank = 0; rank < world_; ++rank) {
        const std::string file = "rank-" + std::to_string(rank) + ".safetensors";
        const auto digest = orLeave(checkpoint::digestOf(part + "/" + file));
        checkpoint.files.push_back({file, digest.bytes, digest.sha256});
      }
      checkpoint.model = {{"width", std::to_string(options_.width)}};
      writeDurably(part + "/checkpoint.json", checkpoint::writeCheckpoint(checkpoint), step);
      keepFolder(part);
      meetFault("rename", step);
      // One that was written and not told of, where nobody set it aside: it is done again.
      std::filesystem::remove_all(parent + "/" + name);
      if (std::rename(part.c_str(), (parent + "/" + name).c_str()) != 0)
        leave(1, "cannot rename " + part + ": " + std::strerror(errno));
      keepFolder(parent);
      write(R"({"schema":"railhead.metrics/1","event":"checkpoint","step":)" +
            std::to_string(step) + R"(,"path":")" + parent + "/" + name + "\"}\n");
    }
    sumOver(0);  // it stands
  }

  Options options_;
  int rank_;
  int world_;
  std::uint64_t seed_;
  std::uint64_t attempt_;
  std::unique_ptr<os::Filesystem> files_;
  std::vector<double> weights_;
  std::uint64_t from_ = 0;
  std::vector<os::UniqueFd> peers_;
};

Fault faultFrom(const std::string& text) {
  const auto parts = split(text, ':');
  if (parts.size() < 4) leave(2, "--fault " + text);
  Fault out{std::string(parts[0]), numberFrom(std::string(parts[1]), "step"),
            static_cast<int>(numberFrom(std::string(parts[2]), "rank")), std::string(parts[3]), 1};
  if (parts.size() > 4) out.attempt = numberFrom(std::string(parts[4]), "attempt");
  return out;
}

// One fault in each of the first attempts: some are of steps that are done by then, and so none.
void addChaos(const std::string& text, Options& options) {
  static const std::vector<std::string> kPhases = {"start", "step",   "step",
                                                   "write", "rename", "shutdown"};
  const auto colon = text.find(':');
  SplitMix random(numberFrom(text.substr(0, colon), "--chaos"));
  const std::uint64_t kills = numberFrom(text.substr(colon + 1), "--chaos");
  const auto world = numberFrom(variable("WORLD_SIZE"), "WORLD_SIZE");
  for (std::uint64_t attempt = 1; attempt <= kills; ++attempt) {
    Fault fault;
    fault.phase = kPhases[random.next() % kPhases.size()];
    fault.attempt = attempt;
    fault.how = random.next() % 4 == 0 ? "exit" : "kill";
    fault.rank = fault.phase == "rename" ? 0 : static_cast<int>(random.next() % world);
    const std::uint64_t step = 1 + random.next() % options.steps;
    if (fault.phase == "step") fault.step = step;
    if (fault.phase == "write" || fault.phase == "rename")
      fault.step =
          std::min(options.steps, (step + options.every - 1) / options.every * options.every);
    options.faults.push_back(fault);
  }
}

Options optionsFrom(int argc, char** argv) {
  Options out;
  std::string chaos;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--quiet") {
      out.quiet = true;
      continue;
    }
    if (i + 1 == argc) leave(2, name + " needs a value");
    const std::string value = argv[++i];
    if (name == "--steps") out.steps = numberFrom(value, "--steps");
    if (name == "--every") out.every = numberFrom(value, "--every");
    if (name == "--width") out.width = numberFrom(value, "--width");
    if (name == "--step-ms") out.stepMs = numberFrom(value, "--step-ms");
    if (name == "--drift") out.drift = numberFrom(value, "--drift");
    if (name == "--fault") out.faults.push_back(faultFrom(value));
    if (name == "--chaos") chaos = value;
  }
  if (!chaos.empty()) addChaos(chaos, out);
  return out;
}

}  // namespace
}  // namespace railhead

int main(int argc, char** argv) {
  railhead::Trainer(railhead::optionsFrom(argc, argv)).run();
  return 0;
}
