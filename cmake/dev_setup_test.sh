#!/usr/bin/env bash
# When `./dev setup` takes itself for finished: with every program of the machine's that it calls replaced.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,cmake,lab/image}
cp "$here/dev" "$tree/dev"
touch "$tree/packages.txt" "$tree/cmake/private_apt.sh"

stub() {  # FILE: a program with the script that is read
  { echo '#!/bin/sh'; cat; } >"$tree/$1"
  chmod +x "$tree/$1"
}
stub bin/apt-get <<<'exit 0'
stub bin/qemu-system-x86_64 <<<'echo "QEMU emulator version 10.0"'
stub bin/uname <<<'echo x86_64'
stub lab/image/fetch-kernel.sh <<'END'
echo kernel >>"$CALLS"
mkdir -p "$1/current" && touch "$1/current/release"
END
stub lab/image/fetch-runtime.sh <<'END'
echo runtime >>"$CALLS"
[ ! -e "$MIRROR_AWAY" ]
END
export CALLS=$tree/calls MIRROR_AWAY=$tree/away

setup_calls() {  # what one setup fetched, in one line
  : >"$CALLS"
  PATH="$tree/bin:$PATH" "$tree/dev" setup 2>"$tree/said" || { echo "setup failed: $(cat "$tree/said")"; exit 1; }
  tr '\n' ' ' <"$CALLS"
}
expect() {  # WHAT WANTED
  local got
  got=$(setup_calls)
  [ "$got" = "$2" ] || { echo "$1: fetched '$got', expected '$2'"; exit 1; }
}
touch "$MIRROR_AWAY"
expect "a mirror that does not answer" "kernel runtime "
grep -q "the next setup tries again" "$tree/said" || { echo "it is not said that the runtime is missing"; exit 1; }
expect "it still does not" "kernel runtime "
rm "$MIRROR_AWAY"
expect "it answers" "kernel runtime "
expect "everything is there" ""
echo "1 passed, 0 failed"
