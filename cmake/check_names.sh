#!/usr/bin/env bash
# No two files define a type of one name in one namespace: linked together they would be taken for one, and each
# file's code would work on the other's memory. Anonymous namespaces and tests (each a program of its own) are free.
# Prints each and exits 3. `--root DIR` checks another tree.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ "${1:-}" != --root ] || root=$2
cd "$root"
rooms=()
for room in src apps lab plugins; do [ ! -d "$room" ] || rooms+=("$room"); done

find "${rooms[@]}" \( -name '*.h' -o -name '*.cc' \) ! -name '*_test.cc' | sort | xargs awk '
  FNR == 1 { depth = 0 }
  /^namespace( [A-Za-z0-9_:]+)? \{/ { space[++depth] = $2 == "{" ? "" : $2; next }
  /^}  \/\/ namespace/ { if (depth > 0) --depth; next }
  /^(struct|class|enum class) .*\{/ {
    name = ""
    line = $0
    sub(/^(struct|enum class|class) /, "", line)
    sub(/^\[\[[a-z]+\]\] /, "", line)
    if (match(line, /^[A-Za-z0-9_]+/)) name = substr(line, 1, RLENGTH)
    if (substr(line, RLENGTH + 1, 1) ~ /[<:]/ && substr(line, RLENGTH + 1, 2) != " :") next
    whole = ""
    for (i = 1; i <= depth; ++i) {
      if (space[i] == "") next
      whole = whole space[i] "::"
    }
    whole = whole name
    if (whole in seen && seen[whole] != FILENAME) {
      print "check_names: " whole " is defined in " seen[whole] " and in " FILENAME
      found = 1
    }
    seen[whole] = FILENAME
  }
  END { exit found ? 1 : 0 }' || exit 3
