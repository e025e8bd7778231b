#include "src/kube/api/follow_collection.h"
#include "src/kube/api/nad_sources.h"

#include <utility>

namespace railhead::kube {
namespace {

const Collection kNads{"k8s.cni.cncf.io", "v1", "network-attachment-definitions", ""};

// From objects to the store.
class Filler final : public CollectionListener {
 public:
  Filler(NadStore& store, const NadProblem& problem) : store_(store), problem_(problem) {}

  void listed(std::vector<std::string> objects) override {
    std::vector<Nad> nads;
    for (const auto& object : objects) {
      auto nad = parseNad(object);
      if (nad.has_value()) {
        nads.push_back(std::move(*nad));
      } else {
        problem_(nad.error());
      }
    }
    tell(store_.replaceAll(std::move(nads)));
  }

  void changed(const std::string& object) override {
    auto nad = parseNad(object);
    if (nad.has_value()) {
      tell(store_.put(std::move(*nad)));
    } else {
      // The definition of before stays: pods may be using it.
      problem_(nad.error());
    }
  }

  void gone(const std::string& object) override {
    const auto nad = parseNad(object);
    if (nad.has_value()) {
      tell(store_.erase(nad->podNamespace, nad->name));
    } else {
      problem_(nad.error());
    }
  }

  void failed(const Error& error) override { problem_(error); }

 private:
  void tell(const Result<void>& done) {
    if (!done.has_value()) problem_(done.error());
  }

  NadStore& store_;
  const NadProblem& problem_;
};

}  // namespace

Result<std::unique_ptr<NadWatch>> NadWatch::start(ApiServer& api, NadStore& store,
                                                  NadProblem problem, PauseLimits pauses) {
  RAILHEAD_TRY_ASSIGN(Cancel cancel, Cancel::create());
  return std::unique_ptr<NadWatch>(
      new NadWatch(api, store, std::move(problem), pauses, std::move(cancel)));
}

NadWatch::NadWatch(ApiServer& api, NadStore& store, NadProblem problem, PauseLimits pauses,
                   Cancel cancel)
    : cancel_(std::move(cancel)),
      thread_([this, &api, &store, problem = std::move(problem), pauses] {
        Filler filler(store, problem);
        followCollection(api, kNads, filler, pauses, cancel_);
      }) {}

NadWatch::~NadWatch() {
  cancel_.cancel();
  thread_.join();
}

}  // namespace railhead::kube
