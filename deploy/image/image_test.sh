#!/usr/bin/env bash
# image_test.sh BUILD: builds the image of BUILD's programs, twice, opens it, and plants faults that check.sh must name.
# Skipped (77) where the tools are absent; `./dev test` installs them.
set -uo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1
for tool in umoci jq; do
  command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed (apt-get install $tool)"; exit 77; }
done
arch=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# expect NAME CODE TEXT COMMAND...: the exit code, and TEXT somewhere in what it printed.
expect() {
  local name=$1 code=$2 text=$3 output got
  shift 3
  output=$("$@" 2>&1 </dev/null)
  got=$?
  if [ "$got" != "$code" ]; then
    echo "FAILED $name: exit $got instead of $code: $output"
  elif [[ $output != *"$text"* ]]; then
    echo "FAILED $name: no '$text' in: $output"
  else
    echo "ok     $name"
    return 0
  fi
  failures=$((failures + 1))
}

# --- usage ---
expect "build: nothing named" 2 "--arch is missing" "$here/build.sh"
expect "build: architecture" 2 "expected amd64 or arm64" "$here/build.sh" --arch riscv64 --build "$build" --version 1 \
  --revision x --epoch 1 --out "$work/o"
expect "build: version is a tag" 2 "expected a tag" "$here/build.sh" --arch "$arch" --build "$build" --version a/b \
  --revision x --epoch 1 --out "$work/o"
expect "build: no programs" 2 "there is no bin/railhead-agent" "$here/build.sh" --arch "$arch" --build "$work" \
  --version 1 --revision x --epoch 1 --out "$work/o"
expect "assemble: no layout" 2 "no LAYOUT" "$here/assemble.sh" --version 1 --epoch 1 --out "$work/o"
expect "check: no layout" 2 "is no OCI layout" "$here/check.sh" "$work"

# --- the image ---
image() { # OUT
  "$here/build.sh" --arch "$arch" --build "$build" --version 1.2.3 --revision abc --epoch 1700000000 --out "$work/$1"
}
expect "it is built" 0 "" image one
expect "and again" 0 "" image two
expect "the same bytes twice" 0 "" diff -r "$work/one" "$work/two"
expect "it is assembled" 0 "" "$here/assemble.sh" --version 1.2.3 --epoch 1700000000 --out "$work/out" "$work/one"
expect "its archive" 0 "oci-layout" tar -tf "$work/out/railhead-1.2.3-$arch.tar"
expect "its name for containerd" 0 "docker.io/library/railhead:1.2.3" cat "$work/out/oci/index.json"
expect "all that a node relies on holds" 0 "linux/$arch: " "$here/check.sh" "$work/out/oci"

# --- an index of two architectures ---
cp -r "$work/one" "$work/other"
other=$([ "$arch" = amd64 ] && echo arm64 || echo amd64)
umoci config --image "$work/other:1.2.3" --no-history --architecture "$other" --tag 1.2.3
umoci gc --layout "$work/other"
jq -c --arg a "$other" '.manifests[0].platform = {architecture: $a, os: "linux"}' "$work/other/index.json" >"$work/json"
mv "$work/json" "$work/other/index.json"
expect "two are assembled" 0 "" "$here/assemble.sh" --version 1.2.3 --epoch 1700000000 --out "$work/both" "$work/one" "$work/other"
expect "programs of another architecture are named" 3 "linux/$other: /usr/bin/railhead is for " "$here/check.sh" "$work/both/oci"

# --- planted faults: one more layer on the good image ---
layer=$work/layer
mkdir -p "$layer"/{root,etc,usr/bin,usr/share/doc,usr/lib/railhead}
cp "$(command -v cat)" "$layer/usr/bin/setuid"
chmod 4755 "$layer/usr/bin/setuid"
chmod 1777 "$layer/usr/share/doc"
cp -L "$(command -v cmake)" "$layer/usr/bin/cmake"
cp "$(command -v cat)" "$layer/usr/lib/railhead/railhead-cni"
cp "$build/bin/railhead" "$layer/usr/bin/railhead"
cp "$(command -v cat)" "$layer/usr/lib/railhead/libnccl-tuner-railhead.so"
head -c 4000 "$(command -v cat)" >"$layer/usr/bin/torn"
head -c 400 "$0" >"$layer/usr/lib/railhead/script"
echo x >"$layer/root/.netrc"
printf 'root:x:0:0:::\nme:x:1:1:::\n' >"$layer/etc/passwd"
tar -C "$layer" --owner=0 --group=0 -cf "$work/layer.tar" .
umoci raw add-layer --image "$work/two:1.2.3" --history.comment planted "$work/layer.tar"
umoci config --image "$work/two:1.2.3" --no-history --config.entrypoint /bin/sh --config.label org.opencontainers.image.title=
"$here/check.sh" --at-most 1 "$work/two" >"$work/said" 2>&1
expect "planted faults" 0 3 echo $?
planted() { expect "planted: $1" 0 "" grep -qF -- "$2" "$work/said"; }
planted "entrypoint" 'entrypoint ["/bin/sh"], expected /usr/bin/railhead-agent'
planted "label" "label org.opencontainers.image.title is missing"
planted "setuid" "./usr/bin/setuid is setuid"
planted "a folder that all may write" "./usr/share/doc/ is writable by others"
planted "a library that is not inside" "/usr/bin/cmake needs lib"
planted "a program with symbols" "/usr/bin/railhead is not stripped"
planted "a program that was cut off" "cannot read /usr/bin/torn: readelf: "
planted "a file that is no program" "cannot read /usr/lib/railhead/script: readelf: "
planted "a shim that is not static" "railhead-cni is not static"
planted "a tuner plugin that NCCL does not know" "the tuner plugin has no ncclTunerPlugin_v*"
planted "a file from elsewhere" "./root/.netrc is unexpected"
planted "another user" "/etc/passwd has others than root"
planted "size" "expected at most 1 MiB"
grep -q . "$work/said" && [ "$failures" = 0 ] || cat "$work/said"
blob=$(ls -S "$work/one/blobs/sha256"/* | head -1)
printf x >>"$blob"
expect "planted: a damaged blob" 3 "is damaged" "$here/check.sh" "$work/one"

[ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
