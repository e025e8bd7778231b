#include "apps/railhead-train/rank_link.h"

#include "apps/usage/command_line.h"
#include "src/collective/nccl/nccl_communicator.h"
#include "src/trainer/nccl_exchange.h"

#include <utility>

namespace railhead::trainer_app {
namespace {

os::Deadline in(double seconds) {
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(
             std::chrono::duration<double>(seconds));
}

}  // namespace

RankLink::RankLink()
    : watch_([](const Error& error) { usage::endWith("railhead-train", error); }) {}

Result<std::unique_ptr<RankLink>> RankLink::open(const collective::World& world,
                                                 const LinkOptions& options,
                                                 os::Filesystem& files) {
  std::unique_ptr<RankLink> link(new RankLink());
  link->patience_ = options.patience;
  if (world.ranks == 1) {
    link->exchange_ = trainer::aloneExchange();
    return link;
  }
  collective::GroupSettings settings;
  settings.purpose = "train 1";
  settings.meetBy = in(options.timeout);
  settings.onFailure = [raw = link.get()](const Error& error) { raw->watch_.failed(error); };
  RAILHEAD_TRY_ASSIGN(link->group_, collective::Group::join(world, settings));
  const auto connected = link->connect(world, options, files);
  link->watch_.connected(link->communicator_.get());
  if (!connected.has_value()) {
    link->fail(connected.error());
    return link->explained(connected.error());
  }
  return link;
}

RankLink::~RankLink() = default;

Result<void> RankLink::connect(const collective::World& world, const LinkOptions& options,
                               os::Filesystem& files) {
  if (!options.cuda) {
    RAILHEAD_TRY_ASSIGN(auto joined, connectHost(world, options, files, *this));
    exchange_ = trainer::hostExchange(*joined);
    communicator_ = std::move(joined);
    return {};
  }
  collective::NcclSettings settings;
  if (!options.ncclLibrary.empty()) settings.ncclLibraries = {options.ncclLibrary};
  settings.localRank = world.localRank;
  settings.callPatience = options.patience;
  RAILHEAD_TRY_ASSIGN(auto joined,
                      collective::NcclCommunicator::connect(world.rank, world.ranks, settings,
                                                            gather(), in(options.timeout)));
  RAILHEAD_TRY_ASSIGN(exchange_, trainer::ncclExchange(*joined));
  communicator_ = std::move(joined);
  return {};
}

Result<std::vector<std::string>> RankLink::gatherTexts(const std::string& own) {
  if (group_ == nullptr) return std::vector<std::string>{own};
  return group_->gather(own, std::chrono::steady_clock::now() + patience_);
}

trainer::Gather RankLink::gather() {
  return [this](const std::string& own) { return gatherTexts(own); };
}

Error RankLink::explained(Error error) const {
  // A refusal says more than what became of the others.
  // So does what this machine lacks.
  const bool refused = error.code == ErrorCode::kCheckFailed ||
                       error.code == ErrorCode::kInvalidArgument ||
                       error.code == ErrorCode::kEnvironment;
  if (group_ == nullptr || refused) return error;
  const auto failure = group_->failure();
  return failure ? *failure : error;
}

void RankLink::abort() {
  if (communicator_ != nullptr) communicator_->abort();
}

void RankLink::fail(const Error& error) {
  if (group_ != nullptr) group_->fail(error);
}

}  // namespace railhead::trainer_app
