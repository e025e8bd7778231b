#include "tests/support/fake_nccl/faults.h"

#include "plugins/nccl-tuner/live_table.h"

#include <cstdlib>
#include <sstream>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace railhead::testing_support {
namespace {

constexpr int kVersion = 22809;
constexpr const char* kTransport = "NET/Socket/0";

bool parseRank(std::istringstream& in, int& rank) {
  std::string text;
  if (!(in >> text)) return false;
  if (text == "*") {
    rank = -1;
    return true;
  }
  std::istringstream number(text);
  return static_cast<bool>(number >> rank);
}

// The table as the tuner plugin maps it; null when there is none. Stays mapped.
const nccl_tuner::LiveTable* liveTable() {
  const char* path = std::getenv("RAILHEAD_TUNER_LIVE");  // NOLINT(concurrency-mt-unsafe)
  const int file = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return nullptr;
  void* at = ::mmap(nullptr, sizeof(nccl_tuner::LiveTable), PROT_READ, MAP_SHARED, file, 0);
  ::close(file);
  return at == MAP_FAILED ? nullptr : static_cast<const nccl_tuner::LiveTable*>(at);
}

bool isChosen(unsigned algorithm, unsigned protocol) {
  static const nccl_tuner::LiveTable* table = liveTable();
  nccl_tuner::LiveChoice choice;
  return table != nullptr && nccl_tuner::readLive(*table, choice) &&
         choice.algorithm == algorithm && choice.protocol == protocol;
}

}  // namespace

Faults& faults() {
  static Faults all;
  return all;
}

Faults::Faults() : version_(kVersion), transport_(kTransport) {
  const char* commands = std::getenv("RAILHEAD_FAKE_NCCL");  // NOLINT(concurrency-mt-unsafe)
  std::istringstream in(commands != nullptr ? commands : "");
  for (std::string line; std::getline(in, line, ';');) obey(line);
}

bool Faults::command(const std::string& line) {
  const std::lock_guard lock(mutex_);
  return obey(line);
}

bool Faults::obeyLasting(const std::string& verb, std::istream& in) {
  Fault fault;
  fault.kind = verb.starts_with("hang") ? FaultKind::kHangCall : FaultKind::kCorruptCall;
  if (verb == "corrupt-with") {
    std::string name;
    std::string value;
    if (!(in >> name >> value)) return false;
    lasting_.push_back({[name, value] {
                          const char* is =
                              std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
                          return is != nullptr && value == is;
                        },
                        fault});
    return true;
  }
  unsigned algorithm = 0;
  unsigned protocol = 0;
  if (!(in >> algorithm >> protocol)) return false;
  lasting_.push_back({[=] { return isChosen(algorithm, protocol); }, fault});
  return true;
}

bool Faults::obey(const std::string& line) {
  static const std::map<std::string, FaultKind> kKinds{
      {"fail-init", FaultKind::kFailInit},   {"hang-init", FaultKind::kHangInit},
      {"fail-call", FaultKind::kFailCall},   {"hang-call", FaultKind::kHangCall},
      {"block-call", FaultKind::kBlockCall}, {"corrupt-call", FaultKind::kCorruptCall}};
  std::istringstream in(line);
  std::string verb;
  in >> verb;
  if (verb == "reset") {
    planted_.clear();
    lasting_.clear();
    version_ = kVersion;
    transport_ = kTransport;
    return true;
  }
  if (verb == "version") return static_cast<bool>(in >> version_);
  if (verb == "transport") return static_cast<bool>(in >> transport_);
  if (verb == "hang-choice" || verb == "corrupt-choice" || verb == "corrupt-with")
    return obeyLasting(verb, in);
  const auto kind = kKinds.find(verb);
  Planted planted;
  if (kind == kKinds.end() || !parseRank(in, planted.rank)) return false;
  planted.fault.kind = kind->second;
  const bool init = kind->second == FaultKind::kFailInit || kind->second == FaultKind::kHangInit;
  if (!init && !(in >> planted.callsLeft)) return false;
  const bool coded = kind->second == FaultKind::kFailInit || kind->second == FaultKind::kFailCall;
  if (coded && !(in >> planted.fault.code)) return false;
  planted_.emplace(init, planted);
  return true;
}

Fault Faults::takeInit(int rank) {
  const std::lock_guard lock(mutex_);
  const auto [first, last] = planted_.equal_range(true);
  for (auto at = first; at != last; ++at) {
    if (at->second.rank >= 0 && at->second.rank != rank) continue;
    const Fault fault = at->second.fault;
    planted_.erase(at);
    return fault;
  }
  return {};
}

Fault Faults::takeCall(int rank) {
  const std::lock_guard lock(mutex_);
  auto [at, last] = planted_.equal_range(false);
  Fault due;
  while (at != last) {
    Planted& planted = at->second;
    const bool concerned = planted.rank < 0 || planted.rank == rank;
    if (!concerned || planted.callsLeft-- > 0 || due.kind != FaultKind::kNone) {
      ++at;
      continue;
    }
    due = planted.fault;
    at = planted_.erase(at);
  }
  for (const Lasting& one : lasting_) {
    if (due.kind == FaultKind::kNone && one.holds()) due = one.fault;
  }
  return due;
}

int Faults::version() {
  const std::lock_guard lock(mutex_);
  return version_;
}

std::string Faults::transport() {
  const std::lock_guard lock(mutex_);
  return transport_;
}

}  // namespace railhead::testing_support
