#include "src/trainer/nccl_exchange.h"

#include <algorithm>
#include <vector>

namespace railhead::trainer {
namespace {

using gpu::cuda::Event;

constexpr void* kDefaultStream = nullptr;  // where LibTorch computes when nobody says otherwise

// From the first call to the end of all, and when the engine had nothing else to do.
struct Stretch {
  Event begin, end, computed;
};

class NcclExchange final : public Exchange {
 public:
  NcclExchange(collective::NcclCommunicator& communicator, Event ready)
      : communicator_(communicator), ready_(std::move(ready)) {}

  int rank() const override { return communicator_.rank(); }
  int ranks() const override { return communicator_.ranks(); }
  std::string description() const override {
    const auto backend = communicator_.describe();
    std::string out = backend.name + " " + backend.version + " on " + backend.device;
    for (const auto& transport : backend.transports) out += ", " + transport;
    return out;
  }

  Result<void> start(const collective::Call& call, const void* send, void* receive) override {
    const auto& context = communicator_.context();
    RAILHEAD_TRY(context.recordOn(kDefaultStream, ready_));
    RAILHEAD_TRY(communicator_.follow(ready_));
    if (!travelling_) {
      if (used_ == stretches_.size()) RAILHEAD_TRY(addStretch());
      RAILHEAD_TRY(communicator_.mark(stretches_[used_].begin));
      travelling_ = true;
    }
    return communicator_.enqueue(call, send, receive);
  }

  Result<void> join(collective::Deadline) override {
    if (!travelling_) return {};
    const auto& context = communicator_.context();
    const Stretch& stretch = stretches_[used_++];
    travelling_ = false;
    RAILHEAD_TRY(communicator_.mark(stretch.end));
    RAILHEAD_TRY(context.recordOn(kDefaultStream, stretch.computed));
    return context.letFollow(kDefaultStream, stretch.end);
  }

  Result<TravelTimes> finish(collective::Deadline deadline) override {
    RAILHEAD_TRY(join(deadline));
    RAILHEAD_TRY(communicator_.wait(deadline));
    TravelTimes times;
    for (std::size_t i = 0; i < used_; ++i) RAILHEAD_TRY(add(stretches_[i], times));
    used_ = 0;
    return times;
  }

 private:
  Result<void> addStretch() {
    const auto& context = communicator_.context();
    RAILHEAD_TRY_ASSIGN(auto begin, context.createEvent(true));
    RAILHEAD_TRY_ASSIGN(auto end, context.createEvent(true));
    RAILHEAD_TRY_ASSIGN(auto computed, context.createEvent(true));
    stretches_.push_back({std::move(begin), std::move(end), std::move(computed)});
    return {};
  }

  static Result<void> add(const Stretch& stretch, TravelTimes& times) {
    RAILHEAD_TRY_ASSIGN(const double all, Event::secondsBetween(stretch.begin, stretch.end));
    RAILHEAD_TRY_ASSIGN(const bool computed, stretch.computed.passed());
    double hidden = all;  // the engine is at work still
    if (computed) {
      RAILHEAD_TRY_ASSIGN(hidden, Event::secondsBetween(stretch.begin, stretch.computed));
      hidden = std::clamp(hidden, 0.0, all);
    }
    times.hidden += hidden;
    times.exposed += all - hidden;
    return {};
  }

  collective::NcclCommunicator& communicator_;
  Event ready_;
  std::vector<Stretch> stretches_;
  std::size_t used_ = 0;     // of them since finish()
  bool travelling_ = false;  // a call was started since join()
};

}  // namespace

Result<std::unique_ptr<Exchange>> ncclExchange(collective::NcclCommunicator& communicator) {
  RAILHEAD_TRY_ASSIGN(auto ready, communicator.context().createEvent(false));
  return std::unique_ptr<Exchange>(std::make_unique<NcclExchange>(communicator, std::move(ready)));
}

}  // namespace railhead::trainer
