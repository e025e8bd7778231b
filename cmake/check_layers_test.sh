#!/usr/bin/env bash
# The gates' own test: they must catch a planted fault and pass a clean tree.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/src/{base,os,attach,agent} "$tree"/apps/railhead-cni "$tree"/plugins/tuner
echo '#include "src/base/a.h"' >"$tree/src/os/b.h"
echo '#include "tests/support/fake.h"' >"$tree/src/os/b_test.cc"
"$here/check_layers.sh" --root "$tree" >/dev/null || { echo "a clean tree was refused"; exit 1; }

planted() {  # FILE INCLUDED [<>]: must be found, and named
  if [ -n "${3:-}" ]; then echo "#include <$2>"; else echo "#include \"$2\""; fi >"$tree/$1"
  local said code=0
  said=$("$here/check_layers.sh" --root "$tree") || code=$?
  rm "$tree/$1"
  [ "$code" = 3 ] || { echo "$1 including $2: exit $code, expected 3"; exit 1; }
  case $said in *"$1 includes $2"*) ;; *) echo "not named: $1 includes $2: $said"; exit 1 ;; esac
}
planted src/base/up.h src/os/b.h
planted src/attach/up.cc src/agent/x.h
planted src/attach/side.cc src/provision/x.h
planted src/os/fake.cc tests/support/fake.h
planted apps/railhead-cni/main.cc src/netlink/client.h
planted plugins/tuner/own.cc src/base/a.h
planted src/attach/heavy.h nlohmann/json.hpp '<>'

type_in() { printf 'namespace a::b {\n%s %s {\n};\n}  // namespace a::b\n' "$2" "$3" >"$tree/src/base/$1"; }
type_in one.h struct Same
type_in other.h class Other
printf 'namespace a::b {\nnamespace {\nstruct Same {\n};\n}  // namespace\n}  // namespace a::b\n' >"$tree/src/base/own.cc"
"$here/check_names.sh" --root "$tree" >/dev/null || { echo "names: a clean tree was refused"; exit 1; }
type_in other.h 'class' 'Same final : public X'
code=0
said=$("$here/check_names.sh" --root "$tree") || code=$?
[ "$code" = 3 ] && [[ $said == *"a::b::Same is defined in "*one.h*other.h* ]] || { echo "names: exit $code: $said"; exit 1; }
echo "1 passed, 0 failed"
