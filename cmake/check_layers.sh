#!/usr/bin/env bash
# Holds the includes against the house (docs/architecture.md): an arrow may only run downward, and the JSON,
# YAML, XML and command-line libraries stay in .cc files. Prints each one that does not and exits 3. `--root DIR`
# checks another tree (the gate's own test does).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ "${1:-}" != --root ] || root=$2
cd "$root"
rooms=()
for room in src apps lab plugins; do [ ! -d "$room" ] || rooms+=("$room"); done

heavy=$({ grep -rnE --include='*.h' '^#include <(nlohmann/json\.hpp|yaml-cpp/|yaml\.h|CLI/|pugixml\.hpp)' "${rooms[@]}" || [ $? = 1 ]; } |
  sed -E 's/^([^:]*):[^<]*<([^>]*)>.*/\1 includes \2: a header does not pass a heavy library on/')

{ grep -rn --include='*.cc' --include='*.h' '^#include "' "${rooms[@]}" || [ $? = 1 ]; } | awk '
  # The floors, from the ground up. Rooms of one floor do not know each other.
  BEGIN {
    split("base:0 json:0.5 cni:1 config:1 digest:1 os:1 checkpoint:2 conflist:2 gpu:2 metrics:2 nccl:2 netlink:2 verbs:2 collective:3 discover:3 kube:3 advertise:4 attach:4 bench:4 provision:4 report:4 trainer:4 " \
          "agent:5 launch:5 verify:5 tune:2 tune_run:5 train:5.5", pairs, " ")
    for (i in pairs) { split(pairs[i], p, ":"); floor["src/" p[1]] = p[2] }
  }
  function room(path,  parts) { split(path, parts, "/"); return parts[1] "/" parts[2] }
  function level(path) {
    if (path ~ /^apps\/usage\//) return 6.5               # what the programs share
    if (path ~ /^apps\//) return 7
    if (path ~ /^lab\//) return 6
    if (path ~ /^plugins\//) return 0                     # into programs of others: nothing of ours but itself
    if (path ~ /^src\//) return (room(path) in floor) ? floor[room(path)] : 99
    return -1
  }
  function bad(text) { print text; failed = 1 }
  {
    file = $0; sub(/:.*/, "", file)
    included = $0; sub(/^[^"]*"/, "", included); sub(/".*/, "", included)
    if (file ~ /_test\.cc$/) next                       # tests may use tests/support
    if (included ~ /^tests\//) { bad(file " includes " included ": test support never reaches a shipped program"); next }
    from = level(file); to = level(included)
    if (from == 99) { bad(file ": its folder has no floor in cmake/check_layers.sh"); next }
    if (to < 0 || room(file) == room(included)) next
    if (from == 6 && to == 6) next                      # the lab is one floor of many small rooms
    if (file ~ /^apps\/railhead-cni\// && to > 1) bad(file " includes " included ": the shim uses base, json, os and cni only")
    else if (to >= from) bad(file " includes " included ": the arrow does not run downward")
  }
  END { exit failed ? 3 : 0 }' || code=$?
[ -z "$heavy" ] || { echo "$heavy"; code=3; }
exit "${code:-0}"
