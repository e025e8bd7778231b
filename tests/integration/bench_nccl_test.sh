#!/usr/bin/env bash
# bench_nccl_test.sh RAILHEAD FAKE_CUDA FAKE_NCCL: the shipped program with its NCCL backend, two ranks
# on two devices of the fakes: every operation is checked, a wrong bit is found, a library that is
# missing or a rank that fails is one line.
set -euo pipefail
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$2" "$work/libcuda.so.1"
export LD_LIBRARY_PATH=$work RAILHEAD_FAKE_CUDA="h200 h200"
bench() {
  timeout 60 "$program" bench collectives --on local:2 --nccl-library "$nccl" --min-size 8 --max-size 4KiB \
    --factor 8 --seconds-per-size 0.05 --timeout 20 --json "$@" >"$work/out" 2>"$work/err"
}
expect() {  # EXIT TEXT WHAT
  local code=0
  "${@:4}" || code=$?
  [ "$code" = "$1" ] && grep -q "$2" "$work/out" "$work/err" && return
  echo "$3: exit $code, expected $1 and '$2'"
  cat "$work/err" "$work/out" | head -c 2000
  exit 1
}
nccl=$3
expect 0 '"name":"nccl"' "auto takes NCCL where every rank has it" bench --operation all
expect 0 '"memory":"device"' "by name" bench --backend nccl --type bfloat16
RAILHEAD_FAKE_NCCL="corrupt-call 1 0" expect 3 "wrong element" "a wrong bit" bench --backend nccl
nccl=$work/no-such-nccl
expect 4 "NCCL is missing" "no NCCL" bench --backend nccl
expect 0 '"name":"host"' "auto without NCCL" bench
nccl=$3
RAILHEAD_FAKE_NCCL="fail-init 1 2" expect 1 "unhandled system error" "a rank that cannot join" bench --backend nccl
