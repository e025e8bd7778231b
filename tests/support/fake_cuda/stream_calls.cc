// The exported calls for streams, events, modules and launches.
#include "tests/support/fake_cuda/entry.h"

#include <cstring>
#include <thread>

namespace {

std::shared_ptr<StreamOpaque> streamOf(Stream stream) {
  if (stream == nullptr && !current.empty()) {
    auto& made = fakeCuda().defaultStreams[current.back()];
    if (made == nullptr) made = std::make_shared<StreamOpaque>(current.back());
    return made;
  }
  const auto found = fakeCuda().streams.find(stream);
  return found == fakeCuda().streams.end() ? nullptr : found->second;
}

std::int64_t nowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

namespace railhead::testing_support {

Return start(Stream handle, const std::vector<Span>& spans, std::function<void()> work) {
  const auto stream = streamOf(handle);
  if (stream == nullptr) return kInvalidHandle;
  for (const Span& span : spans) {
    if (span.bytes == 0 || fakeCuda().covers(span.address, span.bytes)) continue;
    Context context = stream->context;
    work = [context] { context->spoiled = kIllegalAddress; };
  }
  stream->push(std::move(work));
  return kSuccess;
}

}  // namespace railhead::testing_support

EXPORTED Return cuStreamCreate(Stream* out, unsigned int) {
  ENTER(true);
  auto stream = std::make_shared<StreamOpaque>(current.back());
  *out = stream.get();
  fakeCuda().streams[stream.get()] = std::move(stream);
  return kSuccess;
}
EXPORTED Return cuStreamDestroy_v2(Stream stream) {
  ENTER(true);
  const auto dying = streamOf(stream);
  if (dying == nullptr) return kInvalidHandle;
  fakeCuda().streams.erase(stream);
  lock.unlock();
  dying->drain();
  return kSuccess;
}
EXPORTED Return cuStreamQuery(Stream stream) {
  ENTER(true);
  const auto found = streamOf(stream);
  if (found == nullptr) return kInvalidHandle;
  if (!found->idle()) return kNotReady;
  return found->context->spoiled;  // by work that ended since this call began, too
}

EXPORTED Return cuEventCreate(Event* out, unsigned int flags) {
  ENTER(true);
  auto event = std::make_shared<EventOpaque>();
  event->context = current.back();
  event->timing = flags != kEventDisableTiming;
  *out = event.get();
  fakeCuda().events[event.get()] = std::move(event);
  return kSuccess;
}
EXPORTED Return cuEventDestroy_v2(Event event) {
  ENTER(true);
  return fakeCuda().events.erase(event) == 1 ? kSuccess : kInvalidHandle;
}
EXPORTED Return cuEventRecord(Event event, Stream stream) {
  ENTER(true);
  const auto found = fakeCuda().events.find(event);
  if (found == fakeCuda().events.end()) return kInvalidHandle;
  const auto mark = found->second;
  ++mark->pending;
  const int record = mark->recorded + 1;
  const Return code = start(stream, {}, [mark, record] {
    mark->passedNs = nowNs();
    mark->passed = record;
    --mark->pending;
  });
  if (code == kSuccess) {
    mark->recorded = record;
  } else {
    --mark->pending;
  }
  return code;
}
EXPORTED Return cuStreamWaitEvent(Stream stream, Event event, unsigned int) {
  ENTER(true);
  const auto found = fakeCuda().events.find(event);
  if (found == fakeCuda().events.end()) return kInvalidHandle;
  // As it was last recorded: later records do not count.
  const auto mark = found->second;
  const int record = mark->recorded;
  return start(stream, {}, [mark, record] {
    while (mark->passed < record) std::this_thread::yield();
  });
}
EXPORTED Return cuEventQuery(Event event) {
  ENTER(false);
  const auto found = fakeCuda().events.find(event);
  if (found == fakeCuda().events.end()) return kInvalidHandle;
  if (const Return spoiled = found->second->context->spoiled; spoiled != kSuccess) return spoiled;
  return found->second->pending == 0 ? kSuccess : kNotReady;
}
EXPORTED Return cuEventElapsedTime(float* out, Event from, Event to) {
  ENTER(false);
  const auto& events = fakeCuda().events;
  const auto first = events.find(from);
  const auto last = events.find(to);
  if (first == events.end() || last == events.end()) return kInvalidHandle;
  if (!first->second->timing || !last->second->timing) return kInvalidHandle;
  if (first->second->pending != 0 || last->second->pending != 0) return kNotReady;
  *out = static_cast<float>(last->second->passedNs - first->second->passedNs) / 1e6F;
  return kSuccess;
}

EXPORTED Return cuModuleLoadDataEx(Module* out, const void* image, unsigned int, int*, void**) {
  ENTER(true);
  auto module = std::make_unique<ModuleOpaque>();
  module->context = current.back();
  module->functions = ptxEntries(static_cast<const char*>(image));
  if (module->functions.empty()) return kInvalidPtx;
  *out = module.get();
  fakeCuda().modules[module.get()] = std::move(module);
  return kSuccess;
}
EXPORTED Return cuModuleUnload(Module module) {
  ENTER(true);
  return fakeCuda().modules.erase(module) == 1 ? kSuccess : kInvalidHandle;
}
EXPORTED Return cuModuleGetFunction(Function* out, Module module, const char* name) {
  ENTER(true);
  const auto found = fakeCuda().modules.find(module);
  if (found == fakeCuda().modules.end()) return kInvalidHandle;
  for (const auto& function : found->second->functions) {
    if (function->name != name) continue;
    *out = function.get();
    return kSuccess;
  }
  return kNotFound;
}
EXPORTED Return cuLaunchKernel(Function function, unsigned int blocks, unsigned int, unsigned int,
                               unsigned int threads, unsigned int, unsigned int, unsigned int,
                               Stream stream, void** arguments, void**) {
  ENTER(true);
  if (function == nullptr || blocks == 0 || threads == 0 || threads > 1024) return kInvalidValue;
  std::map<std::string, std::uint64_t> values;
  for (std::size_t i = 0; i < function->parameters.size(); ++i) {
    std::uint64_t value = 0;
    std::memcpy(&value, arguments[i], function->parameters[i].bytes);
    values[function->parameters[i].name] = value;
  }
  values["%nctaid"] = blocks;
  auto run = kernelRun(function->name, values);
  if (!run) return kNotFound;
  std::vector<Span> spans;
  for (const auto& [address, bytes] : run->spans) spans.push_back({address, bytes});
  return start(stream, spans, std::move(run->work));
}
