#!/usr/bin/env bash
# tune_nccl_test.sh RAILHEAD FAKE_CUDA FAKE_NCCL PLUGIN: the shipped program searches NCCL's settings over the
# fakes, where some of them hang or give wrong bytes: these are condemned, with what was seen, and end up nowhere.
set -euo pipefail
program=$1
nccl=$3
plugin=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$2" "$work/libcuda.so.1"
export LD_LIBRARY_PATH=$work RAILHEAD_FAKE_CUDA="h200 h200"
tune() {
  timeout 150 "$program" tune --on local:2 --backend nccl --nccl-library "$nccl" --min-size 16KiB --max-size 16KiB \
    --objective latency --repetitions 1 --restarts 0 --timeout 20 --json "$@" >"$work/out" 2>"$work/err"
}
bad() {
  echo "$1"
  cat "$work/err" "$work/out" | head -c 3000
  exit 1
}
has() { grep -qF -- "$1" "$work/out" || bad "missing: $1"; }
hasLike() { grep -qE -- "$1" "$work/out" || bad "nothing like: $1"; }
# What is not the default stays by a fresh run alone.
provenOrDefault() {
  if grep -qF '"validated":true' "$work/out"; then return; fi
  has '"validated":false'
  has '"better":false'
  has '"environment":[]'
  has '"table":[]'
}

# Tree with LL hangs, ring with Simple gives wrong bytes, as do 64 threads.
export RAILHEAD_FAKE_NCCL="hang-choice 0 0;corrupt-choice 1 2;corrupt-with NCCL_NTHREADS 64"
tune --tuner-plugin "$plugin" --call-timeout 1 --trials 60 --out "$work/profile.yaml" || bad "the search failed"
has '{"setting":"algorithm=tree protocol=ll","outcome":"hung"'
has '{"setting":"algorithm=ring protocol=simple","outcome":"corrupt"'
# Which choice stands when the screening begins is for the clock to say: it is named beside the threads.
hasLike '\{"setting":"([^"]* )?NCCL_NTHREADS=64[ "][^}]*"outcome":"corrupt"'
hasLike '"end":"(budget|finished)"'
has '"nccl_least":"2.28.9"'
provenOrDefault
if grep -qE 'tree ll 0|ring simple|NCCL_NTHREADS: "64"' "$work/profile.yaml"; then bad "a condemned setting is in the profile"; fi

# Without the plugin there is nothing to switch by size, and it says so.
export RAILHEAD_FAKE_NCCL=
tune --tuner-plugin "$work/none.so" --trials 8 || bad "the search without a plugin failed"
has "no tuner plugin at $work/none.so"
provenOrDefault
if grep -q '"step":"algorithm' "$work/out"; then bad "a choice by size without the plugin"; fi

# A default that gives wrong bytes has nothing to be tuned.
export RAILHEAD_FAKE_NCCL="corrupt-call 1 0"
code=0
tune --tuner-plugin "$plugin" --trials 8 || code=$?
[ "$code" = 3 ] || bad "a corrupt default: exit $code, expected 3"
grep -q "the default setting corrupt" "$work/err" || bad "a corrupt default is not named"

# Beside compute: a kernel of ours on a second stream, counted by the device.
export RAILHEAD_FAKE_NCCL=
timeout 150 "$program" tune --on local:2 --backend nccl --nccl-library "$nccl" --min-size 16KiB --max-size 16KiB \
  --objective overlapped --repetitions 1 --restarts 0 --timeout 20 --json --tuner-plugin "$plugin" --trials 8 \
  >"$work/out" 2>"$work/err" || bad "the search beside compute failed"
has '"objective":"overlapped"'
has '"overlap":[{"operation":"allreduce","bytes":16384,"call_seconds":'
hasLike '"end":"(budget|finished)"'
provenOrDefault
