#!/usr/bin/env bash
# What the built plugin asks of a container and shows there: no library but libc, none of its symbols newer than glibc
# 2.28, no name but NCCL's.   usage: symbols_test.sh READELF PLUGIN
set -euo pipefail
readelf=$1 plugin=$2
bad() { echo "symbols_test: $*" >&2; failed=1; }
failed=0

needed=$("$readelf" -dW "$plugin" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | tr '\n' ' ')
[ "$needed" = 'libc.so.6 ' ] || bad "it needs '$needed', expected libc.so.6 alone"
"$readelf" -dW "$plugin" | grep -q NODELETE || bad "it can be unloaded"

versions=$("$readelf" -VW "$plugin" | grep -oE 'GLIBC_[0-9.]+' | sort -uV)
[ -n "$versions" ] || bad "no version of glibc is named"
newest=$(tail -1 <<<"$versions")
[ "$(printf '%s\nGLIBC_2.28\n' "$newest" | sort -V | tail -1)" = GLIBC_2.28 ] || bad "it needs $newest"

shown=$("$readelf" --dyn-syms -W "$plugin" |
  awk '$7 != "UND" && $7 ~ /^[0-9]/ && ($5 == "GLOBAL" || $5 == "WEAK") { print $8 }' | sort | tr '\n' ' ')
expected='ncclTunerPlugin_v3 ncclTunerPlugin_v4 ncclTunerPlugin_v5 ncclTunerPlugin_v6 '
[ "$shown" = "$expected" ] || bad "it shows '$shown'"
[ "$failed" = 0 ] && echo "symbols_test: $newest, $(stat -c %s "$plugin") bytes"
