#include "src/verify/run/exercise.h"

#include "src/base/text.h"
#include "src/bench/collectives/room.h"
#include "src/collective/checked_call.h"
#include "src/verify/run/answer_time.h"

#include <algorithm>
#include <thread>

namespace railhead::verify {
namespace {

using collective::Communicator;
using collective::Group;

// mlx5 refreshes its counters every 10 ms; wait some of that after the last byte.
constexpr std::chrono::milliseconds kCountersSettle{50};
constexpr int kMostCalls = 100'000;

// The rails, and every other netdev of this namespace: sockets may take any of them.
std::vector<InterfaceName> interfacesOf(ExerciseNode& node) {
  auto names = node.rails;
  const auto netdevs = node.files.listDirectory(node.paths.sys + "/class/net");
  if (!netdevs.has_value()) return names;
  for (const auto& netdev : *netdevs) {
    const bool known = std::any_of(names.begin(), names.end(),
                                   [&](const auto& name) { return name.netdev == netdev; });
    if (!known) names.push_back({"", netdev});
  }
  return names;
}

class Exercise {
 public:
  Exercise(Communicator& communicator, Group& group, const ExercisePlan& plan, ExerciseNode& node,
           RankAccount& account)
      : communicator_(communicator),
        group_(group),
        plan_(plan),
        node_(node),
        account_(account),
        call_{collective::Operation::kSendReceive, collective::ElementType::kUint8,
              static_cast<std::size_t>(plan.messageBytes), 0, false} {}

  Result<void> run() {
    RAILHEAD_TRY(bench::checkRoomTogether("--message", plan_.messageBytes, communicator_.memory(),
                                          group_, answerBy()));
    RAILHEAD_TRY_ASSIGN(send_, communicator_.memory().allocate(plan_.messageBytes));
    RAILHEAD_TRY_ASSIGN(receive_, communicator_.memory().allocate(plan_.messageBytes));
    // The first calls connect, and pay for it.
    RAILHEAD_TRY(checked(1));
    RAILHEAD_TRY_ASSIGN(const int calls, callsFor(plan_.seconds));
    RAILHEAD_TRY(counted(calls));
    return checked(2);
  }

 private:
  os::Deadline callBy(int calls) const {
    const double seconds = plan_.callTimeout + plan_.seconds * (calls > 1 ? 20 : 0);
    return std::chrono::steady_clock::now() +
           std::chrono::duration_cast<std::chrono::steady_clock::duration>(
               std::chrono::duration<double>(seconds));
  }
  Result<double> timed(int calls) {
    const auto begin = node_.clock.now();
    for (int i = 0; i < calls; ++i) {
      RAILHEAD_TRY(communicator_.enqueue(call_, send_->data(), receive_->data()));
    }
    RAILHEAD_TRY(communicator_.wait(callBy(calls)));
    return std::chrono::duration<double>(node_.clock.now() - begin).count();
  }

  Result<void> checked(std::uint32_t round) {
    RAILHEAD_TRY_ASSIGN(const auto call,
                        collective::checkedCall(call_, communicator_.rank(), communicator_.ranks(),
                                                plan_.seed * 2654435761U + round));
    auto& memory = communicator_.memory();
    RAILHEAD_TRY(memory.spoil(*receive_));
    RAILHEAD_TRY(memory.fill(*send_, call.before));
    RAILHEAD_TRY(group_.barrier(answerBy()));
    RAILHEAD_TRY(timed(1));
    RAILHEAD_TRY_ASSIGN(const auto found, memory.check(*receive_, call.after));
    account_.bytesChecked += found.bytesChecked;
    account_.elementsWrong += found.elementsWrong;
    return {};
  }

  // As many as fill the time, by rank 0's clock; the same on all ranks.
  Result<int> callsFor(double seconds) {
    RAILHEAD_TRY_ASSIGN(const double one, timed(2));
    const double wanted = seconds / std::max(one / 2, 1e-6);
    const auto own =
        std::to_string(static_cast<int>(std::clamp(wanted, 2.0, static_cast<double>(kMostCalls))));
    RAILHEAD_TRY_ASSIGN(const auto agreed, group_.fromHub(own, answerBy()));
    return static_cast<int>(parseUnsigned(agreed).value_or(2));
  }

  Traffic snapshot() {
    return readTraffic(node_.files, node_.paths, node_.driver, interfacesOf(node_), node_.rdma);
  }

  // Between two barriers nothing but the data moves, heartbeats aside.
  Result<void> counted(int calls) {
    RAILHEAD_TRY(group_.barrier(answerBy()));
    const Traffic before = snapshot();
    RAILHEAD_TRY(group_.barrier(answerBy()));
    RAILHEAD_TRY_ASSIGN(account_.seconds, timed(calls));
    RAILHEAD_TRY(group_.barrier(answerBy()));
    node_.clock.sleepFor(kCountersSettle);
    const auto moved = difference(before, snapshot());
    account_.bytesMoved = plan_.messageBytes * static_cast<std::uint64_t>(calls);
    account_.sent = movedBytes(moved, Side::kSend);
    account_.received = movedBytes(moved, Side::kReceive);
    account_.notes.insert(account_.notes.end(), moved.notes.begin(), moved.notes.end());
    for (const auto& interface : moved.moved.interfaces) {
      account_.retransmits += interface.retransmits.value_or(0);
      const bool rail = std::any_of(node_.rails.begin(), node_.rails.end(), [&](const auto& name) {
        return name.rdma == interface.name.rdma;
      });
      if (rail && interface.software) account_.softwareNic = true;
    }
    return {};
  }

  Communicator& communicator_;
  Group& group_;
  const ExercisePlan& plan_;
  ExerciseNode& node_;
  RankAccount& account_;
  collective::Call call_;
  std::unique_ptr<collective::Buffer> send_;
  std::unique_ptr<collective::Buffer> receive_;
};

}  // namespace

Result<void> exercise(Communicator& communicator, Group& group, const ExercisePlan& plan,
                      ExerciseNode& node, RankAccount& account) {
  account.rank = communicator.rank();
  account.node = group.world().node;
  for (const auto& rail : node.rails) account.railsAvailable.push_back(rail.rdma);
  return Exercise(communicator, group, plan, node, account).run();
}

Result<std::vector<RankAccount>> exchangeAccounts(Group& group, const RankAccount& account) {
  RAILHEAD_TRY_ASSIGN(const auto texts, group.gatherLong(toJson(account), answerBy()));
  std::vector<RankAccount> out;
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    auto parsed = parseAccount(texts[rank]).addContext("rank " + std::to_string(rank));
    if (!parsed.has_value()) return std::move(parsed).error();
    parsed->rank = static_cast<int>(rank);
    out.push_back(std::move(*parsed));
  }
  return out;
}

}  // namespace railhead::verify
