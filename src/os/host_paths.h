// Where the host keeps things, in one place. Passed down as constructor arguments; nothing below
// reads a literal path of its own.
#pragma once

#include <string>

namespace railhead::os {

// Kubelet's socket in each of its folders.
inline constexpr const char* kKubeletSocket = "kubelet.sock";
// What kubelet keeps in its device-plugins folder of the devices that pods hold.
inline constexpr const char* kKubeletCheckpoint = "kubelet_internal_checkpoint";

struct HostPaths {
  std::string sys = "/sys";
  std::string proc = "/proc";
  std::string dev = "/dev";
  std::string netnsDirectory = "/var/run/netns";
  std::string state = "/run/railhead";  // does not outlive a boot, nor do VFs
  std::string kubeletPlugins = "/var/lib/kubelet/device-plugins";
  std::string podResources = "/var/lib/kubelet/pod-resources";
  std::string cniBin = "/opt/cni/bin";
  std::string cniConfig = "/etc/cni/net.d";
  std::string multusConfig = "/etc/cni/multus/net.d";  // files of networks, as Multus keeps them
  // Our shim as it is shipped; a copy of it in cniBin is what the runtime starts.
  std::string cniShim = "/usr/lib/railhead/railhead-cni";
  // The NCCL tuner plugin as it is shipped; copies of it go into pods.
  std::string ncclTuner = "/usr/lib/railhead/libnccl-tuner-railhead.so";
  std::string deviceInfo = "/var/run/k8s.cni.cncf.io/devinfo";  // what a pod's devices are
  std::string cdi = "/var/run/cdi";  // where we write, too; runtimes prefer it to the next
  std::string cdiStatic = "/etc/cdi";
  std::string ncclConf = "/etc/nccl.conf";  // every NCCL reads it, whatever its environment says
  std::string nads = "/etc/railhead/nads";  // manifests of NADs, where they come from files
  std::string probeSocket;                  // where this very agent tells how it is; empty: nowhere

  std::string cniSocket() const { return state + "/cni.sock"; }  // agent, for the shim
  // The agent's, for the next one.
  std::string handoverSocket() const { return state + "/handover.sock"; }
  // What the PFs last showed, for an agent that starts while one is silent.
  std::string nodeMemory() const { return state + "/node.json"; }
  // Tuned profiles, as pods have them mounted.
  std::string profiles() const { return state + "/profile"; }
  std::string nodeLock() const { return state + "/lock"; }  // held by whoever changes the node
  std::string statusSocket() const { return state + "/status.sock"; }  // agent, for the operator
  std::string podResourcesSocket() const { return podResources + "/" + kKubeletSocket; }
  std::string pciDevice(const std::string& address) const {
    return sys + "/bus/pci/devices/" + address;
  }
};

}  // namespace railhead::os
