# Functions that fill a folder with programs and everything they load. Sourced by build.sh.

# Real path of a library or program inside the root tree: merged /usr, as Debian has it.
merged_path() {
  case $1 in
    /bin/* | /sbin/* | /lib/* | /lib64/*) echo "/usr$1" ;;
    *) echo "$1" ;;
  esac
}

# put_file SOURCE TREE PATH: copies one file, with its mode, links followed.
put_file() {
  [ -e "$2$3" ] && return 0
  mkdir -p "$2$(dirname "$3")"
  cp -L "$1" "$2$3"
}

# put_libraries FILE TREE: the closure of shared libraries that FILE loads at start.
put_libraries() {
  local closure library
  # `ldd` fails on a static program: that has none.
  closure=$(ldd "$1" 2>/dev/null) || return 0
  if [[ $closure == *'not found'* ]]; then
    echo "$(basename "$1") needs $(sed -n -E '/not found/ { s/^[ \t]*([^ ]+).*/\1/p; q }' <<<"$closure")" >&2
    return 1
  fi
  for library in $(sed -n -E 's/^\t(.* => )?(\/[^ ]+) \(0x.*/\2/p' <<<"$closure"); do
    put_file "$library" "$2" "$(merged_path "$library")"
  done
}

# put_program SOURCE TREE FOLDER: a program without its debug information, and its libraries.
put_program() {
  local target
  target="$3/$(basename "$1")"
  put_file "$1" "$2" "$target"
  case $(head -c 4 "$1" | tr -d '\0') in
    *ELF)
      chmod u+w "$2$target"
      strip --strip-all "$2$target" 2>/dev/null || true
      put_libraries "$1" "$2" || return 1
      ;;
  esac
}
