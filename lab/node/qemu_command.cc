#include "lab/node/qemu_command.h"

#include <algorithm>

namespace railhead::lab {
namespace {

// Under emulation every step of the boot counts: what a node of a lab does not need is left out.
constexpr std::string_view kKernelArguments =
    "console=ttyS0 quiet panic=-1 mitigations=off nokaslr no5lvl tsc=reliable no_timer_check "
    "rodata=off audit=0 apparmor=0 lsm=capability numa=off nowatchdog init_on_alloc=0 "
    "cryptomgr.notests initcall_blacklist=load_system_certificate_list rcupdate.rcu_expedited=1 "
    "random.trust_cpu=on";

class Arguments {
 public:
  void add(std::string option, std::string value) {
    list_.push_back("-" + std::move(option));
    list_.push_back(std::move(value));
  }
  void add(std::string option) { list_.push_back("-" + std::move(option)); }
  std::vector<std::string>& list() { return list_; }

 private:
  std::vector<std::string> list_;
};

// A comma separates QEMU's options; doubled, it is part of a value.
std::string escapeCommas(const std::string& text) {
  std::string out;
  for (const char c : text) out.append(c == ',' ? 2 : 1, c);
  return out;
}

std::string socketDevice(const std::string& id, int fd) {
  return "socket,id=" + id + ",fd=" + std::to_string(fd);
}

void addMachine(Arguments& arguments, const NodeSpec& node, const QemuSettings& settings) {
  arguments.add("nodefaults");
  arguments.add("no-user-config");
  arguments.add("display", "none");
  arguments.add("no-reboot");  // a node that panics is dead and is reported, it does not loop
  arguments.add("name", node.name);
  arguments.add("machine",
                "q35,hpet=off,vmport=off,i8042=off,smbus=off,sata=off,usb=off,graphics=off");
  // The cache of translated code would grow to a gigabyte.
  arguments.add("accel", settings.accelerator == "tcg" ? "tcg,thread=multi,tb-size=128"
                                                       : settings.accelerator);
  arguments.add("cpu", settings.accelerator == "tcg" ? "max,la57=off" : "host");
  arguments.add("smp", std::to_string(node.cpus));
  arguments.add("m", std::to_string(node.memoryMib));
}

void addChannels(Arguments& arguments, const NodeSockets& sockets) {
  arguments.add("chardev", socketDevice("qmp", sockets.qmp));
  arguments.add("mon", "chardev=qmp,mode=control");
  arguments.add("chardev", socketDevice("console", sockets.console));
  arguments.add("serial", "chardev:console");
  arguments.add("device", "virtio-serial-pci,id=serial,max_ports=2,addr=0x1d");
  arguments.add("chardev", socketDevice("control", sockets.control));
  arguments.add("device", "virtserialport,bus=serial.0,chardev=control,name=railhead.control");
}

// Files keep the owner that QEMU's process gives them; what it may not do in the folder, no node
// may.
void addShare(Arguments& arguments, const std::string& share) {
  arguments.add("fsdev",
                "local,id=share,security_model=none,multidevs=remap,path=" + escapeCommas(share));
  arguments.add("device", "virtio-9p-pci,fsdev=share,mount_tag=railhead-share,addr=0x1c");
}

void addPf(Arguments& arguments, const NodeSpec& node, std::size_t index, int fd) {
  const PfSpec& pf = node.pfs[index];
  const std::string number = std::to_string(index);
  const std::string slot = std::to_string(pf.slot);
  // Root ports take devices 1 to 16 of the root bus; firmware numbers the buses in that order.
  arguments.add("device", "pcie-root-port,id=port" + number + ",bus=pcie.0,addr=" + slot +
                              ",chassis=" + slot + ",slot=" + slot);
  std::string nic = "igb,id=" + pfDeviceId(index) + ",bus=port" + number +
                    ",romfile=,mac=" + pfMac(node, index).toString();
  if (fd >= 0) {
    arguments.add("netdev",
                  "dgram,id=net" + number + ",local.type=fd,local.str=" + std::to_string(fd));
    nic += ",netdev=net" + number;
  }
  arguments.add("device", nic);
}

}  // namespace

std::string pfDeviceId(std::size_t pf) { return "pf" + std::to_string(pf); }

std::string kernelArguments(const NodeSpec& node, bool shares) {
  std::string text = std::string(kKernelArguments) + " railhead.node=" + node.name;
  for (std::size_t i = 0; i < node.pfs.size(); ++i) {
    text += i == 0 ? " railhead.pf=" : ",";
    text += pfAddress(node, i).toString() + "=" + node.pfs[i].name;
  }
  if (shares) text += std::string(" railhead.share=") + kNodeShare;
  return text;
}

std::vector<std::string> qemuCommand(const NodeSpec& node, const LabImage& image,
                                     const QemuSettings& settings, const NodeSockets& sockets) {
  Arguments arguments;
  arguments.list().push_back(settings.program);
  addMachine(arguments, node, settings);
  arguments.add("kernel", image.kernelFile);
  arguments.add("initrd", image.initramfsFile);
  arguments.add("append", kernelArguments(node, !settings.share.empty()));
  addChannels(arguments, sockets);
  arguments.add("blockdev",
                "driver=file,node-name=image,read-only=on,auto-read-only=off,filename=" +
                    escapeCommas(image.rootFile));
  arguments.add("device", "virtio-blk-pci,drive=image,serial=railhead-root,addr=0x1e");
  if (!settings.share.empty()) addShare(arguments, settings.share);
  for (std::size_t i = 0; i < node.pfs.size(); ++i) addPf(arguments, node, i, sockets.pfs[i]);
  return std::move(arguments.list());
}

}  // namespace railhead::lab
