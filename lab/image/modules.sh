# Functions that take kernel modules with all they depend on. Sourced by build.sh.

# module_chain MODULES_DIR NAME: paths below MODULES_DIR in the order they must be loaded, the
# module itself last; nothing when it is built in; fails when this kernel lacks it.
module_chain() {
  awk -v want="$2" '
    function name(path) { sub(/.*\//, "", path); sub(/\.ko.*/, "", path); gsub(/-/, "_", path); return path }
    BEGIN { gsub(/-/, "_", want) }
    FILENAME ~ /modules\.builtin$/ { if (name($1) == want) { found = 1; exit } next }
    { path = $1; sub(/:$/, "", path) }
    name(path) == want {
      for (i = NF; i > 1; i--) print $i
      print path
      found = 1; exit
    }
    END { exit !found }' "$1/modules.builtin" "$1/modules.dep"
}

# put_module MODULES_DIR PATH TREE: one module, decompressed. Signature, debug and type information
# go: checking and parsing them is what takes most of a module's loading time in an emulated CPU.
put_module() {
  local target=$3/${2%.ko*}.ko
  [ -e "$target" ] && return 0
  mkdir -p "$(dirname "$target")"
  case $2 in
    *.xz) xz -dc "$1/$2" ;;
    *.zst) zstd -qdc "$1/$2" ;;
    *.gz) gzip -dc "$1/$2" ;;
    *) cat "$1/$2" ;;
  esac >"$target"
  strip --strip-debug --remove-section=.BTF --remove-section=.BTF.base "$target"
}

# plain_kernel VMLINUZ OUT: the uncompressed kernel from a bzImage. QEMU starts it directly (PVH),
# which saves the seconds an emulated CPU needs to decompress it. Fails when it cannot be had.
plain_kernel() {
  local sectors offset length start
  [ "$(od -An -tx1 -j $((0x202)) -N 4 "$1" | tr -d ' ')" = 48647253 ] || return 1 # "HdrS"
  sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$1" | tr -d ' ')
  offset=$(od -An -tu4 -j $((0x248)) -N 4 "$1" | tr -d ' ')
  length=$(od -An -tu4 -j $((0x24c)) -N 4 "$1" | tr -d ' ')
  start=$(((sectors + 1) * 512 + offset))
  # The payload's last 4 bytes are its uncompressed size, which each tool but gzip takes for rubbish.
  tail -c +$((start + 1)) "$1" | head -c "$length" >"$2.payload"
  case $(od -An -tx1 -N 4 "$2.payload" | tr -d ' ') in
    28b52ffd) zstd -qdc <"$2.payload" ;;
    fd377a58) xz -dc --single-stream <"$2.payload" ;;
    1f8b*) gzip -dc <"$2.payload" ;;
    *) false ;;
  esac >"$2" 2>/dev/null || true
  rm -f "$2.payload"
  # Whole and with the note that names the entry point for direct start, or not at all.
  local notes
  notes=$(readelf -nW "$2" 2>/dev/null) || return 1
  [[ $notes == *Xen*0x00000012* ]]
}
