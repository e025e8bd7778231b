#!/usr/bin/env bash
# run_test.sh GPU_CHECK FAKE_CUDA FAKE_NCCL: the whole of run.sh over the fakes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
CUDA_LIBRARY=$2 NO_MPS=1 KERNEL_BYTES=1048576 LARGEST=1048576 "$here/run.sh" "$1" "$out" "$3"
for name in facts kernels collectives-direct-rank0 collectives-thread-rank1 dead-peer-rank0; do
  [ -s "$out/$name.json" ] || { echo "no $name.json"; exit 1; }
done
grep -q '"code": "unavailable"' "$out/dead-peer-rank0.json" || { cat "$out/dead-peer-rank0.json"; exit 1; }
grep -q '"code": "deadline-exceeded"' "$out/late-peer-rank0.json" || { cat "$out/late-peer-rank0.json"; exit 1; }
grep -q 'via NET/Socket/0' "$out/logs/collectives-direct-rank0.log" || { echo "no channel line"; exit 1; }
