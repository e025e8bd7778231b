// Each pair of ranks has, in each direction, an inbox of two pieces at the receiver that the sender
// writes into, and a credit that the receiver gives back for each piece it has taken out. So a
// sender is never more than two pieces ahead, and nothing is overwritten that was not read.
//
// Only Gloo's buffers bound to a pair are used: its ibverbs transport has no others.
#include "src/collective/host/gloo_lanes.h"

#include "src/base/text.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include <gloo/common/error.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/transport/ibverbs/device.h>
#include <gloo/transport/tcp/attr.h>
#include <gloo/transport/tcp/device.h>

namespace railhead::collective {
namespace {

constexpr std::size_t kAhead = 2;  // pieces in an inbox
constexpr std::string_view kDigits = "0123456789";
enum Slot { kData = 0, kCredit = 1 };

std::string toHex(const std::vector<char>& bytes) {
  static constexpr std::string_view kHexDigits = "0123456789abcdef";
  std::string out;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    out += kHexDigits[value >> 4];
    out += kHexDigits[value & 15];
  }
  return out;
}

std::vector<char> fromHex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::vector<char> out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1])));
  }
  return out;
}

// A key that a rank sets ends with its number.
struct Key {
  std::string kind;
  std::optional<std::uint64_t> rank;

  explicit Key(std::string_view text) {
    const std::size_t digits = text.find_last_not_of(kDigits) + 1;
    kind = text.substr(0, digits);
    rank = parseUnsigned(text.substr(digits));
  }
};

// Gloo's way to learn the others' host names and addresses: every rank sets its own key of one
// kind, then reads all of them.
class GatheredStore final : public gloo::rendezvous::Store {
 public:
  GatheredStore(const Gather& gather) : gather_(gather) {}

  void set(const std::string& key, const std::vector<char>& data) override {
    auto all = gather_(toHex(data));
    if (!all.has_value()) {
      failure_ = all.error();
      GLOO_THROW_IO_EXCEPTION("the ranks' addresses did not come");
    }
    auto& values = values_[Key(key).kind];
    values.clear();
    for (const auto& text : *all) values.push_back(fromHex(text));
  }
  std::vector<char> get(const std::string& key) override {
    const Key wanted(key);
    const auto& values = values_[wanted.kind];
    if (!wanted.rank || *wanted.rank >= values.size()) GLOO_THROW_IO_EXCEPTION("no value of ", key);
    return values[*wanted.rank];
  }
  void wait(const std::vector<std::string>&) override {}  // set() has waited for all

  const std::optional<Error>& failure() const { return failure_; }

 private:
  const Gather& gather_;
  std::map<std::string, std::vector<std::vector<char>>> values_;
  std::optional<Error> failure_;
};

std::shared_ptr<gloo::transport::Device> openDevice(const HostRail& rail) {
  if (rail.kind == HostRail::Kind::kVerbs) {
    return gloo::transport::ibverbs::CreateDevice({rail.device, rail.port, rail.gidIndex});
  }
  return gloo::transport::tcp::CreateDevice(gloo::transport::tcp::attr(rail.address.c_str()));
}

// What an exchange and close() know of each other. Each sets its own and then looks at the other's,
// so one of them sees that it must not go on.
struct Closing {
  std::atomic<bool> closed{false};
  std::atomic<bool> waits{false};
};

// This rank's two directions with one peer.
class PeerLane {
 public:
  PeerLane(gloo::transport::Pair& pair, std::size_t pieceBytes, Closing& closing)
      : pieceBytes_(pieceBytes),
        closing_(closing),
        inbox_(kAhead * pieceBytes),
        outbox_(kAhead * pieceBytes) {
    inboxBuffer_ = pair.createRecvBuffer(kData, inbox_.data(), inbox_.size());
    creditIn_ = pair.createRecvBuffer(kCredit, &credits_[0], sizeof credits_[0]);
  }
  // After the constructor has run at both ends: it waits for the peer's inbox.
  void open(gloo::transport::Pair& pair) {
    outboxBuffer_ = pair.createSendBuffer(kData, outbox_.data(), outbox_.size());
    creditOut_ = pair.createSendBuffer(kCredit, &credits_[1], sizeof credits_[1]);
  }

  // Waits for room at the peer.
  void send(std::span<const std::byte> piece) {
    if (sendable_ == 0) {
      await([&] { creditIn_->waitRecv(); });
      ++sendable_;
    }
    const std::size_t at = sent_++ % kAhead * pieceBytes_;
    // A credit came for what lay there, so it has long left; its completion may be waiting still.
    if (unconfirmed_ == kAhead) {
      await([&] { outboxBuffer_->waitSend(); });
      --unconfirmed_;
    }
    std::memcpy(&outbox_[at], piece.data(), piece.size());
    await([&] { outboxBuffer_->send(at, piece.size(), at); });
    ++unconfirmed_;
    --sendable_;
  }

  // Waits for the next piece; it stays until release().
  std::span<const std::byte> receive(std::size_t size) {
    await([&] { inboxBuffer_->waitRecv(); });
    return std::span<const std::byte>(inbox_).subspan(received_++ % kAhead * pieceBytes_, size);
  }
  void release() {
    if (creditPending_) await([&] { creditOut_->waitSend(); });
    await([&] { creditOut_->send(0, sizeof credits_[1]); });
    creditPending_ = true;
  }

 private:
  class Wait {
   public:
    explicit Wait(Closing& closing) : closing_(closing) { closing_.waits = true; }
    ~Wait() { closing_.waits = false; }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

   private:
    Closing& closing_;
  };
  // What Gloo may wait in, for the peer: also sending does, over verbs, at first.
  template <typename Call>
  void await(Call call) {
    {
      const Wait wait(closing_);
      call();
    }
    if (closing_.closed) GLOO_THROW_IO_EXCEPTION("closed");
  }

  std::size_t pieceBytes_;
  Closing& closing_;
  std::vector<std::byte> inbox_;
  std::vector<std::byte> outbox_;
  std::array<std::uint32_t, 2> credits_{};
  std::unique_ptr<gloo::transport::Buffer> inboxBuffer_;
  std::unique_ptr<gloo::transport::Buffer> creditIn_;
  std::unique_ptr<gloo::transport::Buffer> outboxBuffer_;
  std::unique_ptr<gloo::transport::Buffer> creditOut_;
  std::size_t sendable_ = kAhead;
  std::size_t unconfirmed_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  bool creditPending_ = false;
};

}  // namespace

class GlooLanes::Mesh {
 public:
  Mesh(int rank, int ranks, const LaneSettings& settings)
      : settings_(settings), context_(std::make_shared<gloo::rendezvous::Context>(rank, ranks)) {
    context_->setTimeout(settings.patience);
  }

  // Throws what Gloo throws.
  void connect(GatheredStore& store, std::shared_ptr<gloo::transport::Device> device) {
    context_->connectFullMesh(store, device);
    lanes_.resize(static_cast<std::size_t>(context_->size));
    for (int peer = 0; peer < context_->size; ++peer) {
      if (peer == context_->rank) continue;
      lanes_[static_cast<std::size_t>(peer)] =
          std::make_unique<PeerLane>(*context_->getPair(peer), settings_.pieceBytes, closing_);
    }
    for (int peer = 0; peer < context_->size; ++peer) {
      if (peer != context_->rank) lane(peer).open(*context_->getPair(peer));
    }
  }

  int rank() const { return context_->rank; }
  int ranks() const { return context_->size; }

  void exchange(const Exchange& exchange) {
    const std::size_t piece = settings_.pieceBytes;
    std::size_t out = 0;
    std::size_t in = 0;
    std::size_t ahead = 0;  // pieces sent beyond those received
    while (out < exchange.out.size() || in < exchange.inBytes) {
      const bool mayReceive = in < exchange.inBytes;
      if (out < exchange.out.size() && (ahead < kAhead || !mayReceive)) {
        const std::size_t size = std::min(piece, exchange.out.size() - out);
        lane(exchange.to).send(exchange.out.subspan(out, size));
        out += size;
        ++ahead;
      } else {
        const std::size_t size = std::min(piece, exchange.inBytes - in);
        exchange.consume(in, lane(exchange.from).receive(size));
        lane(exchange.from).release();
        in += size;
        ahead -= std::min<std::size_t>(ahead, 1);
      }
    }
  }

  void close() {
    if (closing_.closed.exchange(true)) return;
    try {
      context_->closeConnections();
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
      // It was not connected, or is broken: closed either way.
    }
  }
  bool waits() const { return closing_.waits; }
  bool closed() const { return closing_.closed; }

 private:
  PeerLane& lane(int peer) { return *lanes_[static_cast<std::size_t>(peer)]; }

  LaneSettings settings_;
  std::shared_ptr<gloo::rendezvous::Context> context_;
  Closing closing_;
  std::vector<std::unique_ptr<PeerLane>> lanes_;
};

std::string HostRail::toString() const {
  return kind == Kind::kVerbs ? "verbs " + device : "tcp " + address;
}

Result<std::unique_ptr<GlooLanes>> GlooLanes::connect(int rank, int ranks, const HostRail& rail,
                                                      const LaneSettings& settings,
                                                      const Gather& gather) {
  GatheredStore store(gather);
  try {
    auto mesh = std::make_unique<Mesh>(rank, ranks, settings);
    mesh->connect(store, openDevice(rail));
    // Who gives up now resets no connection that another has not seen made.
    RAILHEAD_TRY(gather(""));
    return std::unique_ptr<GlooLanes>(new GlooLanes(std::move(mesh)));
  } catch (const std::exception& error) {
    if (store.failure()) return *store.failure();
    return Error(
        ErrorCode::kEnvironment,
        rail.toString() + " cannot be used by gloo: " + std::string(error.what()).substr(0, 300),
        rail.kind == HostRail::Kind::kTcp
            ? "take an address of this rank's own machine that the others reach"
            : "check that the rail is up on every rank and that the memlock limit is unlimited "
              "(IPC_LOCK)");
  }
}

GlooLanes::GlooLanes(std::unique_ptr<Mesh> mesh) : mesh_(std::move(mesh)) {}
GlooLanes::~GlooLanes() { close(); }
int GlooLanes::rank() const { return mesh_->rank(); }
int GlooLanes::ranks() const { return mesh_->ranks(); }
void GlooLanes::close() { mesh_->close(); }
bool GlooLanes::waits() const { return mesh_->waits(); }

Result<void> GlooLanes::exchange(const Exchange& exchange) {
  try {
    mesh_->exchange(exchange);
    return {};
  } catch (const std::exception& error) {
    if (mesh_->closed()) return Error(ErrorCode::kUnavailable, "the connection was closed");
    return Error(ErrorCode::kUnavailable,
                 "a rail to rank " + std::to_string(exchange.to) + " or from rank " +
                     std::to_string(exchange.from) +
                     " broke: " + std::string(error.what()).substr(0, 300));
  }
}

}  // namespace railhead::collective
