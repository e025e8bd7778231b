#include "src/verbs/ibv_queue_pair.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <arpa/inet.h>
#include <fcntl.h>

namespace railhead::verbs {
namespace {

constexpr int kPairAccess =
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
constexpr std::uint32_t kInlineBytes = 16;  // a latency message travels inside the request itself

CompletionStatus statusOf(ibv_wc_status status) {
  switch (status) {
    case IBV_WC_SUCCESS:
      return CompletionStatus::kSuccess;
    case IBV_WC_LOC_PROT_ERR:
    case IBV_WC_LOC_LEN_ERR:
    case IBV_WC_LOC_ACCESS_ERR:
      return CompletionStatus::kLocalProtection;
    case IBV_WC_REM_ACCESS_ERR:
    case IBV_WC_REM_INV_REQ_ERR:
    case IBV_WC_REM_OP_ERR:
      return CompletionStatus::kRemoteAccess;
    case IBV_WC_RETRY_EXC_ERR:
      return CompletionStatus::kRetryExceeded;
    case IBV_WC_RNR_RETRY_EXC_ERR:
      return CompletionStatus::kReceiverNotReady;
    case IBV_WC_WR_FLUSH_ERR:
      return CompletionStatus::kFlushed;
    default:
      return CompletionStatus::kOther;
  }
}

Completion toCompletion(const ibv_wc& raw) {
  Completion out;
  out.id = raw.wr_id;
  out.status = statusOf(raw.status);
  out.vendorStatus = raw.status;
  out.queuePair = raw.qp_num;
  if (out.status != CompletionStatus::kSuccess) return out;
  if (raw.opcode == IBV_WC_RDMA_READ) out.kind = CompletionKind::kRead;
  if (raw.opcode == IBV_WC_SEND) out.kind = CompletionKind::kSend;
  if (raw.opcode == IBV_WC_RECV) out.kind = CompletionKind::kReceive;
  if (raw.opcode == IBV_WC_RECV_RDMA_WITH_IMM) out.kind = CompletionKind::kReceiveImmediate;
  if ((raw.opcode & IBV_WC_RECV) != 0) out.byteLength = raw.byte_len;
  if ((raw.wc_flags & IBV_WC_WITH_IMM) != 0) out.immediate = ntohl(raw.imm_data);
  return out;
}

class IbvCompletionQueue final : public CompletionQueue {
 public:
  IbvCompletionQueue(std::shared_ptr<ibv_comp_channel> channel, std::shared_ptr<ibv_cq> cq)
      : channel_(std::move(channel)), cq_(std::move(cq)) {}

  Result<std::size_t> poll(std::span<Completion> out) override {
    std::array<ibv_wc, 16> raw;
    std::size_t done = 0;
    while (done < out.size()) {
      const auto want = static_cast<int>(std::min(raw.size(), out.size() - done));
      const int count = ibv_poll_cq(cq_.get(), want, raw.data());
      if (count < 0) return Error(ErrorCode::kIo, "poll the completion queue: device failure");
      for (int i = 0; i < count; ++i) out[done++] = toCompletion(raw[static_cast<std::size_t>(i)]);
      if (count < want) break;
    }
    return done;
  }

  Result<void> arm() override {
    const int code = ibv_req_notify_cq(cq_.get(), 0);
    if (code != 0) return Error::fromErrno(code, "ask for completion events");
    return {};
  }

  int eventFd() const override { return channel_->fd; }

  Result<void> clearEvents() override {
    ibv_cq* source = nullptr;
    void* context = nullptr;
    unsigned count = 0;
    while (ibv_get_cq_event(channel_.get(), &source, &context) == 0) ++count;
    const int code = errno;
    if (count > 0) ibv_ack_cq_events(cq_.get(), count);
    if (code != EAGAIN && code != EINTR) return Error::fromErrno(code, "read completion events");
    return {};
  }

  const std::shared_ptr<ibv_cq>& raw() const { return cq_; }

 private:
  std::shared_ptr<ibv_comp_channel> channel_;
  std::shared_ptr<ibv_cq> cq_;
};

Result<ibv_mtu> mtuCode(int bytes) {
  for (int code = IBV_MTU_256; code <= IBV_MTU_4096; ++code) {
    if (128 << code == bytes) return static_cast<ibv_mtu>(code);
  }
  return Error(ErrorCode::kInvalidArgument,
               "RDMA MTU " + std::to_string(bytes) + ": expected 256, 512, 1024, 2048 or 4096");
}

class IbvQueuePair final : public QueuePair {
 public:
  IbvQueuePair(std::shared_ptr<ibv_qp> qp, std::string device, std::uint32_t maxInline)
      : qp_(std::move(qp)), device_(std::move(device)), maxInline_(maxInline) {}

  std::uint32_t number() const override { return qp_->qp_num; }

  Result<void> connect(const QueuePairPath& path) override {
    RAILHEAD_TRY(toInit());
    RAILHEAD_TRY(toReadyToReceive(path));
    return toReadyToSend(path);
  }

  Result<void> postWrite(const WriteRequest& request) override {
    ibv_send_wr raw{};
    raw.wr_id = request.id;
    raw.opcode = request.immediate ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE;
    if (request.immediate) raw.imm_data = htonl(*request.immediate);
    raw.wr.rdma.remote_addr = request.remoteAddress;
    raw.wr.rdma.rkey = request.remoteKey;
    return post(raw, request.source);
  }

  Result<void> postRead(const ReadRequest& request) override {
    ibv_send_wr raw{};
    raw.wr_id = request.id;
    raw.opcode = IBV_WR_RDMA_READ;
    raw.wr.rdma.remote_addr = request.remoteAddress;
    raw.wr.rdma.rkey = request.remoteKey;
    return post(raw, request.target);
  }

  Result<void> postSend(std::uint64_t id, const LocalSlice& source,
                        std::optional<std::uint32_t> immediate) override {
    ibv_send_wr raw{};
    raw.wr_id = id;
    raw.opcode = immediate ? IBV_WR_SEND_WITH_IMM : IBV_WR_SEND;
    if (immediate) raw.imm_data = htonl(*immediate);
    return post(raw, source);
  }

  Result<void> postReceive(std::uint64_t id, const LocalSlice& target) override {
    ibv_sge element = toElement(target);
    ibv_recv_wr raw{};
    raw.wr_id = id;
    raw.sg_list = &element;
    raw.num_sge = target.length > 0 ? 1 : 0;
    ibv_recv_wr* bad = nullptr;
    const int code = ibv_post_recv(qp_.get(), &raw, &bad);
    if (code != 0) return Error::fromErrno(code, "post a receive on " + device_);
    return {};
  }

 private:
  static ibv_sge toElement(const LocalSlice& slice) {
    if (slice.length == 0) return {};
    return {slice.region->address() + slice.offset, static_cast<std::uint32_t>(slice.length),
            slice.region->localKey()};
  }

  // The CPU copies what goes inline: never a read's target, nor memory that it cannot touch.
  bool mayGoInline(const ibv_send_wr& raw, const LocalSlice& slice) const {
    return raw.opcode != IBV_WR_RDMA_READ && slice.length > 0 && slice.length <= maxInline_ &&
           !slice.region->bytes().empty();
  }

  Result<void> post(ibv_send_wr& raw, const LocalSlice& slice) {
    ibv_sge element = toElement(slice);
    raw.sg_list = &element;
    raw.num_sge = slice.length > 0 ? 1 : 0;
    raw.send_flags = IBV_SEND_SIGNALED;
    if (mayGoInline(raw, slice)) raw.send_flags |= IBV_SEND_INLINE;
    ibv_send_wr* bad = nullptr;
    const int code = ibv_post_send(qp_.get(), &raw, &bad);
    if (code != 0) return Error::fromErrno(code, "post a request on " + device_);
    return {};
  }

  Result<void> modify(ibv_qp_attr& attributes, int mask, const char* state) {
    const int code = ibv_modify_qp(qp_.get(), &attributes, mask);
    if (code == 0) return {};
    return Error::fromErrno(code,
                            std::string("bring the queue pair of ") + device_ + " to " + state);
  }

  Result<void> toInit() {
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_INIT;
    attributes.port_num = kPort;
    attributes.qp_access_flags = kPairAccess;
    return modify(attributes, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS,
                  "INIT");
  }

  Result<void> toReadyToReceive(const QueuePairPath& path) {
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_RTR;
    RAILHEAD_TRY_ASSIGN(attributes.path_mtu, mtuCode(path.mtu));
    attributes.dest_qp_num = path.remoteNumber;
    attributes.rq_psn = path.remotePsn;
    attributes.max_dest_rd_atomic = static_cast<std::uint8_t>(path.readsInFlight);
    attributes.min_rnr_timer = static_cast<std::uint8_t>(path.minRnrTimer);
    attributes.ah_attr.is_global = 1;
    attributes.ah_attr.port_num = kPort;
    std::copy(path.remoteGid.bytes.begin(), path.remoteGid.bytes.end(),
              attributes.ah_attr.grh.dgid.raw);
    attributes.ah_attr.grh.sgid_index = static_cast<std::uint8_t>(path.localGidIndex);
    attributes.ah_attr.grh.hop_limit = static_cast<std::uint8_t>(path.hopLimit);
    attributes.ah_attr.grh.traffic_class = static_cast<std::uint8_t>(path.trafficClass);
    return modify(attributes,
                  IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                      IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
                  "ready to receive")
        .addContext("towards " + path.remoteGid.ip().toString());
  }

  Result<void> toReadyToSend(const QueuePairPath& path) {
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_RTS;
    attributes.timeout = static_cast<std::uint8_t>(path.timeoutExponent);
    attributes.retry_cnt = static_cast<std::uint8_t>(path.retryCount);
    attributes.rnr_retry = static_cast<std::uint8_t>(path.rnrRetryCount);
    attributes.sq_psn = path.localPsn;
    attributes.max_rd_atomic = static_cast<std::uint8_t>(path.readsInFlight);
    return modify(attributes,
                  IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                      IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC,
                  "ready to send");
  }

  std::shared_ptr<ibv_qp> qp_;
  std::string device_;
  std::uint32_t maxInline_;
};

}  // namespace

Result<std::unique_ptr<CompletionQueue>> openCompletionQueue(const OpenDevice& device, int depth) {
  ibv_comp_channel* rawChannel = ibv_create_comp_channel(device.context.get());
  if (rawChannel == nullptr) {
    return Error::fromErrno(errno, "create a completion channel on " + device.info.name);
  }
  auto channel = own(rawChannel, ibv_destroy_comp_channel, device.context);
  // Events are read until none is left, which must not block.
  if (::fcntl(channel->fd, F_SETFL, ::fcntl(channel->fd, F_GETFL) | O_NONBLOCK) != 0) {
    return Error::fromErrno(errno, "set up the completion channel of " + device.info.name);
  }
  ibv_cq* rawCq = ibv_create_cq(device.context.get(), depth, nullptr, channel.get(), 0);
  if (rawCq == nullptr) {
    return Error::fromErrno(errno, "create a completion queue on " + device.info.name);
  }
  auto cq = own(rawCq, ibv_destroy_cq, channel);
  return std::make_unique<IbvCompletionQueue>(std::move(channel), std::move(cq));
}

Result<std::unique_ptr<QueuePair>> openQueuePair(const OpenDevice& device, CompletionQueue& queue,
                                                 const QueuePairSize& size) {
  const auto& cq = static_cast<IbvCompletionQueue&>(queue).raw();
  ibv_qp_init_attr attributes{};
  attributes.send_cq = cq.get();
  attributes.recv_cq = cq.get();
  attributes.qp_type = IBV_QPT_RC;
  attributes.cap.max_send_wr = size.sendDepth;
  attributes.cap.max_recv_wr = size.receiveDepth;
  attributes.cap.max_send_sge = 1;
  attributes.cap.max_recv_sge = 1;
  attributes.cap.max_inline_data = kInlineBytes;
  ibv_qp* raw = ibv_create_qp(device.pd.get(), &attributes);
  if (raw == nullptr) {
    return Error::fromErrno(errno, "create a queue pair on " + device.info.name);
  }
  auto qp = own(raw, ibv_destroy_qp, std::pair(device.pd, cq));
  return std::make_unique<IbvQueuePair>(std::move(qp), device.info.name,
                                        attributes.cap.max_inline_data);
}

}  // namespace railhead::verbs
