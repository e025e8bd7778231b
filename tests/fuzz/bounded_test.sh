#!/usr/bin/env bash
# The bounded run of CI: builds preset fuzz in build/fuzz, runs every target for a moment, and holds run.sh against a
# planted fault. Skipped (77) where clang 16 or its runtime is absent; `./dev setup` installs them where a release has them.
set -uo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
readonly SECONDS_EACH=4

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! command -v clang++-16 >/dev/null ||
  ! clang++-16 -fsanitize=fuzzer,address,undefined -x c++ "$here/planted_fault.cc" -o "$log" 2>/dev/null; then
  echo "skipped: clang 16 or its fuzzer runtime is not installed (apt-get install clang-16 libclang-rt-16-dev)"
  exit 77
fi
failures=0
fail() {
  echo "FAILED $1"
  failures=$((failures + 1))
}

cd "$root"
cmake --preset fuzz >"$log" 2>&1 && cmake --build --preset fuzz >>"$log" 2>&1 || {
  tail -40 "$log"
  echo "FAILED preset fuzz does not build"
  exit 1
}
"$here/run.sh" --build build/fuzz --seconds "$SECONDS_EACH" || fail "a target broke: exit $?"

said=$("$here/run.sh" --build build/fuzz --seconds 60 planted_fault 2>&1)
code=$?
[ "$code" = 3 ] || fail "a planted fault: exit $code instead of 3: $said"
[[ $said == *"FAILED planted_fault"*"repeat: build/fuzz/fuzz/planted_fault "*/crash-* ]] ||
  fail "a planted fault: not named with its input: $said"
said=$("$here/run.sh" --build build/fuzz no_such_target 2>&1)
[ $? = 2 ] && [[ $said == *"expected one of agent_config "* ]] || fail "an unknown target: $said"

[ "$failures" = 0 ]
