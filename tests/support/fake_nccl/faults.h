// What the fake was told to do wrong.
#pragma once

#include "src/nccl/nccl_abi.h"

#include <functional>
#include <istream>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace railhead::testing_support {

namespace abi = nccl::abi;

enum class FaultKind {
  kNone,
  kFailInit,
  kHangInit,
  kFailCall,
  kHangCall,
  kBlockCall,
  kCorruptCall
};

struct Fault {
  FaultKind kind = FaultKind::kNone;
  abi::Return code = abi::kSuccess;
};

// Thread-safe.
class Faults {
 public:
  Faults();  // obeys RAILHEAD_FAKE_NCCL
  bool command(const std::string& line);
  Fault takeInit(int rank);
  Fault takeCall(int rank);
  int version();
  std::string transport();

 private:
  struct Planted {
    int rank = 0;  // -1: whichever
    int callsLeft = 0;
    Fault fault;
  };
  // Ones that last, as long as what they hang on holds.
  struct Lasting {
    std::function<bool()> holds;
    Fault fault;
  };
  bool obey(const std::string& line);
  bool obeyLasting(const std::string& verb, std::istream& in);

  std::mutex mutex_;
  int version_ = 0;
  std::string transport_;
  std::vector<Lasting> lasting_;
  std::multimap<bool, Planted> planted_;  // by whether it concerns joining
};

Faults& faults();

}  // namespace railhead::testing_support
