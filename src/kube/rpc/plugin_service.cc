#include "src/kube/rpc/plugin_service.h"

#include "deviceplugin_v1beta1.grpc.pb.h"
#include "src/kube/rpc/channel.h"
#include "src/kube/rpc/library.h"
#include "src/kube/rpc/plugin_calls.h"
#include "src/kube/rpc/status.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include <grpcpp/alarm.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

namespace railhead::kube::rpc {
namespace {

using Service = v1beta1::DevicePlugin::AsyncService;

constexpr int kMaxRequest = 1 << 20;  // bytes; 4,096 IDs of 63 bytes fit four times
constexpr int kMaxStreamsPerConnection = 32;
constexpr std::size_t kMemoryQuota = 8 << 20;  // bytes for all of a server's connections together

// Something the completion queue can hand back.
class Pending {
 public:
  virtual ~Pending() = default;
  // One operation ended. Returns false when nothing is under way any more: it is then destroyed.
  virtual bool ended(bool ok) = 0;
};

}  // namespace

// Everything but start, stop, publish, adopt and beginRegistration runs on the queue's thread, so
// the calls need no locks of their own. `mutex_` covers what those five share with the thread.
class PluginService::Core {
 public:
  Core(ResourceHandler& handler, Hooks hooks) : handler_(handler), hooks_(std::move(hooks)) {}
  ~Core() { stop(); }

  Result<void> start();
  void adopt(os::UniqueFd connection);
  void publish(const std::vector<Device>& devices);
  void mute();
  void beginRegistration(const Registration& registration);
  void stop();

 private:
  template <typename Request, typename Response>
  class Unary;
  class Watch;
  class Register;
  // A tag per kind of operation of one call.
  class WatchTag final : public Pending {
   public:
    WatchTag(Watch& watch, bool (Watch::*handle)(bool)) : watch_(watch), handle_(handle) {}
    bool ended(bool ok) override { return (watch_.*handle_)(ok); }

   private:
    Watch& watch_;
    bool (Watch::*handle_)(bool);
  };

  // Runs `operation`, which starts something on the queue, unless the queue is closing.
  template <typename Operation>
  bool begin(Operation operation) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    operation();
    return true;
  }

  void serve();
  void armAllocate();
  void armPreferred();
  void armOptions();
  void armPreStart();
  void armWatch();
  void pushToWatches();
  void watchBegan(Watch* watch);
  void watchGone(Watch* watch);   // nothing of it is under way
  void watchEnded(Watch* watch);  // the consumer left, or it was ended
  void wake();                    // with mutex_ held
  std::shared_ptr<const DeviceList> list() {
    const std::lock_guard lock(mutex_);
    return list_;
  }
  std::shared_ptr<const DeviceList> listToSend() {  // null: none any more
    const std::lock_guard lock(mutex_);
    return muted_ ? nullptr : list_;
  }
  void own(std::unique_ptr<Pending> call) {
    Pending* key = call.get();
    calls_.emplace(key, std::move(call));
  }

  ResourceHandler& handler_;
  const Hooks hooks_;
  Service service_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::thread thread_;

  // The queue's thread only (and start() before there is one).
  std::unordered_map<Pending*, std::unique_ptr<Pending>> calls_;
  std::vector<std::unique_ptr<Watch>> watches_;
  int openWatches_ = 0;
  Watch* newest_ = nullptr;  // of the open ones; null when that one ended

  std::mutex mutex_;
  bool stopping_ = false;
  bool muted_ = false;
  bool wakePending_ = false;
  std::unique_ptr<grpc::Alarm> alarm_;
  std::shared_ptr<const DeviceList> list_ = makeDeviceList({});
  std::unique_ptr<Register> register_;
  std::vector<std::unique_ptr<Register>> abandoned_;  // cancelled, their end still to come
};

// One call with one answer. Each waits for a request, arms its successor, answers and goes.
template <typename Request, typename Response>
class PluginService::Core::Unary final : public Pending {
 public:
  using Arm = void (Core::*)();
  using Answer = Result<Response> (*)(Core&, const Request&);

  Unary(Core& core, Arm arm, Answer answer)
      : core_(core), arm_(arm), answer_(answer), writer_(&context_) {}

  // `ask` is one of the service's Request functions, called with the arguments they share. (A
  // pointer to member would say the same, but GCC 12's address sanitizer reads it out of bounds.)
  template <typename Ask>
  bool await(Ask ask) {
    return core_.begin([&] {
      ask(core_.service_, &context_, &request_, &writer_, core_.queue_.get(), core_.queue_.get(),
          static_cast<Pending*>(this));
    });
  }

  bool ended(bool ok) override {
    if (answered_ || !ok) return false;
    (core_.*arm_)();
    auto answer = answer_(core_, request_);
    answered_ = true;
    return core_.begin([&] {
      if (answer.has_value()) {
        writer_.Finish(*answer, grpc::Status::OK, static_cast<Pending*>(this));
      } else {
        writer_.FinishWithError(toStatus(answer.error()), static_cast<Pending*>(this));
      }
    });
  }

 private:
  Core& core_;
  const Arm arm_;
  const Answer answer_;
  grpc::ServerContext context_;
  Request request_;
  grpc::ServerAsyncResponseWriter<Response> writer_;
  bool answered_ = false;
};

// One ListAndWatch stream. Ends when the consumer leaves; sends the newest list whenever it is not
// the one sent last and no message is under way.
class PluginService::Core::Watch {
 public:
  explicit Watch(Core& core) : core_(core), writer_(&context_) {
    context_.AsyncNotifyWhenDone(static_cast<Pending*>(&gone_));
  }

  bool await() {
    return core_.begin([&] {
      core_.service_.RequestListAndWatch(&context_, &request_, &writer_, core_.queue_.get(),
                                         core_.queue_.get(), static_cast<Pending*>(&arrived_));
    });
  }

  void push() {
    if (!open_ || busy_) return;
    auto newest = core_.listToSend();
    if (!newest || newest == sent_) return;
    busy_ = core_.begin([&] { writer_.Write(newest->message, static_cast<Pending*>(&written_)); });
    if (busy_) sent_ = std::move(newest);
  }
  void end() {
    if (open_) context_.TryCancel();
  }

 private:
  bool onArrived(bool ok) {
    if (!ok) {  // the server stops; the gone tag never comes for a call that never came
      core_.watchGone(this);
      return true;
    }
    open_ = true;
    waitingForGone_ = true;
    core_.armWatch();
    core_.watchBegan(this);
    push();
    return true;
  }

  bool onWritten(bool ok) {
    busy_ = false;
    if (!waitingForGone_) {
      core_.watchGone(this);
    } else if (ok) {
      push();
    }
    return true;
  }

  bool onGone(bool) {
    waitingForGone_ = false;
    open_ = false;
    core_.watchEnded(this);
    if (!busy_) core_.watchGone(this);
    return true;
  }

  Core& core_;
  WatchTag arrived_{*this, &Watch::onArrived};
  WatchTag written_{*this, &Watch::onWritten};
  WatchTag gone_{*this, &Watch::onGone};
  grpc::ServerContext context_;
  v1beta1::Empty request_;
  grpc::ServerAsyncWriter<v1beta1::ListAndWatchResponse> writer_;
  std::shared_ptr<const DeviceList> sent_;
  bool open_ = false;
  bool busy_ = false;  // a message is under way
  bool waitingForGone_ = false;
};

// Our own call to kubelet.
class PluginService::Core::Register final : public Pending {
 public:
  explicit Register(Core& core) : core_(core) {}

  // With core_.mutex_ held.
  void begin(std::shared_ptr<grpc::Channel> channel, const Registration& what) {
    channel_ = std::move(channel);
    id_ = what.id;
    where_ = "register " + what.resource + " at " + what.kubeletSocket;
    stub_ = v1beta1::Registration::NewStub(channel_);
    v1beta1::RegisterRequest request;
    request.set_version("v1beta1");
    request.set_endpoint(what.endpoint);
    request.set_resource_name(what.resource);
    *request.mutable_options() = pluginOptions();
    context_.set_deadline(toWallClock(what.deadline));
    reader_ = stub_->AsyncRegister(&context_, request, core_.queue_.get());
    reader_->Finish(&reply_, &status_, static_cast<Pending*>(this));
  }
  void cancel() { context_.TryCancel(); }

  bool ended(bool) override {
    std::unique_ptr<Register> self;
    {
      const std::lock_guard lock(core_.mutex_);
      auto& others = core_.abandoned_;
      const auto other = std::find_if(others.begin(), others.end(),
                                      [&](const auto& one) { return one.get() == this; });
      if (other != others.end()) {
        self = std::move(*other);
        others.erase(other);
        return true;
      }
      self = std::move(core_.register_);
    }
    core_.hooks_.registrationEnded(
        id_, status_.ok() ? Result<void>() : Result<void>(fromStatus(status_, where_)));
    return true;
  }

 private:
  Core& core_;
  std::uint64_t id_ = 0;
  std::string where_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1beta1::Registration::Stub> stub_;
  grpc::ClientContext context_;
  v1beta1::Empty reply_;
  grpc::Status status_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1beta1::Empty>> reader_;
};

Result<void> PluginService::Core::start() {
  holdLibrary();
  grpc::ServerBuilder builder;
  builder.RegisterService(&service_);
  builder.SetMaxReceiveMessageSize(kMaxRequest);
  builder.SetResourceQuota(grpc::ResourceQuota("device-plugin").Resize(kMemoryQuota));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  queue_ = builder.AddCompletionQueue();
  server_ = builder.BuildAndStart();
  if (!server_) {
    queue_->Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_->Next(&tag, &ok)) {
    }
    return Error(ErrorCode::kInternal, "start a gRPC server: gRPC refused");
  }
  alarm_ = std::make_unique<grpc::Alarm>();
  armOptions();
  armWatch();
  armPreferred();
  armAllocate();
  armPreStart();
  thread_ = std::thread([this] { serve(); });
  return {};
}

void PluginService::Core::serve() {
  void* tag = nullptr;
  bool ok = false;
  const auto mark = os::makeWorkMark(hooks_.mark);
  while (queue_->Next(&tag, &ok)) {
    const os::AtWork work(mark.get());
    if (tag == this) {  // woken by publish()
      {
        const std::lock_guard lock(mutex_);
        wakePending_ = false;
      }
      pushToWatches();
      continue;
    }
    auto* pending = static_cast<Pending*>(tag);
    if (!pending->ended(ok)) calls_.erase(pending);
  }
}

void PluginService::Core::armOptions() {
  using Call = Unary<v1beta1::Empty, v1beta1::DevicePluginOptions>;
  auto call = std::make_unique<Call>(*this, &Core::armOptions, [](Core&, const v1beta1::Empty&) {
    return Result<v1beta1::DevicePluginOptions>(pluginOptions());
  });
  if (call->await(
          [](Service& service, auto... with) { service.RequestGetDevicePluginOptions(with...); }))
    own(std::move(call));
}

void PluginService::Core::armAllocate() {
  using Call = Unary<v1beta1::AllocateRequest, v1beta1::AllocateResponse>;
  auto call = std::make_unique<Call>(*this, &Core::armAllocate,
                                     [](Core& core, const v1beta1::AllocateRequest& request) {
                                       return answerAllocate(core.handler_, *core.list(), request);
                                     });
  if (call->await([](Service& service, auto... with) { service.RequestAllocate(with...); }))
    own(std::move(call));
}

void PluginService::Core::armPreferred() {
  using Call = Unary<v1beta1::PreferredAllocationRequest, v1beta1::PreferredAllocationResponse>;
  auto call = std::make_unique<Call>(
      *this, &Core::armPreferred,
      [](Core& core, const v1beta1::PreferredAllocationRequest& request) {
        std::vector<std::string> notes;
        auto answer = answerPreferred(core.handler_, *core.list(), request, notes);
        for (const auto& line : notes) core.hooks_.note(line);
        return answer;
      });
  if (call->await(
          [](Service& service, auto... with) { service.RequestGetPreferredAllocation(with...); }))
    own(std::move(call));
}

void PluginService::Core::armPreStart() {
  using Call = Unary<v1beta1::PreStartContainerRequest, v1beta1::PreStartContainerResponse>;
  auto call = std::make_unique<Call>(
      *this, &Core::armPreStart, [](Core&, const v1beta1::PreStartContainerRequest&) {
        return Result<v1beta1::PreStartContainerResponse>(v1beta1::PreStartContainerResponse());
      });
  if (call->await(
          [](Service& service, auto... with) { service.RequestPreStartContainer(with...); }))
    own(std::move(call));
}

void PluginService::Core::armWatch() {
  auto watch = std::make_unique<Watch>(*this);
  if (watch->await()) watches_.push_back(std::move(watch));
}

void PluginService::Core::pushToWatches() {
  for (const auto& watch : watches_) watch->push();
}

void PluginService::Core::watchBegan(Watch* watch) {
  if (openWatches_ >= kMaxWatchers) {
    for (const auto& one : watches_) {
      if (one.get() != watch) one->end();
    }
  }
  ++openWatches_;
  newest_ = watch;
  hooks_.watchBegan(openWatches_);
}

void PluginService::Core::watchEnded(Watch* watch) {
  --openWatches_;
  const bool newest = newest_ == watch;
  if (newest) newest_ = nullptr;
  hooks_.watchEnded(openWatches_, newest);
}

void PluginService::Core::watchGone(Watch* watch) {
  std::erase_if(watches_, [&](const auto& one) { return one.get() == watch; });
}

void PluginService::Core::wake() {
  if (wakePending_ || stopping_ || !alarm_) return;
  wakePending_ = true;
  alarm_->Set(queue_.get(), gpr_time_0(GPR_CLOCK_MONOTONIC), this);
}

void PluginService::Core::adopt(os::UniqueFd connection) {
  begin([&] { grpc::AddInsecureChannelFromFd(server_.get(), connection.release()); });
}

void PluginService::Core::publish(const std::vector<Device>& devices) {
  auto list = makeDeviceList(devices);
  const std::lock_guard lock(mutex_);
  list_ = std::move(list);
  wake();
}

void PluginService::Core::mute() {
  const std::lock_guard lock(mutex_);
  muted_ = true;
}

void PluginService::Core::beginRegistration(const Registration& registration) {
  auto channel = connectChannel(registration.kubeletSocket,
                                std::chrono::steady_clock::now() + std::chrono::seconds(1));
  if (!channel.has_value()) {
    hooks_.registrationEnded(registration.id, std::move(channel).error().addContext(
                                                  "register " + registration.resource));
    return;
  }
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  if (register_) {
    register_->cancel();
    abandoned_.push_back(std::move(register_));
  }
  register_ = std::make_unique<Register>(*this);
  register_->begin(std::move(*channel), registration);
}

void PluginService::Core::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || !server_) return;
    stopping_ = true;
    if (register_) register_->cancel();
    for (const auto& one : abandoned_) one->cancel();
  }
  server_->Shutdown(std::chrono::system_clock::now());  // "now": calls are cancelled, not awaited
  alarm_->Cancel();
  queue_->Shutdown();
  thread_.join();
  calls_.clear();
  watches_.clear();
}

PluginService::PluginService(ResourceHandler& handler, Hooks hooks)
    : core_(std::make_unique<Core>(handler, std::move(hooks))) {}
PluginService::~PluginService() = default;
Result<void> PluginService::start() { return core_->start(); }
void PluginService::adopt(os::UniqueFd connection) { core_->adopt(std::move(connection)); }
void PluginService::publish(const std::vector<Device>& devices) { core_->publish(devices); }
void PluginService::mute() { core_->mute(); }
void PluginService::beginRegistration(const Registration& registration) {
  core_->beginRegistration(registration);
}
void PluginService::stop() { core_->stop(); }

}  // namespace railhead::kube::rpc
