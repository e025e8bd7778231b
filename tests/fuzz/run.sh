#!/usr/bin/env bash
# Lets libFuzzer throw input at the targets of a build with preset fuzz, as many at a time as there are processors.
# A corpus grows in BUILD/fuzz/corpus/TARGET from run to run. Exit 3: an input broke a promise; it is named.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'TEXT'
usage: run.sh --build DIR [--seconds N] [TARGET...]
  --build DIR    the build folder (build/fuzz)
  --seconds N    for each target, 1 to 86400 (default 10)
  TARGET         default: all

example: tests/fuzz/run.sh --build build/fuzz --seconds 60 agent_config
TEXT
}
wrong_usage() {
  echo "fuzz: $1" >&2
  usage >&2
  exit 2
}

build='' seconds=10 targets=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --build | --seconds) [ -n "${2:-}" ] || wrong_usage "$1 needs a value" ;;&
    --build) build=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    -*) wrong_usage "unknown option '$1'" ;;
    *) targets+=("$1") ;;
  esac
  shift
done
[ -n "$build" ] || wrong_usage "--build is missing"
[ -s "$build/fuzz/targets" ] || wrong_usage "'$build' is no build with preset fuzz"
[[ $seconds =~ ^[0-9]{1,5}$ ]] && [ "$seconds" -ge 1 ] && [ "$seconds" -le 86400 ] ||
  wrong_usage "--seconds '$seconds': expected 1 to 86400"
[ ${#targets[@]} -gt 0 ] || mapfile -t targets <"$build/fuzz/targets"
for target in "${targets[@]}"; do
  [ -x "$build/fuzz/$target" ] ||
    wrong_usage "target '$target': expected one of $(paste -sd ' ' "$build/fuzz/targets")"
done

export here build seconds
export UBSAN_OPTIONS=print_stacktrace=1
mkdir -p "$build/fuzz/log"

# fuzz_one TARGET: prints one line, and what is wrong below it.
fuzz_one() {
  local target=$1 log=$build/fuzz/log/$1 corpus=$build/fuzz/corpus/$1 found=$build/fuzz/found/$1 code=0 runs
  mkdir -p "$corpus" "$found" "$build/fuzz/seeds/$target"
  # A hang is 10 s for one input; what the readers allocate is bounded by what they may read.
  "$build/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 \
    -dict="$here/json.dict" -artifact_prefix="$found/" -print_final_stats=1 \
    "$corpus" "$build/fuzz/seeds/$target" >"$log" 2>&1 </dev/null || code=$?
  if [ "$code" = 0 ]; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "ok     $target: ${runs:-0} inputs in $seconds s, corpus of $(find "$corpus" -type f | wc -l)"
    return 0
  fi
  echo "FAILED $target: see $log"
  grep -m 3 -E 'broken promise|runtime error|ERROR: |SUMMARY: ' "$log" | sed 's/^/       /' || tail -3 "$log"
  sed -n 's/^.*Test unit written to /       repeat: '"${build//\//\\/}\/fuzz\/$target"' /p' "$log"
  return 1
}
export -f fuzz_one

printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I '{}' bash -c 'fuzz_one {}' || exit 3
