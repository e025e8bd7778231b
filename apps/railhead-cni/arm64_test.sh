#!/usr/bin/env bash
# Cross-builds the CNI shim for arm64 and runs the shim's own tests against it: what the file is, and, under
# qemu-user, how it behaves as a process. Skipped (77) where the tools are absent; `./dev test` installs them.
set -euo pipefail
source='' build='' process='' abi=''
while [ $# -gt 1 ]; do
  case $1 in
    --source) source=$2 ;;
    --build) build=$2 ;;
    --process-test) process=$2 ;;
    --abi-test) abi=$2 ;;
    *) echo "unknown argument '$1'" >&2; exit 2 ;;
  esac
  shift 2
done
skip() {
  echo "skipped: $1"
  exit 77
}
command -v aarch64-linux-gnu-g++ >/dev/null || skip "no compiler for arm64 (apt-get install g++-aarch64-linux-gnu)"
qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) || skip "no qemu-aarch64 (apt-get install qemu-user)"

mkdir -p "$build"
cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DRAILHEAD_SHIM_ONLY=ON -DRAILHEAD_TESTS=OFF \
  -DCMAKE_TOOLCHAIN_FILE="$source/cmake/toolchains/arm64.cmake" -DCMAKE_CXX_COMPILER_LAUNCHER=ccache \
  >"$build/configure.log" 2>&1 || { cat "$build/configure.log"; exit 1; }
cmake --build "$build" --target railhead-cni

shim=$build/bin/railhead-cni
machine=$(readelf -hW "$shim" | sed -n -E 's/ *Machine: *//p')
[ "$machine" = AArch64 ] || { echo "$shim is for '$machine', expected AArch64"; exit 1; }
printf '#!/bin/sh\nexec "%s" "%s"\n' "$qemu" "$shim" >"$build/emulated"
chmod +x "$build/emulated"
RAILHEAD_CNI_UNDER_TEST=$shim "$abi"
RAILHEAD_CNI_UNDER_TEST=$build/emulated "$process"
