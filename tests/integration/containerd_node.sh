#!/bin/sh
# Runs inside an emulated node.
#   picture                    everything a pod could leave behind, one thing a line
#   cycles COUNT [NAMES...]    creates and deletes each named pod COUNT times, all names at once
#   kills COUNT NAME           COUNT times: a pod dies with its namespace, without DEL
# Pods' specifications are in /tmp/pods/NAME.json. `cycles` and `kills` end with "done N".
set -u

# What may differ between two pictures of the same node is left out: times, counters, states.
picture() {
  for link in /sys/class/net/*; do
    name=${link##*/}
    [ "$name" = cni0 ] && echo "link cni0" && continue
    echo "link $name $(cat $link/address) mtu $(cat $link/mtu)"
  done
  ip -o addr show | sed -E 's/^[0-9]+: *//; /cni0.*inet6/d; s/ (dynamic|tentative|secondary)//g; s/valid_lft.*//; s/^/address /'
  for family in -4 -6; do
    ip $family rule show | sed "s/^/rule $family /"
    ip $family route show table all | sed -E '/cni0/d; / (ff00|fe80)/d; /^(multicast|anycast|local) .*::/d; s/ (linkdown|metric [0-9]+|pref [a-z]+)//g' |
      sed "s/^/route $family /"
  done
  for pf in /sys/class/net/*/device/sriov_numvfs; do
    device=${pf#/sys/class/net/}
    ip link show "${device%%/*}" | sed -n -E "s/^ *vf /vf ${device%%/*} /p"
  done
  rdma link show | sed -E 's/ (state|physical_state) [A-Z_]+//g; s/^/rdma /'
  # A namespace lives by a process or by a mount.
  for one in /proc/[0-9]*/ns/net; do readlink "$one"; done 2>/dev/null | sort -u | wc -l | sed 's/^/namespaces /'
  sed -n -E 's/^[^ ]+ ([^ ]+) ([^ ]+) .*/mount \2 \1/p' /proc/mounts
  find /run /etc/cni /opt/cni /var/lib/cni /var/lib/kubelet /tmp -not -path '/run/railhead-lab/*' \( -not -path '/run/k8s.cni.cncf.io*' -o -type f \) -not -path '*/railhead-lab-kubelet/logs/*' 2>/dev/null | sort | sed 's/^/file /'
  find /sys/fs/cgroup -type d | sort | sed 's/^/cgroup /'
  for name in containerd-shim-runc-v2 runc railhead-lab-pause pause sleep; do
    echo "processes $name $(pidof $name | wc -w)"
  done
}

cycle() {
  i=0
  while [ $i -lt $1 ]; do
    railhead-lab-kubelet run-pod /tmp/pods/$2.json >/tmp/out.$2 2>&1 || { echo "round $i: $(cat /tmp/out.$2)"; return 1; }
    sed -n -E 's/.*"(set_up|start)": ([0-9.]+).*/\1 \2/p' /tmp/out.$2 | tr '\n' ' '
    echo "$2"
    railhead-lab-kubelet delete-pod $2 2>/tmp/out.$2 || { echo "round $i: delete: $(cat /tmp/out.$2)"; return 1; }
    i=$((i + 1))
  done
  rm -f /tmp/out.$2
  echo "done $i"
}

cycles() {
  count=$1
  shift
  for name in "$@"; do cycle $count $name & done
  wait
}

# VFs of a pod that vanished come home before anybody calls DEL; only then the runtime is told.
kills() {
  home=$(ls /sys/class/net | grep -v -E '^(cni0|veth.*|lo)$' | sort | tr '\n' ' ')
  i=0
  while [ $i -lt $1 ]; do
    railhead-lab-kubelet run-pod /tmp/pods/$2.json >/tmp/out.$2 2>&1 || { echo "round $i: $(cat /tmp/out.$2)"; return 1; }
    railhead-lab-kubelet delete-pod --without-del $2 2>/tmp/out.$2 || { echo "round $i: kill: $(cat /tmp/out.$2)"; return 1; }
    waited=0
    until [ "$(ls /sys/class/net | grep -v -E '^(cni0|veth.*|lo)$' | sort | tr '\n' ' ')" = "$home" ]; do
      waited=$((waited + 1))
      [ $waited -lt 200 ] || { echo "round $i: VFs not home after 20 s: $(ls /sys/class/net | tr '\n' ' ')"; return 1; }
      sleep 0.1
    done
    echo "home $waited"
    railhead-lab-kubelet clean-up 2>/tmp/out.$2 || { echo "round $i: clean-up: $(cat /tmp/out.$2)"; return 1; }
    i=$((i + 1))
  done
  rm -f /tmp/out.$2
  echo "done $i"
}

"$@"
