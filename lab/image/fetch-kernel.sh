#!/bin/bash
# Fetches the newest Debian (or Ubuntu) kernel >= 7 into a cache folder and unpacks it there.
#
# Soft-RoCE works inside a pod's network namespace from Linux 7 on; no released Debian carries one,
# so it comes from the suites behind the machine's own mirror. Nothing of the system is touched: apt
# runs with folders of its own below CACHE_DIR, as any user, and no package is installed.
#
# Afterwards CACHE_DIR/current -> the kernel's folder, which holds
#   vmlinuz      the kernel, as packaged
#   modules/     its modules.dep, modules.builtin and *.ko*
#   release      one line: what `uname -r` will say
set -euo pipefail
export LC_ALL=C

program=fetch-kernel
. "$(dirname "${BASH_SOURCE[0]}")/../../cmake/private_apt.sh"

readonly MINIMUM_MAJOR=7
readonly MAX_CANDIDATES=3

usage() {
  cat <<'TEXT'
usage: fetch-kernel.sh [--refresh] [--sources DIR] [--os-release FILE] CACHE_DIR

Puts the newest kernel >= 7 of the machine's own package mirror into CACHE_DIR.
  --refresh           look for a newer kernel although one is there already
  --sources DIR       read the mirror's address below DIR instead of /etc/apt
  --os-release FILE   read the distribution's name from FILE instead of /etc/os-release

example: lab/image/fetch-kernel.sh .cache/kernel
TEXT
}

read_options CACHE_DIR -- "$@"

complete() {
  [ -s "$1/vmlinuz" ] && [ -f "$1/modules/modules.dep" ] && [ -s "$1/release" ]
}

if [ "$refresh" = 0 ] && complete "$folder/current"; then
  exit 0
fi

[ "$(uname -m)" = x86_64 ] || lacks "the emulated nodes are x86-64 and this machine is $(uname -m)" \
  "build and run the lab on an x86-64 machine"
need_programs apt-get apt-cache apt-config dpkg dpkg-deb awk sort sed grep flock

PATH=$PATH:/usr/sbin:/sbin
command -v depmod >/dev/null || lacks "the program 'depmod' is missing" "apt-get install kmod"

hold_folder
if [ "$refresh" = 0 ] && complete "$folder/current"; then
  exit 0
fi

read_distribution "$os_release"

choose_mirror

# Suites that may hold a new enough kernel. Those that the mirror lacks drop out by themselves.
candidate_suites() {
  echo "$codename"
  if [ "$distribution" = ubuntu ]; then
    echo "$codename-updates"; echo devel; echo devel-proposed
  else
    # Names beside aliases: a caching mirror may serve an alias from an older day.
    local release
    for release in bookworm trixie forky duke; do echo "$release-backports"; done
    [ -z "$codename" ] || echo "$codename-backports"
    echo stable-backports; echo unstable
  fi
}

private=$folder/apt
suites=$(candidate_suites | grep -v '^$' | sort -u | tr '\n' ' ')
private_apt "$private" amd64 <<<"$mirror_uri"$'\t'"$suites"$'\t'"$(cut -f 3- <<<"$mirror")"

echo "fetch-kernel: reading the package lists of $mirror_uri" >&2
apt-get -q update >"$private/update.log" 2>&1 || true

# Versions, newest first: "7.3.4+deb13-amd64" of Debian, "7.0.0-12-generic" of Ubuntu.
if [ "$distribution" = ubuntu ]; then flavour=generic; else flavour=amd64; fi
versions=$(apt-cache pkgnames linux-image- |
  sed -n -E "s/^linux-image-(unsigned-)?([0-9]+\.[0-9]+[^ ]*-$flavour)$/\2/p" |
  grep -v -E -- "-(cloud|rt)-$flavour$" | sort -u -V -r |
  awk -F . -v least="$MINIMUM_MAJOR" -v most="$MAX_CANDIDATES" '$1 >= least && n++ < most')
if [ -z "$versions" ]; then
  cause=$(grep -E '^(E|Err)' "$private/update.log" | head -1 || true)
  lacks "no kernel >= $MINIMUM_MAJOR at $mirror_uri${cause:+; apt says: $cause}" \
    "check the network, or use a mirror that carries ${distribution}'s newer suites"
fi

# The packages that make up one kernel: the image and what it depends on of the same version.
packages_of() {
  local version=$1 image name
  for image in "linux-image-$version" "linux-image-unsigned-$version"; do
    apt-cache show --no-all-versions "$image" >"$private/show" 2>/dev/null || continue
    [ -s "$private/show" ] || continue
    echo "$image"
    sed -n -E 's/^(Pre-)?Depends: //p' "$private/show" | tr ',|' '\n\n' | awk '{ print $1 }' |
      grep -F -- "$version" | sort -u
    break
  done
  for name in "linux-modules-$version" "linux-modules-extra-$version"; do
    [ -z "$(apt-cache show --no-all-versions "$name" 2>/dev/null)" ] || echo "$name"
  done
  return 0
}

unpack() {
  local version=$1 target=$folder/$1 staging=$private/staging names package
  mapfile -t names < <(packages_of "$version" | sort -u)
  echo "fetch-kernel: Linux $version: ${names[*]}" >&2
  (cd "$private/deb" && rm -f ./*.deb && apt-get -q download "${names[@]}") \
    >"$private/download.log" 2>&1 || return 1
  rm -rf "$staging" && mkdir -p "$staging/tree"
  for package in "$private"/deb/*.deb; do
    dpkg -x "$package" "$staging/tree" || return 1
    rm -f "$package"
  done
  local modules
  modules=$(find "$staging/tree" -type d -path "*/lib/modules/$version" | head -1)
  [ -n "$modules" ] && [ -s "$modules/modules.builtin" ] || return 1
  local image
  image=$(find "$staging/tree" -type f -name 'vmlinuz*' | head -1)
  [ -n "$image" ] || return 1
  mkdir "$staging/kernel"
  mv "$image" "$staging/kernel/vmlinuz"
  mv "$modules" "$staging/kernel/modules"
  echo "$version" >"$staging/kernel/release"
  if [ ! -f "$staging/kernel/modules/modules.dep" ]; then
    make_dependencies "$staging/kernel/modules" "$version" || return 1
  fi
  chmod -R u+w,a+rX "$staging/kernel"
  rm -rf "$target" && mv "$staging/kernel" "$target"
  rm -rf "$staging"
  ln -sfn "$version" "$folder/current"
}

# Packages carry no modules.dep: depmod writes it on installation.
make_dependencies() {
  local modules=$1 version=$2 root=$private/depmod
  rm -rf "$root" && mkdir -p "$root/lib/modules"
  ln -s "$modules" "$root/lib/modules/$version"
  depmod -b "$root" "$version" && rm -rf "$root"
}

for version in $versions; do
  if complete "$folder/$version"; then
    ln -sfn "$version" "$folder/current"
    rm -rf "$private"
    exit 0
  fi
  if unpack "$version"; then
    rm -rf "$private"
    echo "fetch-kernel: Linux $version is in $folder/$version" >&2
    exit 0
  fi
  echo "fetch-kernel: $version could not be fetched: $(grep -E '^(E|Err)' "$private/download.log" |
    head -1)" >&2
done
lacks "no kernel >= $MINIMUM_MAJOR could be fetched from $mirror_uri" \
  "check the network and the space below $folder, then run it again"
