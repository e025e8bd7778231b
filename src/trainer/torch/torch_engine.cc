#include "src/trainer/torch/torch_engine.h"

#include "src/base/units.h"
#include "src/trainer/torch/adamw.h"
#include "src/trainer/torch/gpt2.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/version.h>

namespace railhead::trainer {
namespace {

// LibTorch's exceptions end here.
template <typename Body>
Result<void> guarded(const char* what, Body body) {
  try {
    return body();
  } catch (const c10::OutOfMemoryError& error) {
    return Error(ErrorCode::kExhausted, std::string(what) + ": " + error.what_without_backtrace(),
                 "take a smaller --micro-batch, a smaller model, or more ranks");
  } catch (const c10::Error& error) {
    return Error(ErrorCode::kIo, std::string(what) + ": " +
                                     std::string(error.what_without_backtrace()).substr(0, 1000));
  } catch (const std::exception& error) {
    return Error(ErrorCode::kIo,
                 std::string(what) + ": " + std::string(error.what()).substr(0, 1000));
  }
}

std::int64_t asSigned(std::uint64_t value) { return static_cast<std::int64_t>(value); }

at::Tensor slice(const at::Tensor& flat, std::uint64_t offset, std::uint64_t count) {
  return flat.narrow(0, asSigned(offset), asSigned(count));
}

// Calls back when a parameter's gradient has been added to its place.
class AfterGradient final : public torch::autograd::FunctionPostHook {
 public:
  explicit AfterGradient(std::function<void()> call) : call_(std::move(call)) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    call_();
    return outputs;
  }

 private:
  std::function<void()> call_;
};

// One of the pieces that this rank keeps, and where its values are.
struct KeptPiece {
  Piece piece;
  at::Tensor parameter;  // float32; in float32 the weights themselves
  at::Tensor firstMoment, secondMoment;
  std::uint64_t inRun = 0;  // where it begins in its bucket's run

  const at::Tensor& of(State state) const {
    switch (state) {
      case State::kParameter:
        return parameter;
      case State::kFirstMoment:
        return firstMoment;
      case State::kSecondMoment:
        break;
    }
    return secondMoment;
  }
};

// The pieces of one bucket: a run without gaps. Undefined tensors: there are none.
struct KeptRun {
  std::vector<KeptPiece> pieces;
  at::Tensor weights, gradients;  // views of the padded buffers
  at::Tensor parameter;           // float32, as KeptPiece has it
};

class TorchEngine final : public Engine {
 public:
  explicit TorchEngine(const TorchSettings& settings)
      : settings_(settings),
        type_(settings.bfloat16 ? at::kBFloat16 : at::kFloat),
        device_(settings.cuda
                    ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(settings.device))
                    : at::Device(at::kCPU)),
        plan_(FlatPlan::make(
            settings.shape,
            std::max<std::uint64_t>(settings.bucketBytes / c10::elementSize(type_), 1),
            settings.ranks)) {}

  // Throws what LibTorch throws.
  void allocate() {
    const at::NoGradGuard noGrad;
    weights_ = zeros(plan_.paddedElements(), type_);
    gradients_ = zeros(plan_.paddedElements(), type_);
    sums_ = zeros(kSums, at::kFloat);
    passLosses_ = at::zeros({}, sums_.options());
    makeParameters();
    keepPieces();
  }

  std::string description() const override {
    std::string out = settings_.cuda ? "cuda:" + std::to_string(settings_.device)
                                     : "cpu, " + std::to_string(at::get_num_threads()) + " threads";
    return out + ", " + (settings_.bfloat16 ? "bfloat16" : "float32") + ", LibTorch " +
           torchVersion();
  }
  const FlatPlan& plan() const override { return plan_; }
  collective::ElementType type() const override {
    return settings_.bfloat16 ? collective::ElementType::kBfloat16
                              : collective::ElementType::kFloat32;
  }
  std::byte* weights() override { return static_cast<std::byte*>(weights_.data_ptr()); }
  std::byte* gradients() override { return static_cast<std::byte*>(gradients_.data_ptr()); }
  float* sums() override { return static_cast<float*>(sums_.data_ptr()); }
  std::span<const Piece> pieces() const override { return pieces_; }

  Result<void> pass(const Batch& batch, PassPlace place, const BucketReady& ready) override {
    return guarded("forward and backward pass", [&] { return runPass(batch, place, ready); });
  }
  Result<void> sumUp(float stop) override {
    return guarded("sums of a step", [&]() -> Result<void> {
      const at::NoGradGuard noGrad;
      at::Tensor squares = at::zeros({}, sums_.options());
      for (const auto& bucket : plan_.buckets()) {
        const auto part = bucket.padded / static_cast<std::uint64_t>(settings_.ranks);
        const auto own = slice(
            gradients_, bucket.offset + part * static_cast<std::uint64_t>(settings_.rank), part);
        squares +=
            at::linalg_vector_norm(own, 2, at::OptionalIntArrayRef(), false, at::kFloat).square();
      }
      sums_.copy_(at::stack({squares, passLosses_, at::full({}, stop, sums_.options())}));
      scaleOfStep_ = 0;
      return {};
    });
  }
  Result<void> update(std::size_t bucket, const StepSettings& settings) override {
    return guarded("optimizer's update", [&]() -> Result<void> {
      const at::NoGradGuard noGrad;
      if (scaleOfStep_ != settings.step) makeScale(settings);
      updateRun(kept_[bucket], settings);
      return {};
    });
  }
  Result<StepOutcome> outcome() override {
    StepOutcome out;
    RAILHEAD_TRY(guarded("a step's outcome", [&]() -> Result<void> {
      const auto host = sums_.to(at::kCPU);
      for (std::size_t i = 0; i < kSums; ++i) out.sums[i] = host.data_ptr<float>()[i];
      return {};
    }));
    return out;
  }

  Result<void> readState(State state, Range flat, std::span<float> out) override {
    return guarded("read training state", [&]() -> Result<void> {
      RAILHEAD_TRY_ASSIGN(const auto values, stateAt(state, flat));
      const auto host = values.to(at::kCPU).contiguous();
      std::copy_n(host.data_ptr<float>(), out.size(), out.data());
      return {};
    });
  }
  Result<void> writeState(State state, Range flat, std::span<const float> in) override {
    return guarded("write training state", [&]() -> Result<void> {
      const at::NoGradGuard noGrad;
      RAILHEAD_TRY_ASSIGN(auto values, stateAt(state, flat));
      // Not written to: from_blob knows no constant memory.
      values.copy_(at::from_blob(const_cast<float*>(in.data()), {asSigned(in.size())}, at::kFloat));
      return {};
    });
  }
  Result<void> publish() override {
    return guarded("round the weights", [&]() -> Result<void> {
      const at::NoGradGuard noGrad;
      for (const auto& run : kept_) round(run);
      return {};
    });
  }

 private:
  at::Tensor zeros(std::uint64_t count, at::ScalarType type) const {
    return at::zeros({asSigned(count)}, at::TensorOptions().dtype(type).device(device_));
  }

  // Views of the buffers, whose gradients are views too.
  void makeParameters() {
    for (std::size_t index = 0; index < plan_.parameters().size(); ++index) {
      const Parameter& parameter = plan_.parameters()[index];
      std::vector<std::int64_t> sizes{asSigned(parameter.rows)};
      if (parameter.columns != 0) sizes.push_back(asSigned(parameter.columns));
      const auto offset = plan_.offsetOf(index);
      auto variable = slice(weights_, offset, parameter.count()).view(sizes).detach();
      variable.set_requires_grad(true);
      variable.mutable_grad() = slice(gradients_, offset, parameter.count()).view(sizes);
      parameters_.push_back(variable);
      auto accumulator = torch::autograd::impl::grad_accumulator(variable);
      accumulator->add_post_hook(std::make_unique<AfterGradient>(
          [this, bucket = plan_.bucketOf(index)] { gradientArrived(bucket); }));
      accumulators_.push_back(std::move(accumulator));
    }
  }

  void keepPieces() {
    pieces_ = settings_.sharded ? plan_.piecesOf(settings_.rank) : plan_.allPieces();
    std::uint64_t count = 0;
    for (const auto& piece : pieces_) count += piece.flat.count();
    const auto first = zeros(count, at::kFloat);
    const auto second = zeros(count, at::kFloat);
    kept_.resize(plan_.buckets().size());
    std::uint64_t at = 0;
    for (const auto& piece : pieces_) {
      KeptRun& run = kept_[piece.bucket];
      const auto size = piece.flat.count();
      KeptPiece kept{piece, {}, slice(first, at, size), slice(second, at, size), 0};
      if (!run.pieces.empty())
        kept.inRun = run.pieces.back().inRun + run.pieces.back().piece.flat.count();
      run.pieces.push_back(std::move(kept));
      at += size;
    }
    for (auto& run : kept_) {
      if (!run.pieces.empty()) placeRun(run);
    }
  }

  void placeRun(KeptRun& run) {
    const auto offset = run.pieces.front().piece.offset;
    const auto count = run.pieces.back().inRun + run.pieces.back().piece.flat.count();
    run.weights = slice(weights_, offset, count);
    run.gradients = slice(gradients_, offset, count);
    run.parameter = settings_.bfloat16 ? zeros(count, at::kFloat) : run.weights;
    for (auto& kept : run.pieces) {
      kept.parameter = slice(run.parameter, kept.inRun, kept.piece.flat.count());
    }
  }

  Result<void> runPass(const Batch& batch, PassPlace place, const BucketReady& ready) {
    {
      const at::NoGradGuard noGrad;
      if (place.first || settings_.bfloat16) gradients_.zero_();
      if (settings_.bfloat16 && !place.last && !added_.defined()) {
        added_ = zeros(plan_.paddedElements(), at::kFloat);
      }
    }
    place_ = place;
    ready_ = &ready;
    arrived_.assign(plan_.buckets().size(), 0);
    nextBucket_ = 0;
    failure_.reset();
    const at::AutoGradMode withGrad(true);
    const auto loss = gpt2Loss(settings_.shape, parameters_, onDevice(batch.inputs, batch),
                               onDevice(batch.targets, batch));
    loss.backward();
    ready_ = nullptr;
    if (failure_) return *failure_;
    if (nextBucket_ != plan_.buckets().size()) {
      return Error(ErrorCode::kInternal, "a parameter got no gradient");
    }
    const at::NoGradGuard noGrad;
    if (place.first) {
      passLosses_.copy_(loss.detach());
    } else {
      passLosses_ += loss.detach();
    }
    return {};
  }

  at::Tensor onDevice(std::span<const std::int32_t> tokens, const Batch& batch) const {
    const auto sequences = asSigned(batch.sequences);
    const auto host = at::from_blob(const_cast<std::int32_t*>(tokens.data()),
                                    {sequences, asSigned(tokens.size()) / sequences}, at::kInt);
    return host.to(at::kLong).to(device_);
  }

  // From the backward pass, on a thread of LibTorch's for CUDA. Buckets are told of in order, the
  // same on every rank.
  void gradientArrived(std::size_t bucket) {
    ++arrived_[bucket];
    while (nextBucket_ < arrived_.size() &&
           arrived_[nextBucket_] == plan_.buckets()[nextBucket_].parameters) {
      const std::size_t whole = nextBucket_++;
      if (settings_.bfloat16 && !(place_.first && place_.last)) addUp(whole);
      if (!place_.last || failure_) continue;
      const auto told = (*ready_)(whole);
      if (!told.has_value()) failure_ = told.error();
    }
  }

  void addUp(std::size_t index) {
    const at::NoGradGuard noGrad;
    const Bucket& bucket = plan_.buckets()[index];
    auto now = slice(gradients_, bucket.offset, bucket.padded);
    auto sum = slice(added_, bucket.offset, bucket.padded);
    if (place_.first) {
      sum.copy_(now);
    } else {
      sum += now;
    }
    if (place_.last) now.copy_(sum);
  }

  // Clipping by the norm of the mean gradient, without waiting for the device.
  void makeScale(const StepSettings& settings) {
    if (settings.clip > 0) {
      const auto norm = sums_[kSquares].sqrt() * settings.gradientScale;
      scale_ = (settings.clip / (norm + 1e-6)).clamp_max(1.0) * settings.gradientScale;
    } else {
      scale_ = at::full({}, settings.gradientScale, sums_.options());
    }
    scaleOfStep_ = settings.step;
  }

  void updateRun(const KeptRun& run, const StepSettings& settings) {
    if (run.pieces.empty()) return;
    const auto gradient = run.gradients.to(at::kFloat) * scale_;
    std::vector<AdamwPiece> pieces;
    for (const auto& kept : run.pieces) {
      pieces.push_back({kept.parameter, kept.firstMoment, kept.secondMoment,
                        slice(gradient, kept.inRun, kept.piece.flat.count()),
                        kept.piece.decays ? settings.weightDecay : 0.0});
    }
    adamwUpdate(pieces, settings);
    round(run);
  }

  void round(const KeptRun& run) const {
    if (settings_.bfloat16 && !run.pieces.empty()) run.weights.copy_(run.parameter);
  }

  Result<at::Tensor> stateAt(State state, Range flat) const {
    for (const auto& run : kept_) {
      for (const auto& kept : run.pieces) {
        const Range& has = kept.piece.flat;
        if (flat.begin < has.begin || flat.end > has.end) continue;
        return slice(kept.of(state), flat.begin - has.begin, flat.count());
      }
    }
    return Error(ErrorCode::kInternal,
                 "element " + std::to_string(flat.begin) + " is not kept by this rank");
  }

  TorchSettings settings_;
  at::ScalarType type_;
  at::Device device_;
  FlatPlan plan_;
  at::Tensor weights_, gradients_, sums_, passLosses_, scale_;
  at::Tensor added_;  // float32 gradients of earlier passes, padded as the buffers are
  std::vector<at::Tensor> parameters_;
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators_;
  std::vector<Piece> pieces_;
  std::vector<KeptRun> kept_;      // by bucket
  std::uint64_t scaleOfStep_ = 0;  // which step scale_ is of; 0: of none

  // Of the pass that runs.
  PassPlace place_;
  const BucketReady* ready_ = nullptr;
  std::vector<std::size_t> arrived_;  // gradients, by bucket
  std::size_t nextBucket_ = 0;
  std::optional<Error> failure_;
};

Result<void> checkDevice(const TorchSettings& settings) {
  if (!settings.cuda) return {};
  const int devices = torchCudaDevices();
  if (settings.device < devices) return {};
  return Error(ErrorCode::kEnvironment,
               "this LibTorch sees " + std::to_string(devices) + " CUDA devices, device " +
                   std::to_string(settings.device) + " is not among them",
               "take --device cpu, or a LibTorch built for CUDA on a machine with a GPU");
}

}  // namespace

std::string torchVersion() {
  return std::to_string(TORCH_VERSION_MAJOR) + "." + std::to_string(TORCH_VERSION_MINOR) + "." +
         std::to_string(TORCH_VERSION_PATCH);
}

int torchCudaDevices() {
  if (!c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA)) return 0;
  return c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA)->deviceCount();
}

Result<std::unique_ptr<Engine>> openTorchEngine(const TorchSettings& settings) {
  RAILHEAD_TRY(checkShape(settings.shape));
  RAILHEAD_TRY(checkDevice(settings));
  std::unique_ptr<TorchEngine> engine;
  RAILHEAD_TRY(guarded("make the model", [&]() -> Result<void> {
    if (settings.threads > 0) at::set_num_threads(settings.threads);
    if (settings.deterministic) {
      at::globalContext().setDeterministicAlgorithms(true, false);
      at::globalContext().setBenchmarkCuDNN(false);
      at::globalContext().setDeterministicCuDNN(true);
    }
    engine = std::make_unique<TorchEngine>(settings);
    engine->allocate();
    return {};
  }));
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace railhead::trainer
