#!/bin/bash
# Fetches containerd, runc and the reference CNI plugins for the lab's nodes into a cache folder, the
# newest of each that the machine's own package mirror has in any suite and that runs with this
# machine's C library, which is the nodes' one too. Nothing is installed: a container runtime on the
# machine itself would be in the way of the one that it may have.
#
# Afterwards CACHE_DIR/current holds
#   bin/         containerd containerd-shim-runc-v2 ctr runc
#   cni/         bridge host-device host-local loopback macvlan tuning
#   versions     "PACKAGE VERSION", one a line
set -euo pipefail
export LC_ALL=C

program=fetch-runtime
. "$(dirname "${BASH_SOURCE[0]}")/../../cmake/private_apt.sh"

# What a runtime hands the pods' annotations to its CNI plugins by; older ones do not know it.
readonly CAPABILITY=io.kubernetes.cri.pod-annotations
readonly PLUGINS='bridge host-device host-local loopback macvlan tuning'

usage() {
  cat <<'TEXT'
usage: fetch-runtime.sh [--refresh] [--sources DIR] [--os-release FILE] CACHE_DIR

Puts containerd, runc and CNI plugins of the machine's own package mirror into CACHE_DIR.
  --refresh           look for newer ones although some are there already
  --sources DIR       read the mirror's address below DIR instead of /etc/apt
  --os-release FILE   read the distribution's name from FILE instead of /etc/os-release

example: lab/image/fetch-runtime.sh .cache/runtime
TEXT
}

read_options CACHE_DIR -- "$@"
# An older script may have fetched fewer.
complete() {
  [ "$refresh" = 0 ] && [ -s "$folder/current/versions" ] || return 1
  for plugin in $PLUGINS; do [ -f "$folder/current/cni/$plugin" ] || return 1; done
}
! complete || exit 0

[ "$(uname -m)" = x86_64 ] || lacks "the emulated nodes are x86-64 and this machine is $(uname -m)" \
  "build and run the lab on an x86-64 machine"
need_programs apt-get apt-cache apt-config dpkg awk sort sed grep flock ldd
hold_folder
! complete || exit 0

read_distribution "$os_release"
choose_mirror

candidate_suites() {
  echo "$codename"
  if [ "$distribution" = ubuntu ]; then
    echo "$codename-updates"; echo devel
  else
    local release
    for release in trixie forky duke; do echo "$release"; done
    [ -z "$codename" ] || echo "$codename-backports"
    echo unstable
  fi
}
private=$folder/apt
suites=$(candidate_suites | grep -v '^$' | sort -u | tr '\n' ' ')
private_apt "$private" amd64 <<<"$mirror_uri"$'\t'"$suites"$'\t'"$(cut -f 3- <<<"$mirror")"
# Ubuntu keeps the CNI plugins there.
[ "$distribution" != ubuntu ] || sed -i 's/^Components: main$/Components: main universe/' "$private/mirror.sources"
echo "fetch-runtime: reading the package lists of $mirror_uri" >&2
apt-get -q update >"$private/update.log" 2>&1 || true

new=$private/new
mkdir -p "$new/bin" "$new/cni"

# runs FILE: it finds its libraries on this machine, in versions that it can use.
runs() { [ -f "$1" ] && ! ldd "$1" 2>&1 | grep -q 'not found'; }

# take PACKAGE FOLDER PATH...: the programs at PATH of its newest version that runs here.
take() {
  local package=$1 folder=$2 version path tree=$private/tree usable
  shift 2
  # `sort -u` would lose the order; apt names a version once for each suite that has it.
  for version in $(apt-cache madison "$package" | awk '{ print $3 }' | awk '!seen[$0]++'); do
    rm -rf "$tree"
    (cd "$private/deb" && rm -f ./*.deb && apt-get -q download "$package=$version") \
      >"$private/download.log" 2>&1 || continue
    dpkg -x "$private"/deb/*.deb "$tree" || continue
    usable=1
    for path in "$@"; do runs "$tree$path" || usable=0; done
    [ "$package" != containerd ] || grep -q -a -F "$CAPABILITY" "$tree/usr/bin/containerd" || usable=0
    [ "$usable" = 1 ] || continue
    for path in "$@"; do cp "$tree$path" "$new/$folder/"; done
    echo "$package $version" >>"$new/versions"
    return 0
  done
  local cause
  cause=$(grep -h -E '^(E|Err)' "$private/update.log" "$private/download.log" 2>/dev/null | head -1 || true)
  lacks "no $package at $mirror_uri that runs on this machine${cause:+; apt says: $cause}" \
    "check the network, or use a mirror that carries the whole distribution"
}

take containerd bin /usr/bin/containerd /usr/bin/containerd-shim-runc-v2 /usr/bin/ctr
take runc bin /usr/sbin/runc
take containernetworking-plugins cni $(printf '/usr/lib/cni/%s ' $PLUGINS)

rm -rf "$folder/current"
mv "$new" "$folder/current"
rm -rf "$private"
echo "fetch-runtime: $(paste -sd ',' "$folder/current/versions" | sed 's/,/, /g') in $folder/current" >&2
