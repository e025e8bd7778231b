#!/usr/bin/env bash
# Makes a folder that holds what Railhead is compiled and tested with for arm64: the libraries and headers of
# packages.txt, from the machine's own mirrors. Nothing of the system is touched: no foreign architecture, no change
# to its sources, no package installed; any user may run it.
#
# FOLDER/root is the sysroot, with a dpkg database of its own (dpkg-query --admindir FOLDER/root/var/lib/dpkg), so
# that a file's package can be asked for.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=sysroot
. "$here/../private_apt.sh"

usage() {
  cat <<'TEXT'
usage: sysroot.sh [--refresh] [--sources DIR] [--os-release FILE] [--packages FILE] FOLDER

Fills FOLDER/root with the arm64 libraries and headers that packages.txt names; at once when they are there.
  --refresh           fetch them again: the mirror may have newer ones
  --sources DIR       read the mirrors' addresses below DIR instead of /etc/apt
  --os-release FILE   read the distribution's name from FILE instead of /etc/os-release
  --packages FILE     read this list instead of packages.txt

example: cmake/toolchains/sysroot.sh .cache/sysroot-arm64
TEXT
}
list=$here/../../packages.txt
read_options FOLDER --packages=list -- "$@"
[ -r "$list" ] || wrong_usage "--packages '$list' cannot be read"

# The libraries and headers of the list; its programs are the building machine's. The RDMA providers are loaded at
# run time.
mapfile -t names < <(awk '!/^#/ && ($1 ~ /-dev$/ && $2 ~ /^(build|test)$/ || $1 == "ibverbs-providers") { print $1 }' "$list")
read_distribution "$os_release"
wanted="$distribution $codename ${names[*]}"
have() { [ "$refresh" = 0 ] && [ "$(cat "$folder/complete" 2>/dev/null)" = "$wanted" ]; }
! have || exit 0

need_programs apt-get apt-config dpkg-deb awk sed tar flock
hold_folder
! have || exit 0

# The suites this system is made of, security fixes included, but no newer one. Ubuntu keeps arm64 elsewhere.
sources=$(read_sources "$sources_root" | awk -F '\t' -v OFS='\t' -v c="$codename" -v d="$distribution" '
  $2 == c || $2 == c "-updates" || $2 == c "-security" {
    if (d == "ubuntu") sub(/:\/\/[^\/]*(archive|security)\.ubuntu\.com\/ubuntu/, "://ports.ubuntu.com/ubuntu-ports", $1)
    if (!seen[$1, $2]++) print
  }')
[ -n "$sources" ] || lacks "no mirror of '$codename' with component 'main' in $sources_root" \
  "add the distribution's own mirror to $sources_root/sources.list.d"
private=$folder/apt
private_apt "$private" arm64 <<<"$sources"

failed() { # LOG: what apt said
  grep -E '^(E|Err)' "$1" | head -1 || true
}
echo "sysroot: reading the arm64 package lists" >&2
apt-get -q update >"$folder/update.log" 2>&1 ||
  lacks "apt-get update failed: $(failed "$folder/update.log")" "check the network and the mirror"
echo "sysroot: fetching ${#names[@]} packages and what they need" >&2
apt-get -q install -y --no-install-recommends --download-only "${names[@]}" >"$folder/download.log" 2>&1 ||
  lacks "the arm64 packages could not be fetched: $(failed "$folder/download.log")" "see $folder/download.log"

root=$folder/new
rm -rf "$root"
mkdir -p "$root"/usr/{bin,sbin,lib} "$root/var/lib/dpkg/info"
for name in bin sbin lib; do ln -s "usr/$name" "$root/$name"; done
echo 1 >"$root/var/lib/dpkg/info/format"
for package in "$private"/cache/archives/*.deb; do
  name=$(dpkg-deb -f "$package" Package)
  suffix=''
  [ "$(dpkg-deb -f "$package" Multi-Arch)" != same ] || suffix=:arm64
  dpkg-deb --fsys-tarfile "$package" |
    tar -x -v --keep-directory-symlink --no-same-owner -C "$root" --exclude './usr/share/man' \
      --exclude './usr/share/locale' --exclude './dev' --exclude './usr/lib/debug' |
    sed -E 's/^\.\/*/\//; s/(.)\/$/\1/; s/^\/$/\/./' >"$root/var/lib/dpkg/info/$name$suffix.list"
  {
    echo "Package: $name"
    echo "Status: install ok installed"
    dpkg-deb -f "$package" Maintainer Architecture Source Version Multi-Arch Description
    echo
  } >>"$root/var/lib/dpkg/status"
done
# Where a link names a place of the target machine, it means one below the sysroot.
find "$root" -type l -lname '/*' -printf '%p %l\n' | while read -r link target; do
  [ ! -e "$root$target" ] || ln -sfnr "$root$target" "$link"
done
rm -rf "$folder/root"
mv "$root" "$folder/root"
rm -rf "$private"
echo "$wanted" >"$folder/complete"
echo "sysroot: arm64 of $codename is in $folder/root" >&2
