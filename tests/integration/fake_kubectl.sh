#!/usr/bin/env bash
# A kubectl whose cluster is this machine: a pod is a process, its log and exit code are files. State lies in
# FAKE_CLUSTER; ranks meet at FAKE_PORT. Knows what src/launch/kubernetes/follow.cc asks, and nothing else.
#   FAKE_CLUSTER/pending   pods stay pending while it is there, with what is in it as the reason
#   FAKE_CLUSTER/cut       the next `logs -f` is cut after a moment
#   FAKE_CLUSTER/away      its API does not answer while it is there
set -uo pipefail
job=$FAKE_CLUSTER/job
while [ "${1:-}" = --context ] || [ "${1:-}" = --namespace ]; do shift 2; done
verb=$1
shift
echo "$verb $*" >>"$FAKE_CLUSTER/asked"
[ ! -e "$FAKE_CLUSTER/away" ] || exec sleep 300
rank='' tail='' label='' query=''
for word in "$@"; do
  case $word in
    *job-completion-index=*) rank=${word##*=} ;;
    railhead.io/run=*) label=${word#*=} ;;
    --tail=-1) tail=+1 ;;
    --tail=*) tail=${word#*=} ;;
    jsonpath=* | name) query=$word ;;
  esac
done

# shellcheck disable=SC2016 # the inner shell expands them
start_pod() {  # RANK VARIABLES...; in a session of its own, which outlives this one, and in its job's folder
  local rank=$1
  shift
  mapfile -t words < <(awk '/^          command:/ { on = 1; next } on && /^            - / { sub(/^ *- "/, ""); sub(/"$/, ""); print; next } { on = 0 }' "$job/yaml")
  setsid bash -c 'here=$PWD rank=$2; cd "$1" || exit; shift 2
    (cd "$here" && exec "$@") >"log-$rank" 2>&1 </dev/null & echo $! >"pid-$rank"; wait $!
    echo $? >"code-$rank.new"; mv "code-$rank.new" "code-$rank"' pod "$job" "$rank" \
    env -i PATH="$PATH" "$@" RANK="$rank" RAILHEAD_NODE="node-$rank" MASTER_ADDR=127.0.0.1 MASTER_PORT="$FAKE_PORT" \
    "${words[@]}" </dev/null >/dev/null 2>&1 &
  while [ -d "$job" ] && [ ! -s "$job/pid-$rank" ]; do sleep 0.01; done
}

end_pods() {  # SIGNAL JOB
  local file
  for file in "$2"/pid-*; do [ ! -e "$file" ] || kill -"$1" "$(cat "$file")" 2>/dev/null; done
}

case $verb in
  create)
    text=$(cat)
    if ! mkdir "$job" 2>/dev/null; then
      echo 'Error from server (AlreadyExists): error when creating "STDIN": jobs.batch "x" already exists' >&2
      exit 1
    fi
    printf '%s\n' "$text" >"$job/yaml"
    [ ! -e "$FAKE_CLUSTER/pending" ] || exit 0
    mapfile -t variables < <(awk '/^            - name: / { name = $3; next } /^              value: "/ { sub(/^ *value: "/, ""); sub(/"$/, ""); print name "=" $0 }' "$job/yaml")
    for ((each = 0; each < $(awk '/^  parallelism:/ { print $2 }' "$job/yaml"); ++each)); do start_pod "$each" "${variables[@]}"; done
    ;;
  get)
    [ -e "$job" ] || exit 0
    case $query in
      *.started*) [ ! -e "$job/pid-$rank" ] || if [ -e "$job/code-$rank" ]; then echo "false $(cat "$job/code-$rank")"; else echo 'true '; fi ;;
      *nodeName*) echo "node-$rank" ;;
      *exitCode*) cat "$job/code-$rank" 2>/dev/null ;;
      *conditions*) cat "$FAKE_CLUSTER/pending" 2>/dev/null ;;
      name) echo "pod/x-$rank" ;;
    esac
    exit 0
    ;;
  logs)
    cut=''
    ! rm "$FAKE_CLUSTER/cut" 2>/dev/null || cut="timeout 0.3"
    # Until all of it has been read once the container is over.
    pid=$(cat "$job/pid-$rank")
    $cut tail -n "$tail" -s 0.05 -f --pid="$pid" "$job/log-$rank"
    ;;
  delete)
    if [ -n "$rank" ]; then
      kill -TERM "$(cat "$job/pid-$rank")" 2>/dev/null
      exit 0
    fi
    whose="railhead.io/run: \"$label\""
    case $1 in job/*) whose="name: ${1#job/}\$" ;; esac
    if [ -e "$job" ] && grep -q "$whose" "$job/yaml"; then
      gone=$FAKE_CLUSTER/gone-$$
      mv "$job" "$gone"
      end_pods TERM "$gone"
      end_pods KILL "$gone"
      # Who waits for a pod still writes its exit code.
      until rm -rf "$gone" 2>/dev/null; do sleep 0.01; done
    fi
    ;;
esac
