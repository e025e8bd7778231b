#!/bin/bash
# Builds the immutable image that every lab node boots: a kernel, a small initramfs with the static
# PID 1, and a read-only root file system that holds our programs and the tools they are tested
# with. Runs as any user and changes nothing outside OUTDIR.
set -euo pipefail
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/tree.sh"
. "$here/modules.sh"
. "$here/oci.sh"

usage() {
  cat <<'TEXT'
usage: build.sh --kernel CACHE_DIR --out OUTDIR [--runtime CACHE_DIR] [--optional]
                --program FILE[:FOLDER]...

Writes OUTDIR/{kernel,initramfs.cpio,root.erofs,image.json}; at once when the inputs are unchanged.
  --kernel DIR            what fetch-kernel.sh made
  --program FILE[:DIR]    a program for the image, into DIR (default /usr/bin); railhead-lab-guest,
                          which becomes PID 1, must be among them
  --runtime DIR           what fetch-runtime.sh made; when it is absent, the image has no containerd
  --optional              without a kernel or a needed tool: say so and succeed, building nothing

example: lab/image/build.sh --kernel .cache/kernel --out build/dev/lab/image \
           --program build/dev/bin/railhead-lab-guest
TEXT
}

without=4 # exit code when the environment lacks something
lacks() {
  echo "lab image: $1 (remedy: $2)" >&2
  exit "$without"
}

wrong_usage() {
  echo "lab image: $1" >&2
  usage >&2
  exit 2
}

kernel_cache='' runtime_cache='' out='' programs=()
while [ $# -gt 0 ]; do
  case $1 in
    --kernel | --runtime | --out | --program) [ $# -ge 2 ] && [ -n "$2" ] || wrong_usage "$1 needs a value" ;;&
    --kernel) kernel_cache=$2; shift ;;
    --runtime) runtime_cache=$2; shift ;;
    --out) out=$2; shift ;;
    --program) programs+=("$2"); shift ;;
    --optional) without=0 ;;
    -h | --help) usage; exit 0 ;;
    *) wrong_usage "unknown argument '$1'" ;;
  esac
  shift
done
[ -n "$kernel_cache" ] || wrong_usage "--kernel is missing"
[ -n "$out" ] || wrong_usage "--out is missing"

guest='' pause=''
for entry in "${programs[@]}"; do
  file=${entry%%:*}
  [ -f "$file" ] && [ -x "$file" ] || wrong_usage "--program '$file' is no executable file"
  case $(basename "$file") in
    railhead-lab-guest) guest=$file ;;
    railhead-lab-pause) pause=$file ;;
  esac
done
[ -n "$guest" ] || wrong_usage "--program .../railhead-lab-guest is missing: it is the image's PID 1"

kernel=$kernel_cache/current
[ -s "$kernel/vmlinuz" ] && [ -f "$kernel/modules/modules.dep" ] && [ -s "$kernel/release" ] ||
  lacks "no kernel in '$kernel_cache'" "lab/image/fetch-kernel.sh $kernel_cache"
release=$(cat "$kernel/release")

runtime=$runtime_cache/current
[ -s "$runtime/versions" ] && [ -n "$pause" ] || runtime=''

# Tools of the image: name, package that brings it; '-' in front: left out when it is not installed.
tools='dash dash
ip iproute2
rdma iproute2
tc iproute2
bridge iproute2
nice coreutils
ib_write_bw perftest
ib_write_lat perftest
ib_send_bw perftest
strace strace
-ibv_devinfo ibverbs-utils
ping iputils-ping
-ibv_rc_pingpong ibverbs-utils
-ethtool ethtool
-nft nftables
-iptables iptables'
while read -r program package; do
  case $program in -*) continue ;; esac
  command -v "$program" >/dev/null || lacks "the program '$program' is missing" "apt-get install $package"
done <<<"$tools"
while read -r program package; do
  command -v "$program" >/dev/null || lacks "the program '$program' is missing" "apt-get install $package"
done <<'TEXT'
mkfs.erofs erofs-utils
cpio cpio
xz xz-utils
zstd zstd
depmod kmod
strip binutils
readelf binutils
ldd libc-bin
ldconfig libc-bin
TEXT
busybox=$(command -v busybox || true)
[ -n "$busybox" ] && ! ldd "$busybox" >/dev/null 2>&1 ||
  lacks "no static busybox" "apt-get install busybox-static"

# --- what is there already ---
# Our own files by content; the system's packages, which are many, by size and date.
system_files() {
  local program
  while read -r program _; do command -v "${program#-}" || true; done <<<"$tools"
  echo "$busybox"
  ls -d /usr/lib/*/libibverbs/*.so 2>/dev/null || true
  [ -z "$runtime" ] || ls -d "$runtime"/*/*
}
base_inputs=$(
  {
    cat "$here"/*.sh "$here/modules.list" "$here"/etc/{passwd,group,nsswitch.conf,os-release,containerd/config.toml}
    echo "$release"
    stat -L -c '%s %Y' "$kernel/vmlinuz"
    mapfile -t files < <(system_files)
    { ldd "${files[@]}" 2>/dev/null || true; } | sed -n -E 's/.* (\/[^ ]+) \(0x.*/\1/p' | sort -u |
      xargs stat -L -c '%n %s %Y' "${files[@]}"
  } | sha256sum | cut -d ' ' -f 1
)
inputs=$(
  {
    echo "$base_inputs"
    for entry in "${programs[@]}"; do echo "${entry#*:}"; cat "${entry%%:*}"; done
  } | sha256sum | cut -d ' ' -f 1
)
if [ -s "$out/image.json" ] && grep -q "\"inputs\": \"$inputs\"" "$out/image.json"; then
  touch "$out/image.json"
  exit 0
fi

mkdir -p "$out"
out=$(cd "$out" && pwd)
exec 9>"$out/.lock"
flock -w 300 9 || lacks "another build holds $out/.lock" "wait for it to end"
work=$(mktemp -d "$out/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
rm -f "$out/image.json"

# --- the base: tools, kernel, modules; kept, for it seldom changes ---
base=$out/base
if [ "$(cat "$base/inputs" 2>/dev/null)" != "$base_inputs" ]; then
  rm -rf "$base"
  mkdir "$work/base"
  base=$work/base
  . "$here/base.sh"
  echo "$base_inputs" >"$base/inputs"
  mv "$base" "$out/base"
  base=$out/base
fi

# --- our programs on top ---
root=$work/root
early=$work/initramfs
cp -al "$base/root" "$root"
cp -al "$base/initramfs" "$early"
for entry in "${programs[@]}"; do
  file=${entry%%:*}
  [ "$file" != "$guest" ] && [ "$file" != "$pause" ] || continue
  folder=/usr/bin
  case $entry in *:*) folder=${entry#*:} ;; esac
  rm -f "$root$folder/$(basename "$file")"
  put_program "$file" "$root" "$folder" || lacks "cannot take '$file'" "install the library it names"
done
if [ -n "$runtime" ]; then
  cp "$pause" "$work/pause"
  strip --strip-all "$work/pause"
  pod_image "$work/pause" "$root/usr/share/railhead-lab/node.oci.tar" "$work/image"
fi
rm -f "$root/etc/ld.so.cache"
ldconfig -r "$root" 2>/dev/null || true
rm -rf "$root/var/cache" "$root/etc/ld.so.cache~"
cp "$guest" "$early/init"
strip --strip-all "$early/init"
chmod 755 "$early/init"

# --- the files ---
find "$early" "$root" -exec touch -h -d @0 {} +
(cd "$early" && find . | sort | cpio --quiet --reproducible -R 0:0 -o -H newc) >"$work/initramfs.cpio"
mkfs.erofs --quiet -T0 -U 00000000-0000-0000-0000-000000000000 --all-root "$work/root.erofs" "$root" \
  >"$work/mkfs.log" 2>&1 || { cat "$work/mkfs.log" >&2; lacks "mkfs.erofs failed" "see the lines above"; }
mv "$work/initramfs.cpio" "$work/root.erofs" "$out/"
ln -sf base/kernel "$out/kernel"
size() { stat -L -c %s "$out/$1"; }
names=$(for entry in "${programs[@]}"; do printf '"%s", ' "$(basename "${entry%%:*}")"; done)
cat >"$work/image.json" <<TEXT
{
  "kernel": "$release",
  "direct_start": $(cat "$base/direct_start"),
  "bytes": {"kernel": $(size kernel), "initramfs.cpio": $(size initramfs.cpio), "root.erofs": $(size root.erofs)},
  "programs": [${names%, }],
  "container_runtime": "$([ -z "$runtime" ] || paste -sd ',' "$runtime/versions")",
  "inputs": "$inputs"
}
TEXT
mv "$work/image.json" "$out/image.json"
