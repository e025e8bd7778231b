# Fills the image's folder. Sourced by build.sh, which sets: root (the image's folder), system (the folder whose
# libraries are taken, "" for this machine's own), triplet (aarch64-linux-gnu, say), and `lacks`.

# What a file loads at start, one name a line; nothing for a static one.
needed() { readelf -dW "$1" 2>/dev/null | sed -n -E 's/.*\(NEEDED\).*\[(.*)\]$/\1/p'; }

# find_library NAME: its path below $system, in the order the loader has it.
find_library() {
  local folder
  for folder in "/lib/$triplet" "/usr/lib/$triplet" /lib /usr/lib /lib64; do
    [ ! -e "$system$folder/$1" ] || { echo "$system$folder/$1"; return 0; }
  done
  return 1
}

# put_file SOURCE PATH [MODE]: one file, links followed. Remembers where it came from, for the licences.
put_file() {
  mkdir -p "$root$(dirname "$2")"
  install -m "${3:-644}" "$1" "$root$2"
  sources+=("$1")
}

# put_library NAME WHO: into /usr/lib/$triplet, under the name that its users know, with all that it needs.
put_library() {
  local path target=/usr/lib/$triplet/$1
  # The loader has a place of its own, which every program names.
  case $1 in ld-linux-*) target=$loader ;; esac
  [ ! -e "$root$target" ] || return 0
  path=$(find_library "$1") || lacks "$2 needs $1, which is not in ${system:-this machine}" "install the package that has it"
  local mode=644
  [ "$target" != "$loader" ] || mode=755
  put_file "$path" "$target" $mode
  put_needed "$path"
}

put_needed() {
  local name
  for name in $(needed "$1"); do put_library "$name" "$(basename "$1")"; done
}

# put_program SOURCE FOLDER: without symbols, with its libraries.
put_program() {
  local target
  target=$2/$(basename "$1")
  mkdir -p "$root$2"
  "$strip" --strip-all -o "$root$target" "$1"
  chmod 755 "$root$target"
  local interpreter
  interpreter=$(readelf -lW "$1" | sed -n -E 's/.*program interpreter: (.*)\]$/\1/p')
  [ -z "$interpreter" ] || put_library "$(basename "$interpreter")" "$(basename "$1")"
  put_needed "$1"
}

# Loaded by dlopen, so no program's list leads there: what libibverbs drives cards with, and the agent's HTTP client.
put_loaded() {
  local provider library
  for provider in mlx5 rxe; do
    [ -e "$system/etc/libibverbs.d/$provider.driver" ] ||
      lacks "libibverbs' provider '$provider' is not in ${system:-this machine}" "apt-get install ibverbs-providers"
    put_file "$system/etc/libibverbs.d/$provider.driver" "/etc/libibverbs.d/$provider.driver"
    for library in "$system/usr/lib/$triplet/libibverbs/lib$provider"-rdmav*.so; do
      put_file "$library" "/usr/lib/$triplet/libibverbs/$(basename "$library")"
      put_needed "$library"
    done
  done
  for library in libcurl.so.4 libcurl-gnutls.so.4; do
    ! find_library "$library" >/dev/null || { put_library "$library" railhead-agent; return 0; }
  done
  lacks "libcurl.so.4 is not in ${system:-this machine}" "apt-get install libcurl4"
}

# packages_of FOLDER: the Debian packages of the files on standard input, which lie below FOLDER ("" for this machine).
# Says on standard error which file is of no package: its licence is unknown.
packages_of() {
  cat >"$work/files"
  [ -s "$work/files" ] || return 0
  # Each file as it is named and where its links lead; before and after the merge of /usr.
  paste -d '\t' "$work/files" <(xargs -d '\n' realpath -s <"$work/files") <(xargs -d '\n' realpath <"$work/files") |
    awk -F '\t' -v folder="$1" '
      function below(path) { return index(path, folder) == 1 ? substr(path, length(folder) + 1) : path }
      {
        for (i = 2; i <= 3; i++) {
          path = below($i); sub(/^\/usr\//, "/", path)
          print $1 "\t" path; print $1 "\t/usr" path
        }
      }' | sort -u >"$work/candidates"
  cut -f 2 "$work/candidates" | sort -u |
    { xargs -d '\n' dpkg-query --admindir "$1/var/lib/dpkg" -S 2>/dev/null || true; } >"$work/answers"
  awk -F '\t' '
    NR == FNR { split($0, part, ": "); package = part[1]; sub(/[:,].*/, "", package); owner[part[2]] = package; next }
    { if ($2 in owner) { known[$1] = 1; print owner[$2] } else if (!($1 in known)) known[$1] = 0 }
    END { for (file in known) if (!known[file]) print file " is of no package" >"/dev/stderr" }' \
    "$work/answers" "$work/candidates" | sort -u
}

# put_licences: the copyright file of each package on standard input, and the licence texts that those name.
put_licences() {
  local package file text
  while read -r package; do
    file=$system/usr/share/doc/$package/copyright
    [ -e "$file" ] || file=/usr/share/doc/$package/copyright
    [ -e "$file" ] || lacks "the licence of package '$package' is missing" "reinstall it with its /usr/share/doc"
    mkdir -p "$root/usr/share/doc/$package"
    install -m 644 "$file" "$root/usr/share/doc/$package/copyright"
  done
  for text in $(cat "$root"/usr/share/doc/*/copyright |
    grep -oE '/usr/share/common-licenses/[A-Za-z0-9.-]*[A-Za-z0-9]' | sort -u); do
    [ -e "$text" ] || continue
    mkdir -p "$root$(dirname "$text")"
    install -m 644 "$text" "$root$text"
  done
}
