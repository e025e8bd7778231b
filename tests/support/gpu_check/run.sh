#!/usr/bin/env bash
# run.sh GPU_CHECK OUT [NCCL_LIBRARY]: all of gpu-check on this machine. Two ranks share the first GPU
# as two hosts: different NCCL_HOSTID, traffic over sockets on lo, MPS so that their kernels run at
# the same time. Leaves OUT/*.json and NCCL's INFO logs in OUT/logs. Changes no setting of a GPU.
# CUDA_LIBRARY names another libcuda.so.1; NO_MPS=1 does without MPS; KERNEL_BYTES and LARGEST limit sizes.
set -euo pipefail
program=$1
out=$2
nccl=${3:-libnccl.so.2}
cuda=${CUDA_LIBRARY:-libcuda.so.1}
mkdir -p "$out/logs"
work=$(mktemp -d)
failed=0

stop_mps() { if [ -n "${mps:-}" ]; then echo quit | nvidia-cuda-mps-control >/dev/null 2>&1 || true; fi; }
trap 'stop_mps; rm -rf "$work"' EXIT

result() {  # NAME CODE
  if [ "$2" = 0 ]; then echo "ok   $1"; else echo "FAIL $1 (exit $2): $(tail -c 400 "$work/$1.err")"; failed=1; fi
}
alone() {  # NAME ARGUMENTS...
  local name=$1 code=0
  shift
  timeout 60 "$program" "$@" --cuda "$cuda" >"$out/$name.json" 2>"$work/$name.err" || code=$?
  result "$name" "$code"
}
# Both ranks of one run; each as a host of its own unless SAME_HOST is set. NOTE: rank 1 of a
# dead-peer run is killed on purpose.
pair() {  # NAME COMMAND ARGUMENTS...
  local name=$1 command=$2 rank pids=() codes=()
  shift 2
  mkdir "$work/$name"
  for rank in 0 1; do
    env NCCL_HOSTID="node-${SAME_HOST:-$rank}" NCCL_SOCKET_IFNAME=lo NCCL_IB_DISABLE=1 \
      NCCL_NVLS_ENABLE=0 timeout 120 "$program" "$command" --cuda "$cuda" --nccl "$nccl" \
      --rank "$rank" --ranks 2 --meet "$work/$name" --log "$out/logs/$name-rank$rank.log" \
      --largest "${LARGEST:-67108864}" "$@" \
      >"$out/$name-rank$rank.json" 2>"$work/$name-rank$rank.err" &
    pids+=($!)
  done
  for rank in 0 1; do
    local code=0
    { wait "${pids[$rank]}" || code=$?; } 2>/dev/null
    codes+=("$code")
  done
  if [ "$command" = dead-peer ]; then codes[1]=0; fi
  result "$name-rank0" "${codes[0]}"
  result "$name-rank1" "${codes[1]}"
}

alone facts facts
alone kernels kernels --bytes "${KERNEL_BYTES:-1073741824}"
if [ -z "${NO_MPS:-}" ]; then
  export CUDA_MPS_PIPE_DIRECTORY=$work/mps CUDA_MPS_LOG_DIRECTORY=$work/mps-log
  mkdir "$work/mps" "$work/mps-log"
  if nvidia-cuda-mps-control -d; then mps=1; else echo "no MPS here: kernels take turns"; fi
fi
pair collectives-direct collectives --launch direct
pair collectives-thread collectives --launch thread
pair late-peer late-peer
pair dead-peer dead-peer
# Two ranks on one GPU of one host: refused, with NCCL's reason.
refused() {
  local before=$failed
  SAME_HOST=0 pair same-host collectives >"$work/said"
  failed=$before
  rm -f "$out"/same-host-rank?.json
  if grep -q "FAIL same-host-rank0 (exit 4)" "$work/said"; then
    echo "ok   same-host is refused: $(grep -o 'rank0.*' "$work/said" | head -c 300)"
  else
    echo "FAIL same-host: $(cat "$work/said")"
    failed=1
  fi
}
refused
exit "$failed"
