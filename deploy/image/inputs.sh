#!/usr/bin/env bash
# inputs.sh BUILD PROGRAM...: the headers and archives from outside the project that the programs are made from, as the
# build recorded them, one a line.
set -euo pipefail
build=$(cd "$1" && pwd)
shift
mapfile -t inputs < <(ninja -C "$build" -t inputs "$@")
project=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt")
sysroot=$(sed -n 's/^RAILHEAD_SYSROOT:PATH=//p' "$build/CMakeCache.txt")
{
  printf '%s\n' "${inputs[@]}" | grep '^/.*\.a$' || true
  printf '%s\n' "${inputs[@]}" | grep '\.o$' | xargs -d '\n' ninja -C "$build" -t deps | sed -n 's/^    //p'
} | awk -v project="$project/" -v sysroot="${sysroot:-none}/" '
  /^\// && (index($0, sysroot) == 1 || index($0, project) != 1)' | sort -u
