#include "src/trainer/state_files.h"

#include "src/base/text.h"
#include "src/checkpoint/tensor_file.h"
#include "src/digest/sha256.h"
#include "src/os/durable_file.h"

#include <algorithm>
#include <bit>
#include <cstdio>

namespace railhead::trainer {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors has the low byte first");

constexpr std::size_t kAtOnce = 4 << 20;  // elements

std::string stateName(State state) {
  switch (state) {
    case State::kParameter:
      return "parameter";
    case State::kFirstMoment:
      return "first_moment";
    case State::kSecondMoment:
      return "second_moment";
  }
  return "";
}

std::string runName(State state, const Range& flat) {
  return stateName(state) + "." + std::to_string(flat.begin);
}

// A file that is hashed as it is written.
class HashedFile {
 public:
  explicit HashedFile(os::DurableFile file) : file_(std::move(file)) {}
  Result<void> write(std::span<const std::byte> bytes) {
    hash_.add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return file_.write(bytes);
  }
  Result<checkpoint::CheckpointFile> close(std::string name) {
    RAILHEAD_TRY(file_.close());
    return checkpoint::CheckpointFile{std::move(name), file_.size(), hash_.hex()};
  }

 private:
  os::DurableFile file_;
  digest::Sha256 hash_;
};

Result<void> writeRun(Engine& engine, State state, const Range& flat, HashedFile& file) {
  std::vector<float> values;
  for (std::uint64_t at = flat.begin; at < flat.end; at += values.size()) {
    values.resize(std::min<std::uint64_t>(kAtOnce, flat.end - at));
    RAILHEAD_TRY(engine.readState(state, {at, at + values.size()}, values));
    RAILHEAD_TRY(file.write(std::as_bytes(std::span(values))));
  }
  return {};
}

// One run of one file.
struct StoredRun {
  State state = State::kParameter;
  Range flat;
  std::size_t file = 0;
  checkpoint::TensorEntry tensor;
};

// Every run of every file, in order; what lies where is asked of it.
class StoredState {
 public:
  Result<void> add(const std::string& path) {
    RAILHEAD_TRY_ASSIGN(auto file, checkpoint::TensorFile::open(path));
    for (const auto& tensor : file.header().tensors) RAILHEAD_TRY(addRun(tensor));
    files_.push_back(std::move(file));
    return {};
  }

  void sort() {
    std::sort(runs_.begin(), runs_.end(), [](const StoredRun& a, const StoredRun& b) {
      return a.state != b.state ? a.state < b.state : a.flat.begin < b.flat.begin;
    });
  }

  Result<void> read(State state, Range flat, std::span<float> out) const {
    while (!out.empty()) {
      const StoredRun* run = runAt(state, flat.begin);
      if (run == nullptr) {
        return Error(ErrorCode::kCorrupt, "no file has element " + std::to_string(flat.begin) +
                                              " of " + stateName(state));
      }
      const auto count = std::min(run->flat.end, flat.end) - flat.begin;
      const auto offset = (flat.begin - run->flat.begin) * sizeof(float);
      RAILHEAD_TRY(
          files_[run->file].read(run->tensor, offset, std::as_writable_bytes(out.first(count))));
      out = out.subspan(count);
      flat.begin += count;
    }
    return {};
  }

 private:
  Result<void> addRun(const checkpoint::TensorEntry& tensor) {
    const auto dot = tensor.name.rfind('.');
    const auto begin =
        dot == std::string::npos ? std::nullopt : parseUnsigned(tensor.name.substr(dot + 1));
    const std::string kind = tensor.name.substr(0, dot);
    const auto* state = std::find_if(std::begin(kStates), std::end(kStates),
                                     [&](State each) { return stateName(each) == kind; });
    if (!begin || state == std::end(kStates) || tensor.type != "F32" || tensor.shape.size() != 1 ||
        *begin + tensor.shape[0] < *begin) {
      return Error(ErrorCode::kCorrupt,
                   "tensor " + inQuotes(tensor.name) + " is no run of training state");
    }
    runs_.push_back({*state, {*begin, *begin + tensor.shape[0]}, files_.size(), tensor});
    return {};
  }

  const StoredRun* runAt(State state, std::uint64_t element) const {
    const auto behind = std::upper_bound(
        runs_.begin(), runs_.end(), element, [&](std::uint64_t value, const StoredRun& run) {
          return state != run.state ? state < run.state : value < run.flat.begin;
        });
    if (behind == runs_.begin()) return nullptr;
    const StoredRun& run = *(behind - 1);
    return run.state == state && element < run.flat.end ? &run : nullptr;
  }

  std::vector<checkpoint::TensorFile> files_;
  std::vector<StoredRun> runs_;
};

}  // namespace

std::string stateFileName(int rank, int ranks) {
  char text[64];
  std::snprintf(text, sizeof text, "rank-%05d-of-%05d.safetensors", rank, ranks);
  return text;
}

Result<checkpoint::CheckpointFile> writeState(Engine& engine, int rank, const std::string& folder) {
  const std::string name = stateFileName(rank, engine.plan().ranks());
  const auto pieces = engine.plan().piecesOf(rank);
  std::vector<checkpoint::TensorPlan> tensors;
  for (const State state : kStates) {
    for (const auto& piece : pieces) {
      tensors.push_back({runName(state, piece.flat), "F32", {piece.flat.count()}});
    }
  }
  RAILHEAD_TRY_ASSIGN(const auto header,
                      checkpoint::encodeTensorHeader({{"format", "railhead.flat/1"}}, tensors));
  RAILHEAD_TRY_ASSIGN(auto created,
                      os::DurableFile::create(folder + "/" + name)
                          .addContext("every rank writes into rank 0's folder of checkpoints"));
  HashedFile file(std::move(created));
  RAILHEAD_TRY(file.write(std::as_bytes(std::span(header))));
  for (const State state : kStates) {
    for (const auto& piece : pieces) RAILHEAD_TRY(writeRun(engine, state, piece.flat, file));
  }
  return file.close(name);
}

Result<void> readState(Engine& engine, const std::string& path,
                       const std::vector<checkpoint::CheckpointFile>& files) {
  StoredState stored;
  for (const auto& file : files) {
    RAILHEAD_TRY(stored.add(path + "/" + file.name).addContext(file.name));
  }
  stored.sort();
  std::vector<float> values;
  for (const State state : kStates) {
    for (const auto& piece : engine.pieces()) {
      for (std::uint64_t at = piece.flat.begin; at < piece.flat.end; at += values.size()) {
        values.resize(std::min<std::uint64_t>(kAtOnce, piece.flat.end - at));
        const Range flat{at, at + values.size()};
        RAILHEAD_TRY(stored.read(state, flat, values).addContext(path));
        RAILHEAD_TRY(engine.writeState(state, flat, values));
      }
    }
  }
  return engine.publish();
}

}  // namespace railhead::trainer
