#include "bench/node_tree.h"

#include "tests/support/fake_kernel.h"

#include <filesystem>
#include <fstream>

namespace railhead::bench_programs {
namespace {

namespace fs = std::filesystem;

Result<void> writeText(const std::string& path, const std::string& text) {
  std::error_code failed;
  fs::create_directories(fs::path(path).parent_path(), failed);
  std::ofstream out(path);
  out << text;
  out.close();
  if (!out) return Error(ErrorCode::kIo, "write " + path);
  return {};
}

Result<void> copyTree(os::Filesystem& files, const std::string& path, const std::string& root) {
  if (const auto target = files.readLink(path); target.has_value()) {
    std::error_code failed;
    fs::create_directories(fs::path(root + path).parent_path(), failed);
    fs::create_symlink(*target, root + path, failed);
    if (failed) return Error(ErrorCode::kIo, "link " + root + path + ": " + failed.message());
    return {};
  }
  RAILHEAD_TRY_ASSIGN(const auto status, files.status(path));
  if (status.kind != os::FileKind::kDirectory) {
    const auto text = files.readFile(path);
    return writeText(root + path, text.has_value() ? *text : "");
  }
  std::error_code failed;
  fs::create_directories(root + path, failed);
  RAILHEAD_TRY_ASSIGN(const auto names, files.listDirectory(path));
  for (const auto& name : names) RAILHEAD_TRY(copyTree(files, path + "/" + name, root));
  return {};
}

// As many as an mlx5 function has of those that the agent reads.
Result<void> writeCounters(const std::string& folder) {
  std::error_code failed;  // a function without one of the two
  for (const char* name : {"rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "rx_errors",
                           "tx_errors", "rx_dropped", "tx_dropped"}) {
    for (const auto& net : fs::directory_iterator(folder + "/net", failed)) {
      RAILHEAD_TRY(writeText(net.path().string() + "/statistics/" + name, "12345678901\n"));
    }
  }
  for (const auto& device : fs::directory_iterator(folder + "/infiniband", failed)) {
    const std::string port = device.path().string() + "/ports/1/";
    for (const char* name :
         {"port_rcv_data", "port_xmit_data", "port_rcv_packets", "port_xmit_packets"}) {
      RAILHEAD_TRY(writeText(port + "counters/" + name, "12345678901\n"));
    }
    for (const char* name :
         {"packet_seq_err", "out_of_sequence", "local_ack_timeout_err", "implied_nak_seq_err",
          "rnr_nak_retry_err", "roce_adp_retrans", "roce_slow_restart", "np_cnp_sent",
          "rp_cnp_handled", "np_ecn_marked_roce_packets"}) {
      RAILHEAD_TRY(writeText(port + "hw_counters/" + name, "17\n"));
    }
  }
  return {};
}

}  // namespace

Result<void> writeNode(const NodeShape& shape, const std::string& root) {
  testing_support::FakeKernel kernel;
  const std::pair<const char*, const char*> pfs[] = {{"0000:01:00.0", "rail0"},
                                                     {"0002:01:00.0", "rail1"}};
  for (const auto& [pci, netdev] : pfs) {
    testing_support::FakePfSpec spec;
    spec.pci = pci;
    spec.netdev = netdev;
    spec.mac = std::string("52:54:00:00:0") + pci[3] + ":00";
    spec.vendor = 0x15b3;
    spec.device = 0x1021;
    spec.vfDevice = 0x101e;
    spec.driver = "mlx5_core";
    spec.vfDriver = "mlx5_core";
    spec.totalVfs = shape.railSets;
    spec.rdma = true;
    kernel.addPf(spec);
    RAILHEAD_TRY(kernel.files().writeFile(kernel.paths().pciDevice(pci) + "/sriov_numvfs",
                                          std::to_string(shape.railSets)));
  }
  RAILHEAD_TRY(copyTree(kernel.files(), kernel.paths().sys, root));
  const std::string functions = root + kernel.paths().sys + "/bus/pci/devices";
  for (const auto& link : fs::directory_iterator(functions)) {
    // The link leads from the tree's own root.
    std::error_code failed;
    RAILHEAD_TRY(writeCounters(root + fs::read_symlink(link.path(), failed).string()));
  }
  return {};
}

}  // namespace railhead::bench_programs
