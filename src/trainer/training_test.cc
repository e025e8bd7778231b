// The training loop over a plain engine: ranks as threads, over Gloo and over the fake of NCCL.
#include "src/trainer/training.h"

#include "src/checkpoint/reading.h"
#include "src/collective/communicator_contract.h"
#include "src/collective/host/host_communicator.h"
#include "src/collective/host/host_memory.h"
#include "src/trainer/nccl_exchange.h"
#include "src/trainer/state_files.h"
#include "tests/support/manual_clock.h"
#include "tests/support/nccl_fixture.h"
#include "tests/support/plain_engine.h"
#include "tests/support/temporary_folder.h"

#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::trainer {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing_support::PlainEngine;

constexpr ModelShape kTrained{1, 1, 8, 16, 256};

enum class Carrier { kHost, kNccl };

struct RunSetup {
  int ranks = 1;
  bool sharded = true;
  std::uint64_t steps = 12;
  std::uint64_t samplesPerPass = 2;
  std::uint64_t checkpointEvery = 0;
  std::uint64_t seed = 5;
  bool resume = false;
  std::uint64_t stopAt = 0;  // the step in which rank 1 (or the only one) is asked to
  Carrier carrier = Carrier::kHost;
};

struct RankEnd {
  std::vector<double> losses;  // by step of this run
  std::vector<float> weights;
  TrainingResult result;
  std::size_t passes = 0;
};

// The engine's work on the fake device's default stream, where LibTorch's is on a real one.
class DefaultStream {
 public:
  DefaultStream(const std::string& cudaLibrary, collective::NcclCommunicator& communicator)
      : library_(os::DynamicLibrary::open({cudaLibrary}).value()),
        communicator_(communicator),
        mark_(communicator.context().createEvent(false).value()) {}

  PlainEngine::Device device() {
    return {[this](std::size_t floats) {
              memory_.push_back(communicator_.memory().allocate(floats * sizeof(float)).value());
              return static_cast<float*>(memory_.back()->data());
            },
            [this](std::function<void()> work) { start(std::move(work)); }, [this] { settle(); }};
  }

 private:
  void start(std::function<void()> work) {
    const gpu::cuda::Context::Current current(communicator_.context());
    const auto enqueue = library_.find<int(void*, void (*)(void*), void*)>("fakeCudaEnqueue");
    const auto run = [](void* argument) {
      const std::unique_ptr<std::function<void()>> given(
          static_cast<std::function<void()>*>(argument));
      (*given)();
    };
    EXPECT_EQ(enqueue(nullptr, run, new std::function<void()>(std::move(work))), 0);
  }
  void settle() {
    EXPECT_TRUE(communicator_.context().recordOn(nullptr, mark_).has_value());
    while (!mark_.passed().value()) std::this_thread::yield();
  }

  os::DynamicLibrary library_;
  collective::NcclCommunicator& communicator_;
  gpu::cuda::Event mark_;
  std::vector<std::unique_ptr<collective::Buffer>> memory_;
};

class TrainingTest : public testing::Test {
 protected:
  TrainingTest() {
    std::string text;
    for (int i = 0; i < 3000; ++i) text += static_cast<char>('a' + i * i % 23);
    std::ofstream(temporary_.path() + "/text") << text;
  }

  std::string checkpoints() const { return temporary_.path() + "/checkpoints"; }

  TrainingSettings settingsOf(const RunSetup& setup) const {
    TrainingSettings out;
    out.shape = kTrained;
    out.schedule = {0.02, 0.1, 2, setup.steps};
    out.samplesPerStep = 8;
    out.samplesPerPass = setup.samplesPerPass;
    out.seed = setup.seed;
    out.sharded = setup.sharded;
    out.checkpoints = checkpoints();
    out.checkpointEvery = setup.checkpointEvery;
    out.keep = 10;
    out.patience = 60s;
    return out;
  }

  // One rank, with an exchange over `communicator` (none: alone).
  Result<RankEnd> trainOn(const RunSetup& setup, PlainEngine& engine, Exchange& exchange,
                          const Gather& gather) {
    const auto files = std::move(*os::RootedFilesystem::open("/"));
    RAILHEAD_TRY_ASSIGN(const auto corpus, Corpus::read(*files, {temporary_.path() + "/text"},
                                                        "bytes", kTrained.context));
    testing_support::ManualClock clock;
    RankEnd out;
    std::uint64_t at = 0;
    const TrainingParts parts{engine,
                              exchange,
                              corpus,
                              *files,
                              clock,
                              gather,
                              [&] {
                                return setup.stopAt != 0 && at + 1 == setup.stopAt &&
                                       exchange.rank() + 1 == exchange.ranks();
                              },
                              [&](const StepMetrics& step) -> Result<void> {
                                at = step.step;
                                out.losses.push_back(step.loss);
                                return {};
                              },
                              [](std::uint64_t, const std::string&) { return Result<void>(); }};
    std::optional<ResumePoint> resume;
    if (setup.resume) {
      RAILHEAD_TRY_ASSIGN(auto newest, checkpoint::newestCheckpoint(*files, checkpoints()));
      resume = ResumePoint{newest.path, newest.checkpoint.value()};
      at = resume->checkpoint.step;
    }
    RAILHEAD_TRY_ASSIGN(out.result, train(settingsOf(setup), parts, resume));
    out.weights = engine.flatWeights();
    out.passes = engine.passes();
    return out;
  }

  Result<RankEnd> rankOf(const RunSetup& setup, int rank, const Gather& gather) {
    if (setup.ranks == 1) {
      PlainEngine engine(kTrained, 900, 0, 1, setup.sharded);
      const auto exchange = aloneExchange();
      return trainOn(setup, engine, *exchange, gather);
    }
    if (setup.carrier == Carrier::kNccl) return ncclRankOf(setup, rank, gather);
    const auto files = std::move(*os::RootedFilesystem::open("/"));
    collective::HostSettings settings;
    settings.rails = {{collective::HostRail::Kind::kTcp, "127.0.0.1", "", 1, 0}};
    RAILHEAD_TRY_ASSIGN(const auto communicator,
                        collective::HostCommunicator::connect(
                            rank, setup.ranks, settings, gather,
                            std::make_unique<collective::HostMemory>(*files, "/proc/meminfo")));
    PlainEngine engine(kTrained, 900, rank, setup.ranks, setup.sharded);
    const auto exchange = hostExchange(*communicator);
    return trainOn(setup, engine, *exchange, gather);
  }

  Result<RankEnd> ncclRankOf(const RunSetup& setup, int rank, const Gather& gather) {
    collective::NcclSettings settings;
    settings.cudaLibraries = {nccl_->cuda().library()};
    settings.ncclLibraries = {nccl_->path()};
    settings.device = std::to_string(rank);
    RAILHEAD_TRY_ASSIGN(const auto communicator, collective::NcclCommunicator::connect(
                                                     rank, setup.ranks, settings, gather,
                                                     std::chrono::steady_clock::now() + 30s));
    DefaultStream stream(nccl_->cuda().library(), *communicator);
    PlainEngine engine(kTrained, 900, rank, setup.ranks, setup.sharded, stream.device());
    RAILHEAD_TRY_ASSIGN(const auto exchange, ncclExchange(*communicator));
    return trainOn(setup, engine, *exchange, gather);
  }

  // All ranks, as threads.
  std::vector<Result<RankEnd>> run(const RunSetup& setup) {
    collective::Meeting meeting(setup.ranks);
    std::vector<Result<RankEnd>> ends(static_cast<std::size_t>(setup.ranks), Error());
    std::vector<std::thread> threads;
    for (int rank = 0; rank < setup.ranks; ++rank) {
      threads.emplace_back([&, rank] {
        const Gather gather = [&](const std::string& own) { return meeting.gather(rank, own); };
        ends[static_cast<std::size_t>(rank)] = rankOf(setup, rank, gather);
      });
    }
    for (auto& thread : threads) thread.join();
    return ends;
  }
  // The same, all well: what rank 0 has, which the others have too.
  RankEnd trained(const RunSetup& setup) {
    const auto ends = run(setup);
    for (const auto& end : ends) {
      EXPECT_TRUE(end.has_value()) << end.error().describe();
      if (!end.has_value()) return {};
      EXPECT_EQ(end->losses, ends[0]->losses);
      EXPECT_EQ(end->weights, ends[0]->weights);
    }
    return *ends[0];
  }
  std::string refusal(const RunSetup& setup) {
    const auto ends = run(setup);
    return ends[0].has_value() ? "none" : ends[0].error().message;
  }

  testing_support::TemporaryFolder temporary_;
  std::optional<testing_support::NcclFixture> nccl_;
};

void expectClose(const std::vector<float>& a, const std::vector<float>& b, float within) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], within) << i;
}

TEST_F(TrainingTest, TheLossFalls) {
  const auto end = trained({.steps = 40});
  ASSERT_EQ(end.losses.size(), 40U);
  EXPECT_LT(end.losses.back(), end.losses.front() * 0.7);
  EXPECT_EQ(end.result.step, 40U);
  EXPECT_EQ(end.result.checkpoint, checkpoints() + "/step-00000040");
}

TEST_F(TrainingTest, SameSeedSameBits) {
  const auto first = trained({.ranks = 2});
  const auto second = trained({.ranks = 2});
  EXPECT_EQ(first.losses, second.losses);
  EXPECT_EQ(first.weights, second.weights);
  EXPECT_NE(trained({.ranks = 2, .seed = 6}).losses, first.losses);
}

TEST_F(TrainingTest, AnyNumberOfRanksTrainsTheSameModel) {
  const auto alone = trained({});
  for (const int ranks : {2, 4}) {
    const auto several = trained({.ranks = ranks});
    expectClose(several.weights, alone.weights, 1e-5F);
    EXPECT_NEAR(several.losses.back(), alone.losses.back(), 1e-6);
  }
}

TEST_F(TrainingTest, PassesOfAStepAddUp) {
  const auto inOne = trained({.samplesPerPass = 8});
  const auto inFour = trained({.samplesPerPass = 2});
  EXPECT_EQ(inFour.passes, 4 * inOne.passes);
  expectClose(inFour.weights, inOne.weights, 1e-5F);
}

TEST_F(TrainingTest, WithAndWithoutShardsItIsTheSame) {
  const auto sharded = trained({.ranks = 2});
  const auto whole = trained({.ranks = 2, .sharded = false});
  EXPECT_EQ(sharded.weights, whole.weights);
  EXPECT_EQ(sharded.losses, whole.losses);
}

TEST_F(TrainingTest, OverNcclItIsTheSame) {
  nccl_.emplace(2);
  const auto host = trained({.ranks = 2});
  const auto device = trained({.ranks = 2, .carrier = Carrier::kNccl});
  EXPECT_EQ(host.weights, device.weights);
  EXPECT_EQ(host.losses, device.losses);
}

TEST_F(TrainingTest, ResumedItEndsAsIfNothingHadBeen) {
  for (const bool sharded : {true, false}) {
    const auto whole = trained({.ranks = 2, .sharded = sharded, .checkpointEvery = 5});
    for (const std::uint64_t step : {10U, 12U}) {
      std::filesystem::remove_all(checkpoints() + "/" + checkpoint::checkpointName(step));
    }
    if (!sharded) std::filesystem::remove_all(checkpoints() + "/" + checkpoint::checkpointName(10));
    const auto rest =
        trained({.ranks = 2, .sharded = sharded, .checkpointEvery = 5, .resume = true});
    EXPECT_EQ(rest.losses.size(), 7U);
    EXPECT_EQ(rest.weights, whole.weights);
    EXPECT_EQ(rest.losses.back(), whole.losses.back());
    std::filesystem::remove_all(checkpoints());
  }
}

// 2 -> 1 -> 4 ranks, and the optimizer's state with them.
TEST_F(TrainingTest, ResumedAtAnotherNumberOfRanksItIsTheSameModel) {
  const auto whole = trained({.ranks = 2});
  std::filesystem::remove_all(checkpoints());
  trained({.ranks = 2, .stopAt = 4});
  const auto one = trained({.resume = true, .stopAt = 8});
  EXPECT_EQ(one.losses.size(), 4U);
  const auto four = trained({.ranks = 4, .resume = true});
  EXPECT_EQ(four.losses.size(), 4U);
  expectClose(four.weights, whole.weights, 1e-5F);
  EXPECT_NEAR(four.losses.back(), whole.losses.back(), 1e-6);
}

TEST_F(TrainingTest, AllRanksStopWhenOneIsAskedTo) {
  const auto ends = run({.ranks = 2, .stopAt = 4});
  for (const auto& end : ends) {
    ASSERT_TRUE(end.has_value()) << end.error().describe();
    EXPECT_EQ(end->result.step, 4U);
    EXPECT_TRUE(end->result.stopped);
    EXPECT_EQ(end->result.checkpoint, checkpoints() + "/step-00000004");
  }
}

TEST_F(TrainingTest, AnotherRunsCheckpointIsRefused) {
  trained({.stopAt = 4});
  EXPECT_THAT(refusal({.seed = 6, .resume = true}), HasSubstr("its seed is '5', here '6'"));
  std::ofstream(temporary_.path() + "/text", std::ios::app) << "more";
  EXPECT_THAT(refusal({.resume = true}), HasSubstr("its data_sha256 is"));
}

TEST_F(TrainingTest, AnotherModelsCheckpointIsRefused) {
  trained({.stopAt = 4});
  const auto files = std::move(*os::RootedFilesystem::open("/"));
  const std::string path = checkpoints() + "/step-00000004/checkpoint.json";
  auto record =
      checkpoint::parseCheckpoint(*files->readFile(path, os::Filesystem::kMaxRead), path).value();
  record.model["layers"] = "7";
  ASSERT_TRUE(files->replaceFile(path, checkpoint::writeCheckpoint(record), 0644).has_value());
  EXPECT_THAT(refusal({.resume = true}), HasSubstr("its layers is 7, here 1"));
}

// Complete by its digests, and yet without a part of the model.
TEST_F(TrainingTest, ACheckpointThatLacksElementsIsRefused) {
  trained({.ranks = 2, .stopAt = 4});
  const auto files = std::move(*os::RootedFilesystem::open("/"));
  const std::string path = checkpoints() + "/step-00000004/checkpoint.json";
  auto record =
      checkpoint::parseCheckpoint(*files->readFile(path, os::Filesystem::kMaxRead), path).value();
  record.files.pop_back();
  ASSERT_TRUE(files->replaceFile(path, checkpoint::writeCheckpoint(record), 0644).has_value());
  EXPECT_THAT(refusal({.resume = true}), HasSubstr("no file has element"));
}

TEST_F(TrainingTest, ARankThatCannotWriteStopsAll) {
  std::ofstream(checkpoints()) << "a file where the folder should be";
  const auto ends = run({.ranks = 2, .steps = 3});
  for (const auto& end : ends) {
    ASSERT_FALSE(end.has_value());
    EXPECT_THAT(end.error().message, HasSubstr("checkpoint of step 3: "));
  }
}

TEST_F(TrainingTest, BatchesMustFitTheRanks) {
  EXPECT_THAT(refusal({.ranks = 1, .samplesPerPass = 3}), HasSubstr("expected a multiple of 1"));
}

}  // namespace
}  // namespace railhead::trainer
