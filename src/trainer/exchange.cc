#include "src/trainer/exchange.h"

#include <optional>

namespace railhead::trainer {
namespace {

using Clock = std::chrono::steady_clock;

double secondsBetween(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

class AloneExchange final : public Exchange {
 public:
  int rank() const override { return 0; }
  int ranks() const override { return 1; }
  std::string description() const override { return "one rank"; }
  Result<void> start(const collective::Call& call, const void* send, void* receive) override {
    if (call.inPlace && send == receive) return {};
    return Error(ErrorCode::kInternal, "a call of one rank that is not in place");
  }
  Result<void> join(collective::Deadline) override { return {}; }
  Result<TravelTimes> finish(collective::Deadline) override { return TravelTimes{}; }
};

// The engine computes in the thread that calls: whatever it was asked for is done.
class HostExchange final : public Exchange {
 public:
  explicit HostExchange(collective::Communicator& communicator) : communicator_(communicator) {}

  int rank() const override { return communicator_.rank(); }
  int ranks() const override { return communicator_.ranks(); }
  std::string description() const override {
    const auto backend = communicator_.describe();
    std::string out = backend.name + " " + backend.version;
    for (const auto& transport : backend.transports) out += ", " + transport;
    return out;
  }
  Result<void> start(const collective::Call& call, const void* send, void* receive) override {
    if (!since_) since_ = Clock::now();
    return communicator_.enqueue(call, send, receive);
  }
  Result<void> join(collective::Deadline deadline) override {
    if (!since_) return {};
    const auto asked = Clock::now();
    RAILHEAD_TRY(communicator_.wait(deadline));
    times_.hidden += secondsBetween(*since_, asked);
    times_.exposed += secondsBetween(asked, Clock::now());
    since_.reset();
    return {};
  }
  Result<TravelTimes> finish(collective::Deadline deadline) override {
    RAILHEAD_TRY(join(deadline));
    return std::exchange(times_, {});
  }

 private:
  collective::Communicator& communicator_;
  std::optional<Clock::time_point> since_;  // the first call that nobody has waited for
  TravelTimes times_;
};

}  // namespace

std::unique_ptr<Exchange> aloneExchange() { return std::make_unique<AloneExchange>(); }

std::unique_ptr<Exchange> hostExchange(collective::Communicator& communicator) {
  return std::make_unique<HostExchange>(communicator);
}

}  // namespace railhead::trainer
