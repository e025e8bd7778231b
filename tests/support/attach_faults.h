// ADD and DEL with a fault at each of their changes in turn: one that fails, or the agent killed
// before it. For the tests of src/attach.
#pragma once

#include "tests/support/attach_fixture.h"

#include <optional>
#include <string>

namespace railhead::attach {

class AttachFaults : public AttachFixture {
 protected:
  static constexpr int kMostChanges = 200;

  // What is to be as before after a fault.
  virtual std::string everything() { return kernel_.snapshot(); }
  // What an agent does at its start.
  virtual void recoverAll() { EXPECT_THAT(attacher_->recover().failed, testing::IsEmpty()); }

  // Each returns how many changes the call makes, and leaves the pod attached after ADD, and not
  // after DEL.

  // After each failure the node is as before. `code`: of every failure.
  int failEveryStepOfAdd(const CniRequest& add, int errnoValue,
                         std::optional<ErrorCode> code = std::nullopt) {
    const std::string before = everything();
    for (int n = 1; n < kMostChanges; ++n) {
      kernel_.revive();
      kernel_.failAt(n, errnoValue);
      const auto result = attacher_->add(add);
      if (result.has_value()) return n - 1;
      if (code.has_value()) {
        EXPECT_EQ(result.error().code, *code) << n;
      }
      EXPECT_THAT(attacher_->attachments(), testing::IsEmpty()) << n;
      expectAsBefore(before, n);
    }
    return neverEnds();
  }

  // The next DEL finishes what a failed one left.
  int failEveryStepOfDel(const CniRequest& add, int errnoValue) {
    const std::string before = everything();
    for (int n = 1; n < kMostChanges; ++n) {
      attach(add, n);
      kernel_.failAt(n, errnoValue);
      static_cast<void>(attacher_->del(request(CniCommand::kDel)));
      const bool untouched = kernel_.operations() < n;
      kernel_.revive();
      EXPECT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value()) << n;
      expectAsBefore(before, n);
      if (untouched) return n - 1;
    }
    return neverEnds();
  }

  // The next agent undoes what was begun.
  int killAtEveryStepOfAdd(const CniRequest& add) {
    const std::string before = everything();
    for (int n = 1; n < kMostChanges; ++n) {
      kernel_.revive();
      kernel_.crashAt(n);
      const bool complete = attacher_->add(add).has_value();
      startAnew();
      if (complete) {
        EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck)).has_value());
        return n - 1;
      }
      expectAsBefore(before, n);
    }
    return neverEnds();
  }

  // The next agent finishes what was begun.
  int killAtEveryStepOfDel(const CniRequest& add) {
    const std::string before = everything();
    for (int n = 1; n < kMostChanges; ++n) {
      attach(add, n);
      kernel_.crashAt(n);
      static_cast<void>(attacher_->del(request(CniCommand::kDel)));
      const bool untouched = kernel_.operations() < n;
      startAnew();
      // Killed before the intent was written: the pod keeps its rails until the runtime asks again.
      if (n == 1) {
        EXPECT_TRUE(attacher_->check(request(CniCommand::kCheck)).has_value());
        EXPECT_TRUE(attacher_->del(request(CniCommand::kDel)).has_value());
      }
      expectAsBefore(before, n);
      if (untouched) return n - 1;
    }
    return neverEnds();
  }

 private:
  void attach(const CniRequest& add, int n) {
    kernel_.revive();
    EXPECT_TRUE(attacher_->add(add).has_value()) << n;
    kernel_.revive();
  }
  void startAnew() {
    attacher_.reset();
    kernel_.revive();
    start();
    recoverAll();
  }
  void expectAsBefore(const std::string& before, int n) {
    EXPECT_EQ(everything(), before) << "after a fault at change " << n;
    EXPECT_THAT(journalFiles(), testing::IsEmpty()) << n;
  }
  static int neverEnds() {
    ADD_FAILURE() << "more than " << kMostChanges << " changes";
    return kMostChanges;
  }
};

}  // namespace railhead::attach
