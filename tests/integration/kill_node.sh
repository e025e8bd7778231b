#!/bin/sh
# Runs inside an emulated node for lab_kill_test: brings the real agent to one system call, kills it
# or lets the call fail there (strace, nothing in the agent), starts it again and compares the node
# with what it has to be. Each command exits with 0 when the node is right, else says what is not.
#
#   install             records what the node has to be: the agent runs, no pod holds a rail
#   provision AT        node without VFs; agent killed at AT, "write@12": its 12th write, of the thread that
#                       provisions; started again
#   pod AT AT           pod made through kubelet, the agent killed at AT, and deleted, killed at AT
#   open, close         a pod whose sandbox has no rails, for the next two
#   sandbox AT AT       as pod, but by CNI calls on one sandbox, which outlives the agent
#   fail ERROR AT AT    ADD, then DEL, in which the call AT fails with ERROR
#
# Prints a line for each phase: "ADD killed", "ADD failed", or "ADD whole" when there is no such call;
# the same for DEL, and "start" for provision. The calls of each phase follow behind "ADD> "; the last
# one is the one at which the agent died.
set -u
folder=/run/railhead-lab
config=$folder/agent.yaml
log=$folder/agent.log
work=$folder/kill
resource=nvidia.com/cx7_qsfp
pfs='enp1s0f0np0 enP2p1s0f0np0'
# Every call that changes the node, the agent's own files or what a peer sees is one of these; not all
# of these do. sysfs is read by openat2 and read.
calls=write,sendmsg,sendto,openat,mkdirat,renameat,unlinkat,unlink,symlinkat,fchmod,fsync,bind
mkdir -p $work

wrong() {
  echo "$*" >&2
  tail -n 5 $log >&2
  exit 1
}

# --- the agent ---
alive() { [ -e "/proc/$1/exe" ]; } # not of a zombie
agent() { pidof railhead-agent; }
# start_agent [CONFIG]
start_agent() {
  : >$log # before: the background process does so too late for the first look
  setsid railhead-agent run --config ${1:-$config} >$log 2>&1 </dev/null &
  started=$!
  until grep -q 'agent: ready' $log; do
    alive $started || wrong "the agent ended while it started"
    sleep 0.05
  done
}
await_end() {
  for i in $(seq 200); do
    alive "$1" || return 0
    sleep 0.05
  done
  wrong "process $1 has not ended"
}
kill_agent() {
  victim=$(agent) || return 0
  kill -9 $victim
  await_end $victim
}

# --- what the node looks like ---
state() {
  for link in /sys/class/net/*; do
    read -r mac <$link/address
    read -r mtu <$link/mtu
    read -r flags <$link/flags
    echo "${link##*/} $mac $mtu up=$((flags & 1))"
  done
  for pf in $pfs; do
    device=/sys/class/net/$pf/device
    read -r count <$device/sriov_numvfs
    read -r probe <$device/sriov_drivers_autoprobe
    echo "$pf vfs=$count autoprobe=$probe"
    ip link show $pf | grep '^ *vf '
    for vf in $device/virtfn*; do echo "${vf##*/} netdev ${vf##*/}: $(cd $vf/net 2>/dev/null && echo *)"; done
  done
  echo rdma: /sys/class/infiniband/*
  find /run/railhead ! -path /run/railhead/deleted | sort # the folder of marks stays, no mark does
}
# For what the kernel does behind a vanished namespace, in its own time.
await_state() {
  for i in $(seq 50); do
    state >$work/now
    ! cmp -s $work/idle $work/now || return 0
    sleep 0.1
  done
  check_state "$1"
}
check_state() {
  state >$work/now
  diff $work/idle $work/now >&2 && return 0
  echo "links in namespaces:" >&2
  for one in $(cd /run/netns && echo *); do ip netns exec $one ip -br link | sed "s/^/$one: /" >&2; done
  cat $log >&2
  wrong "$1: the node differs (< as it was, > as it is)"
}
check_namespaces() {
  (cd /run/netns && echo *) >$work/namespaces.now
  cmp -s $work/namespaces $work/namespaces.now || wrong "$1: namespaces $(cat $work/namespaces.now)"
}

# --- strace on the threads of a name; one takes the work, each counts by itself ---
# trace_threads NAME PHASE AT INJECTION
trace_threads() {
  victim=$(agent) || wrong "no agent"
  targets=''
  count=0
  for task in /proc/$victim/task/*; do
    read -r name <$task/comm
    [ "$name" = $1 ] || continue
    targets="$targets -p ${task##*/}"
    count=$((count + 1))
  done
  [ $count -gt 0 ] || wrong "the agent has no threads named $1"
  shift
  trace=$work/trace.$1
  rm -f $trace
  setsid strace -y -s 40 -o $trace -e trace=$calls -e inject="${2%@*}:$3:when=${2#*@}" $targets 2>$work/said &
  tracer=$!
  for i in $(seq 200); do
    [ "$(grep -c attached $work/said)" != $count ] || return 0
    sleep 0.02
  done
  wrong "strace did not attach: $(cat $work/said)"
}
end_trace() {
  kill $tracer 2>/dev/null
  await_end $tracer
}
note() {
  echo "$1 $2"
  grep -v -e '+++' -e resumed $trace | cut -c 1-280 | sed "s/^[0-9 ]*/$1> /"
}
# After a request: was the agent killed? It is running again then. A DEL passes all the same, with a mark that the
# agent finds (apps/railhead-cni/shim.h).
after_request() {
  if [ "$2" != 0 ] || ! alive $victim; then
    [ "$2" != 0 ] || [ $1 = DEL ] || wrong "$1 succeeded though the agent died"
    await_end $victim
    await_end $tracer
    note $1 killed
    start_agent
    return 1
  fi
  end_trace
  note $1 whole
}

# --- provision ---
bare() {
  kill_agent
  for pf in $pfs; do
    echo 0 >/sys/class/net/$pf/device/sriov_numvfs
    echo 1 >/sys/class/net/$pf/device/sriov_drivers_autoprobe
    ip link set $pf down mtu 1500
  done
  rm -rf /run/railhead
}
# The thread that provisions is there from the start; it begins when the configuration names PFs.
provision() {
  bare
  sed '/^provision:/,/^twins:/{/^twins:/!d}' $config >$work/agent.yaml
  start_agent $work/agent.yaml
  trace_threads provisioner start $1 signal=KILL
  cp $config $work/next && mv $work/next $work/agent.yaml
  for i in $(seq 300); do
    alive $victim && ! grep -q 'PFs failed' $log || break
    sleep 0.1
  done
  if alive $victim; then
    grep -q 'PFs failed' $log || wrong "it has not provisioned"
    end_trace
    kill_agent
    note start whole
  else
    await_end $tracer
    note start killed
  fi
  start_agent
  railhead-lab-kubelet wait $resource --count 4 --timeout 30 || wrong "not allocatable"
  await_state "after the restart" # what the killed one left a driver to do may be mended afterwards
}

# --- pods ---
spec='{"name": "victim", "annotations": {"k8s.v1.cni.cncf.io/networks": "dgx-qsfp"}, "resources": {"'$resource'": 1}}'
run_pod() { echo "$spec" | railhead-lab-kubelet run-pod - >$work/pod 2>$work/error; }
delete_pod() { railhead-lab-kubelet delete-pod victim >/dev/null 2>$work/error; }
told_to_try_again() {
  grep -q 'code 11\|"code": *11' $work/error || wrong "$1 was not told to try again: $(cat $work/error)"
}
pod() {
  trace_threads cni-worker ADD $1 signal=KILL
  run_pod
  if ! after_request ADD $?; then
    told_to_try_again ADD
    await_state "ADD, after the restart"
    railhead-lab-kubelet wait $resource --count 4 --timeout 30 || wrong "not allocatable"
    run_pod || wrong "ADD after the restart: $(cat $work/error)"
  fi
  trace_threads cni-worker DEL $2 signal=KILL
  delete_pod
  passed=$?
  if ! after_request DEL $passed && [ $passed != 0 ]; then
    told_to_try_again DEL
    delete_pod || wrong "DEL after the restart: $(cat $work/error)"
  fi
  await_state "at the end"
  check_namespaces "at the end"
}

# --- CNI calls without a kubelet that clears away behind them ---
cni() {
  CNI_COMMAND=$1 CNI_CONTAINERID=$sandbox CNI_NETNS=$netns CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \
    CNI_ARGS="K8S_POD_NAMESPACE=default;K8S_POD_NAME=victim;K8S_POD_UID=$uid" \
    /opt/cni/bin/railhead-cni <$work/cni.json >$work/error 2>&1
}
value_of() { sed -n "s/^  \"$1\": \"\\(.*\\)\",*\$/\\1/p" $work/pod; }
open() {
  run_pod || wrong "run-pod: $(cat $work/error)"
  find_sandbox
  cat >$work/cni.json <<'TEXT'
{"cniVersion": "1.1.0", "name": "railhead", "type": "railhead-cni", "prevResult": {"cniVersion": "1.1.0"}, "runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"k8s.v1.cni.cncf.io/networks": "dgx-qsfp"}}}
TEXT
  cni DEL || wrong "DEL: $(cat $work/error)"
  check_clean "before"
}
close() {
  delete_pod || wrong "delete-pod: $(cat $work/error)"
  check_namespaces "after it"
}
find_sandbox() { sandbox=$(value_of sandbox) netns=$(value_of netns) uid=$(value_of uid); }
check_clean() {
  check_state "$1"
  ip netns exec ${netns##*/} ip -br link >$work/inside
  [ "$(grep -c . $work/inside)" = 1 ] || wrong "$1: left in the sandbox: $(cat $work/inside)"
}
sandbox() {
  find_sandbox
  trace_threads cni-worker ADD $1 signal=KILL
  cni ADD
  if ! after_request ADD $?; then
    told_to_try_again ADD
    # Killed while it answered: the pod has its rails. Earlier: it has none.
    if ! grep -q '"state": *"attached"' /run/railhead/attachments/* 2>/dev/null; then
      await_state "ADD, after the restart"
      check_clean "ADD, after the restart"
    fi
    cni ADD || wrong "ADD after the restart: $(cat $work/error)"
  fi
  cni CHECK || wrong "CHECK: $(cat $work/error)"
  trace_threads cni-worker DEL $2 signal=KILL
  cni DEL
  passed=$?
  if ! after_request DEL $passed && [ $passed != 0 ]; then
    told_to_try_again DEL
    cni DEL || wrong "DEL after the restart: $(cat $work/error)"
  fi
  await_state "at the end"
  check_clean "at the end"
}

# --- failing calls ---
# 0: the request failed and has to be made again. A failure that the agent lives with is none, nor is a DEL that
# passes with a mark.
after_failure() {
  end_trace
  if ! grep -q INJECTED $trace; then
    note $1 whole
    [ "$2" = 0 ] || wrong "$1: $(cat $work/error)"
    return 1
  fi
  note $1 failed
  [ "$2" != 0 ]
}
fail() {
  find_sandbox
  trace_threads cni-worker ADD $2 error=$1
  cni ADD
  if after_failure ADD $?; then
    check_clean "failed ADD"
    cni ADD || wrong "ADD after a failed one: $(cat $work/error)"
  fi
  cni CHECK || wrong "CHECK: $(cat $work/error)"
  trace_threads cni-worker DEL $3 error=$1
  cni DEL
  if after_failure DEL $?; then
    cni DEL || wrong "DEL after a failed one: $(cat $work/error)"
  fi
  await_state "at the end"
  check_clean "at the end"
}

install() {
  state >$work/idle
  (cd /run/netns && echo *) >$work/namespaces
}

"$@"
