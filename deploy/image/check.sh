#!/usr/bin/env bash
# Opens an image as a runtime would and holds it against what a node relies on. Prints each thing that does not hold
# and exits 3. Needs no registry and no root; programs of another architecture are started where qemu-user is there.
set -euo pipefail
export LC_ALL=C

usage() {
  cat <<'TEXT'
usage: check.sh [--at-most MIB] LAYOUT

Checks every image of an OCI layout: its platform and entrypoint; owners and modes; that programs are stripped and of
the right architecture, and every library that any of them needs is inside; the static shim; the licences; the
compressed size (at most 40 MiB unless told). Then starts the programs with the image's own loader and libraries.

example: deploy/image/check.sh build/image/oci
TEXT
}
wrong_usage() {
  echo "image check: $1" >&2
  usage >&2
  exit 2
}
lacks() {
  echo "image check: $1 (remedy: $2)" >&2
  exit 4
}
at_most=40 layout=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --at-most) [[ ${2:-} =~ ^[0-9]+$ ]] || wrong_usage "--at-most needs a number of MiB"; at_most=$2; shift ;;
    -*) wrong_usage "unknown option '$1'" ;;
    *) [ -z "$layout" ] || wrong_usage "one LAYOUT only, '$1' is a second"; layout=$1 ;;
  esac
  shift
done
[ -n "$layout" ] || wrong_usage "LAYOUT is missing"
[ -f "$layout/oci-layout" ] || wrong_usage "'$layout' is no OCI layout"
command -v jq >/dev/null || lacks "the program 'jq' is missing" "apt-get install jq"
command -v readelf >/dev/null || lacks "the program 'readelf' is missing" "apt-get install binutils"

work=$(mktemp -d)
trap 'chmod -R u+rwX "$work"; rm -rf "$work"' EXIT
failures=0 name=image
fail() {
  echo "$name: $1"
  failures=$((failures + 1))
}
blob() { echo "$layout/blobs/${1/://}"; }

# --- the layout: every blob is what its name says ---
for file in "$layout"/blobs/sha256/*; do
  [ "$(sha256sum <"$file" | cut -d ' ' -f 1)" = "$(basename "$file")" ] || fail "blob $(basename "$file") is damaged"
done
[ "$failures" = 0 ] || exit 3
# manifests FILE: the digests of the images of an index, however deep.
manifests() {
  local type digest
  while read -r type digest; do
    case $type in
      *image.index*) manifests "$(blob "$digest")" ;;
      *) echo "$digest" ;;
    esac
  done < <(jq -r '.manifests[] | "\(.mediaType) \(.digest)"' "$1")
}

check_config() { # FILE
  local machine
  machine=$(jq -r '"\(.os)/\(.architecture)"' "$1")
  case $machine in
    linux/amd64) elf='Advanced Micro Devices X86-64' qemu='' ;;
    linux/arm64) elf=AArch64 qemu=aarch64 ;;
    *) fail "platform $machine, expected linux/amd64 or linux/arm64"; return 1 ;;
  esac
  name=$machine
  [ "$(jq -c .config.Entrypoint "$1")" = '["/usr/bin/railhead-agent"]' ] ||
    fail "entrypoint $(jq -c .config.Entrypoint "$1"), expected /usr/bin/railhead-agent"
  local label
  for label in title version revision licenses; do
    [ -n "$(jq -r --arg l "org.opencontainers.image.$label" '.config.Labels[$l] // ""' "$1")" ] ||
      fail "label org.opencontainers.image.$label is missing"
  done
}

# Owners and modes as the layer has them, which unpacking without root loses.
check_entries() { # LAYER
  tar --numeric-owner -tvzf "$1" | awk '
    { path = $6; mode = $1 }
    $2 != "0/0" { print path " belongs to " $2 ", expected 0/0" }
    (substr(mode, 4, 1) substr(mode, 7, 1)) ~ /[sS]/ { print path " is setuid or setgid (" mode ")" }
    mode !~ /^l/ && (substr(mode, 6, 1) substr(mode, 9, 1)) ~ /w/ { print path " is writable by others than root (" mode ")" }
    mode !~ /^[-dl]/ { print path " is neither file, folder nor link (" mode ")" }
    path !~ /^\.\/($|lib(64)?$|run\/$|var\/$|var\/run$|etc\/($|passwd$|libibverbs\.d\/)|usr\/($|bin\/|lib\/|lib64\/|share\/($|doc\/|common-licenses\/)))/ {
      print path " is unexpected" }' >"$work/found"
  while read -r line; do fail "$line"; done <"$work/found"
}

check_programs() { # FILE...: each of them an ELF
  : >"$work/unreadable"
  local file
  for file in "$@"; do
    printf '\nFile: %s\n' "$file"
    # It ends with 0 for a file that was cut off, too, and says so.
    readelf -hdSW "$file" 2>"$work/unread" && ! grep -q 'Error:' "$work/unread" ||
      echo "${file#"$root"}: $(grep -m 1 . "$work/unread" || echo 'readelf failed')" >>"$work/unreadable"
  done >"$work/elf"
  { find "$root/usr/lib" "$root/usr/lib64" -printf '%f\n' 2>/dev/null || true; } >"$work/inside"
  awk -v root="$root" -v elf="$elf" '
    NR == FNR { inside[$0]; next }
    /^File: / { file = substr($0, 7 + length(root)); next }
    /^ *Machine: / { sub(/^ *Machine: */, ""); if ($0 != elf) print file " is for " $0 ", expected " elf }
    /\(NEEDED\)/ { sub(/.*\[/, ""); sub(/\].*/, ""); if (!($0 in inside)) print file " needs " $0 ", which is not inside" }
    /\((RUNPATH|RPATH)\)/ { print file " looks for libraries in a place of its own" }
    / \.(symtab|debug_info) / { print file " is not stripped" }' "$work/inside" "$work/elf" >"$work/found"
  sed 's/^/cannot read /' "$work/unreadable" >>"$work/found"
  while read -r line; do fail "$line"; done <"$work/found"
}

# The programs start with the image's loader and libraries alone; what is loaded by name later loads, every symbol bound.
start_programs() {
  local loader run=() library program said preload=()
  loader=$(find "$root"/usr/lib "$root"/usr/lib64 -maxdepth 1 -name 'ld-linux-*' 2>/dev/null | head -1)
  [ -n "$loader" ] || { fail "there is no loader"; return 0; }
  if [ -n "$qemu" ] && [ "$(uname -m)" != "$qemu" ]; then
    run=("$(command -v "qemu-$qemu" || command -v "qemu-$qemu-static" || true)")
    [ -n "${run[0]}" ] || { echo "$name: its programs were not started: qemu-user is not installed"; return 0; }
  fi
  libraries=$(dirname "$(find "$root"/usr/lib -name libc.so.6)")
  for library in "$libraries"/libcurl*.so.4 "$libraries"/libibverbs/*.so; do preload+=(--preload "$library"); done
  for program in railhead-agent railhead; do
    said=$(env -i LD_BIND_NOW=1 "${run[@]}" "$loader" --inhibit-cache --library-path "$libraries" "${preload[@]}" \
      "$root/usr/bin/$program" --version 2>&1 </dev/null) || fail "$program --version fails: $said"
    [[ $said != *preload* ]] || fail "$program: $said"
  done
  said=$(echo '{"cniVersion":"1.1.0"}' | env -i CNI_COMMAND=VERSION "${run[@]}" "$root/usr/lib/railhead/railhead-cni" 2>&1) ||
    fail "railhead-cni fails: $said"
  [[ $said == *supportedVersions* ]] || fail "railhead-cni says '$said'"
  preload=()
}

# It is loaded in containers of other people: it must need no library but libc, and show NCCL's names.
check_tuner() { # FILE
  [ -f "$1" ] || { fail "${1#"$root"} is missing"; return 0; }
  local needs
  needs=$(readelf -dW "$1" 2>/dev/null | sed -n -E 's/.*\(NEEDED\).*\[(.*)\]$/\1/p' | tr '\n' ' ')
  [[ $needs =~ ^(libc\.so\.6 |ld-linux-[a-z0-9-]*\.so\.[0-9] )*$ ]] || fail "the tuner plugin needs $needs"
  readelf --dyn-syms -W "$1" 2>/dev/null | grep ' ncclTunerPlugin_v' >/dev/null || fail "the tuner plugin has no ncclTunerPlugin_v*"
}

check_tree() {
  local file files=() shim=$root/usr/lib/railhead/railhead-cni
  for file in /usr/bin/railhead-agent /usr/bin/railhead /usr/lib/railhead/railhead-cni; do
    [ -x "$root$file" ] || fail "$file is missing"
  done
  check_tuner "$root/usr/lib/railhead/libnccl-tuner-railhead.so"
  [ "$(cut -d : -f 1 "$root/etc/passwd")" = root ] || fail "/etc/passwd has others than root"
  mapfile -t files < <(find "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" -type f 2>/dev/null)
  check_programs "${files[@]}"
  # One that cannot be read has been named already.
  if [ -f "$shim" ] && readelf -lW "$shim" >"$work/segments" 2>/dev/null; then
    ! grep -qE ' (INTERP|DYNAMIC) ' "$work/segments" || fail "railhead-cni is not static"
  fi
  for file in railhead libc6 libstdc++6; do
    [ -s "$root/usr/share/doc/$file/copyright" ] || fail "the licence of $file is missing"
  done
  echo "$name: ${#files[@]} programs and libraries"
}

check_image() { # DIGEST
  local manifest size layer
  manifest=$(blob "$1")
  check_config "$(blob "$(jq -r .config.digest "$manifest")")" || return 0
  root=$work/${name//\//-}
  mkdir "$root"
  for layer in $(jq -r '.layers[].digest' "$manifest"); do
    check_entries "$(blob "$layer")"
    tar -xzf "$(blob "$layer")" -C "$root" --no-same-owner --keep-directory-symlink
  done
  size=$(jq '[.layers[].size, .config.size] | add' "$manifest")
  [ "$size" -le $((at_most << 20)) ] || fail "$size bytes compressed, expected at most $at_most MiB"
  check_tree
  start_programs
  echo "$name: $size bytes compressed, $(du -s --apparent-size -B 1 "$root" | cut -f 1) unpacked, $1"
}

mapfile -t digests < <(manifests "$layout/index.json")
[ ${#digests[@]} -gt 0 ] || fail "there is no image"
for digest in "${digests[@]}"; do check_image "$digest"; done
[ "$failures" = 0 ] || exit 3
