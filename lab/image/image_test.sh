#!/bin/bash
# Tests of fetch-kernel.sh and build.sh against a package mirror made here: no network, no root.
set -uo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
failures=0

# expect NAME CODE TEXT COMMAND...: the exit code, and TEXT somewhere in what it printed.
expect() {
  local name=$1 code=$2 text=$3 output got
  shift 3
  output=$("$@" 2>&1)
  got=$?
  if [ "$got" != "$code" ]; then
    echo "FAILED $name: exit $got instead of $code: $output"
  elif [[ $output != *"$text"* ]]; then
    echo "FAILED $name: no '$text' in: $output"
  elif [ "$code" = 4 ] && { [[ $output != *"remedy: "* ]] || [ "$(grep -c . <<<"$output")" -gt 2 ]; }; then
    echo "FAILED $name: not one clear line with its remedy: $output"
  else
    echo "ok     $name"
    return 0
  fi
  failures=$((failures + 1))
}

# --- a mirror ---
# package SUITE NAME DEPENDS FILE...: a package with files of those paths.
package() {
  local suite=$1 name=$2 depends=$3 tree=$temporary/package path pool=$temporary/mirror/pool
  shift 3
  rm -rf "$tree" && mkdir -p "$tree/DEBIAN" "$pool" "$temporary/mirror/dists/$suite/main/binary-amd64"
  printf 'Package: %s\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody\nDescription: test\n' "$name" \
    >"$tree/DEBIAN/control"
  [ -z "$depends" ] || echo "Depends: $depends" >>"$tree/DEBIAN/control"
  for path in "$@"; do
    mkdir -p "$tree/$(dirname "$path")"
    echo "$name $path" >"$tree/$path"
  done
  dpkg-deb --root-owner-group -Zgzip -b "$tree" "$pool/$name.deb" >/dev/null || exit 1
  {
    dpkg-deb -f "$pool/$name.deb"
    echo "Filename: pool/$name.deb"
    echo "Size: $(stat -c %s "$pool/$name.deb")"
    echo "SHA256: $(sha256sum "$pool/$name.deb" | cut -d ' ' -f 1)"
    echo
  } >>"$temporary/mirror/dists/$suite/main/binary-amd64/Packages"
}
# Writes the Release file of every suite.
publish() {
  local suite packages
  for suite in "$temporary"/mirror/dists/*; do
    packages=$suite/main/binary-amd64/Packages
    {
      printf 'Suite: %s\nComponents: main\nArchitectures: amd64\nSHA256:\n' "$(basename "$suite")"
      echo " $(sha256sum "$packages" | cut -d ' ' -f 1) $(stat -c %s "$packages") main/binary-amd64/Packages"
    } >"$suite/Release"
  done
}
# old_layout SUITE VERSION: everything in linux-image, as up to Debian 13.
old_layout() {
  package "$1" "linux-image-$2" "kmod" "boot/vmlinuz-$2" "lib/modules/$2/modules.builtin" \
    "lib/modules/$2/modules.order"
}
# split_layout SUITE VERSION: kernel and modules in packages of their own.
split_layout() {
  package "$1" "linux-image-$2" "kmod, linux-base-$2 (= 1), linux-binary-$2 (= 1), linux-modules-$2 (= 1)"
  package "$1" "linux-base-$2" "" "usr/share/doc/linux-base-$2"
  package "$1" "linux-binary-$2" "linux-base-$2" "usr/lib/modules/$2/vmlinuz"
  package "$1" "linux-modules-$2" "" "usr/lib/modules/$2/modules.builtin" "usr/lib/modules/$2/modules.order"
}

mkdir -p "$temporary"/{mirror,none,list/sources.list.d,deb822/sources.list.d,disabled/sources.list.d}
echo "deb [arch=amd64 trusted=yes] copy:$temporary/mirror bookworm main contrib" >"$temporary/list/sources.list"
cat >"$temporary/deb822/sources.list.d/debian.sources" <<TEXT
# the mirror
Types: deb deb-src
URIs: copy:$temporary/absent-security
Suites: bookworm-security
Components: main

Types: deb
URIs: copy:$temporary/mirror
Suites: bookworm bookworm-updates
Components: main contrib
Trusted: yes
TEXT
sed 's/^Types: deb$/Enabled: no\nTypes: deb/; s/^Types: deb deb-src/Types: deb-src/' \
  "$temporary/deb822/sources.list.d/debian.sources" >"$temporary/disabled/sources.list.d/debian.sources"
printf 'ID=debian\nVERSION_CODENAME=bookworm\n' >"$temporary/debian"
printf 'ID=ubuntu\nVERSION_CODENAME=noble\n' >"$temporary/ubuntu"

fetch() { "$here/fetch-kernel.sh" --os-release "$temporary/debian" "$@"; }
# without_tools NAME: a folder with the programs that the scripts use, except NAME.
without_tools() {
  local folder=$temporary/tools-without-$1 name
  mkdir -p "$folder"
  for name in bash env uname mkdir sed awk grep sort head tail cut cat stat tr od sha256sum basename dirname \
    apt-get apt-cache apt-config dpkg dpkg-deb flock depmod mkfs.erofs cpio xz zstd strip readelf ldd ldconfig \
    busybox dash ip rdma tc bridge nice ib_write_bw ib_write_lat ib_send_bw strace ping ls xargs; do
    [ "$name" = "$1" ] || ln -sf "$(PATH=$PATH:/usr/sbin:/sbin command -v "$name")" "$folder/$name"
  done
  echo "$folder"
}

# --- fetch-kernel.sh: usage and environment ---
expect "fetch: no folder" 2 "CACHE_DIR is missing" fetch
expect "fetch: unknown option" 2 "unknown option '--pin'" fetch --pin 7.1 "$temporary/cache"
expect "fetch: two folders" 2 "'b' is a second" fetch a b
expect "fetch: option without value" 2 "--sources needs a value" fetch --sources
expect "fetch: help" 0 "example: " "$here/fetch-kernel.sh" --help
expect "fetch: no source" 4 "no package mirror with component 'main'" fetch --sources "$temporary/none" "$temporary/c0"
expect "fetch: source switched off" 4 "no package mirror" fetch --sources "$temporary/disabled" "$temporary/c0"
expect "fetch: cannot write" 4 "cannot create" fetch --sources "$temporary/list" /proc/none/cache
expect "fetch: no apt" 4 "the program 'apt-get' is missing" \
  env PATH="$(without_tools apt-get)" bash "$here/fetch-kernel.sh" "$temporary/c0"

# --- fetch-kernel.sh: choice ---
old_layout bookworm 6.1.0-40-amd64
old_layout bookworm-backports 6.12.9+deb12-amd64
publish
expect "fetch: all too old" 4 "no kernel >= 7 at copy:$temporary/mirror" \
  fetch --sources "$temporary/list" "$temporary/c1"
old_layout bookworm-backports 7.0.2+deb12-amd64
split_layout trixie-backports 7.9.1+deb13-amd64
split_layout trixie-backports 7.10.0+deb13-amd64
split_layout trixie-backports 7.11.0+deb13-cloud-amd64
split_layout trixie-backports 7.11.0+deb13-rt-amd64
package trixie-backports linux-image-7.12.0+deb13-amd64-dbg "" usr/lib/debug/vmlinux
publish
for form in list deb822; do
  expect "fetch: newest of all suites ($form)" 0 "Linux 7.10.0+deb13-amd64 is in" \
    fetch --sources "$temporary/$form" "$temporary/c-$form"
  expect "fetch: kernel is there ($form)" 0 "linux-binary-7.10.0+deb13-amd64 " cat "$temporary/c-$form/current/vmlinuz"
  expect "fetch: release is there ($form)" 0 "7.10.0+deb13-amd64" cat "$temporary/c-$form/current/release"
  expect "fetch: second run needs no mirror ($form)" 0 "" fetch --sources "$temporary/none" "$temporary/c-$form"
done
rm "$temporary/mirror/pool/linux-modules-7.10.0+deb13-amd64.deb"
expect "fetch: the next when one cannot be had" 0 "Linux 7.9.1+deb13-amd64 is in" \
  fetch --sources "$temporary/list" "$temporary/c2"
rm "$temporary"/mirror/pool/linux-modules-*.deb
expect "fetch: everything in one package" 0 "Linux 7.0.2+deb12-amd64 is in" \
  fetch --sources "$temporary/list" "$temporary/c3"
rm "$temporary"/mirror/pool/*.deb
expect "fetch: none can be had" 4 "no kernel >= 7 could be fetched" \
  bash -c "'$here/fetch-kernel.sh' --os-release '$temporary/debian' --sources '$temporary/list' '$temporary/c4' 2>&1 | tail -1; exit \${PIPESTATUS[0]}"
expect "fetch: a failure leaves no half kernel" 1 "" test -e "$temporary/c4/current"

rm -rf "$temporary/mirror" && mkdir "$temporary/mirror"
package devel linux-image-unsigned-7.4.0-9-generic "linux-modules-7.4.0-9-generic" boot/vmlinuz-7.4.0-9-generic
package devel linux-modules-7.4.0-9-generic "" lib/modules/7.4.0-9-generic/modules.builtin \
  lib/modules/7.4.0-9-generic/modules.order
package devel linux-modules-extra-7.4.0-9-generic "" lib/modules/7.4.0-9-generic/kernel/extra.txt
publish
sed -i 's/bookworm/noble/' "$temporary/list/sources.list"
expect "fetch: Ubuntu's package names" 0 "Linux 7.4.0-9-generic is in" \
  "$here/fetch-kernel.sh" --os-release "$temporary/ubuntu" --sources "$temporary/list" "$temporary/c5"
expect "fetch: Ubuntu's extra modules too" 0 "" test -s "$temporary/c5/current/modules/kernel/extra.txt"

# --- fetch-runtime.sh ---
runtime() { "$here/fetch-runtime.sh" --os-release "$temporary/ubuntu" --sources "$temporary/list" "$@"; }
expect "runtime: no folder" 2 "CACHE_DIR is missing" runtime
expect "runtime: unknown option" 2 "unknown option '--pin'" runtime --pin 1 "$temporary/r"
expect "runtime: help" 0 "example: " "$here/fetch-runtime.sh" --help
expect "runtime: no source" 4 "no package mirror" "$here/fetch-runtime.sh" --sources "$temporary/none" "$temporary/r"
expect "runtime: a mirror without it" 4 "no containerd at copy:$temporary/mirror" runtime "$temporary/r"
mkdir -p "$temporary/r/current/cni" && echo "containerd 1" >"$temporary/r/current/versions"
expect "runtime: fewer plugins than today's" 4 "no package mirror" \
  "$here/fetch-runtime.sh" --sources "$temporary/none" "$temporary/r"
for plugin in $(sed -n "s/^readonly PLUGINS='\(.*\)'/\1/p" "$here/fetch-runtime.sh"); do touch "$temporary/r/current/cni/$plugin"; done
expect "runtime: there already" 0 "" "$here/fetch-runtime.sh" --sources "$temporary/none" "$temporary/r"

# --- build.sh: usage and environment ---
build() { "$here/build.sh" "$@"; }
mkdir "$temporary/programs"
printf '#!/bin/sh\n' >"$temporary/programs/railhead-lab-guest"
chmod +x "$temporary/programs/railhead-lab-guest"
cp "$temporary/programs/railhead-lab-guest" "$temporary/programs/other"
guest=$temporary/programs/railhead-lab-guest
expect "build: no kernel named" 2 "--kernel is missing" build --out "$temporary/o"
expect "build: no output" 2 "--out is missing" build --kernel "$temporary/c5"
expect "build: no PID 1" 2 "railhead-lab-guest is missing" \
  build --kernel "$temporary/c5" --out "$temporary/o" --program "$temporary/programs/other"
expect "build: no such program" 2 "no executable file" \
  build --kernel "$temporary/c5" --out "$temporary/o" --program "$temporary/programs/absent"
expect "build: unknown argument" 2 "unknown argument '-x'" build -x
expect "build: value missing" 2 "--out needs a value" build --out
expect "build: no kernel there" 4 "fetch-kernel.sh $temporary/none" \
  build --kernel "$temporary/none" --out "$temporary/o" --program "$guest"
expect "build: no kernel there, optional" 0 "no kernel in" \
  build --optional --kernel "$temporary/none" --out "$temporary/o" --program "$guest"
expect "build: nothing was made" 1 "" test -e "$temporary/o/image.json"
expect "build: a kernel without our modules" 4 "has no module 'virtio_pci'" \
  build --kernel "$temporary/c5" --out "$temporary/o" --program "$guest"

# --- the functions underneath ---
. "$here/modules.sh"
. "$here/tree.sh"
mkdir "$temporary/modules"
echo "kernel/drivers/virtio/virtio_pci.ko" >"$temporary/modules/modules.builtin"
cat >"$temporary/modules/modules.dep" <<'TEXT'
kernel/net/igb.ko.xz: kernel/dca.ko.xz kernel/algo-bit.ko.xz
kernel/dca.ko.xz:
kernel/net/big-igb.ko.xz:
TEXT
expect "modules: what it needs comes first" 0 $'kernel/algo-bit.ko.xz\nkernel/dca.ko.xz\nkernel/net/igb.ko.xz' \
  module_chain "$temporary/modules" igb
expect "modules: '-' and '_' are one" 0 "big-igb" module_chain "$temporary/modules" big_igb
expect "modules: built in" 0 "" module_chain "$temporary/modules" virtio_pci
expect "modules: absent" 1 "" module_chain "$temporary/modules" mlx5_core
head -c 2000 /dev/zero >"$temporary/zeros"
expect "kernel: no bzImage" 1 "" plain_kernel "$temporary/zeros" "$temporary/plain"
. "$here/oci.sh"
pod_image "$(type -P true)" "$temporary/one.tar" "$temporary/oci1"
pod_image "$(type -P true)" "$temporary/two.tar" "$temporary/oci2"
expect "pod image: the same input, the same bytes" 0 "" cmp "$temporary/one.tar" "$temporary/two.tar"
expect "pod image: named for the runtime" 0 "lab.railhead/node:1" tar -xOf "$temporary/one.tar" index.json
expect "tree: merged /usr" 0 "/usr/lib64/ld.so" merged_path /lib64/ld.so
expect "tree: libraries follow their program" 0 "" put_program "$(command -v dash)" "$temporary/tree" /usr/bin
expect "tree: the C library is there" 0 "" bash -c "ls '$temporary'/tree/usr/lib/*/libc.so.6"

[ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
