#include "src/nccl/library.h"

#include "src/nccl/calls.h"

#include <algorithm>
#include <cstring>

namespace railhead::nccl {
namespace {

constexpr std::string_view kRemedy =
    "install NCCL 2.18 or newer (libnccl2), or name its libnccl.so.2; PyTorch brings one in "
    "nvidia/nccl/lib";

// A peer that is gone shows as a system or remote error of the network.
ErrorCode classOf(abi::Return code) {
  switch (code) {
    case abi::kSystemError:
    case abi::kRemoteError:
      return ErrorCode::kUnavailable;
    case abi::kInvalidArgument:
      return ErrorCode::kInvalidArgument;
    case abi::kInvalidUsage:
      return ErrorCode::kEnvironment;  // two ranks on one GPU, versions that do not fit
    default:
      return ErrorCode::kIo;
  }
}

}  // namespace

std::string Calls::find() {
  std::string lacking;
#define RAILHEAD_NCCL_FIND(member, symbol, answer, arguments) \
  member = library.find<answer arguments>(#symbol);           \
  if (member == nullptr && lacking.empty()) lacking = #symbol;
  RAILHEAD_NCCL_CALLS(RAILHEAD_NCCL_FIND)
#undef RAILHEAD_NCCL_FIND
  return lacking;
}

Error Calls::error(abi::Return code, std::string_view what, abi::Comm comm) const {
  std::string message = std::string(what) + ": ";
  const char* text = errorString(code);
  message += text != nullptr ? text : "error";
  message += " (NCCL code " + std::to_string(code) + ")";
  const char* last = lastError(comm);
  if (last != nullptr && *last != '\0') {
    std::string said = last;
    std::replace(said.begin(), said.end(), '\n', ' ');
    message += ": " + said.substr(0, 500);
  }
  return {classOf(code), std::move(message)};
}

std::string versionText(int code) {
  const int unit = code < 10000 ? 1000 : 10000;
  return std::to_string(code / unit) + "." + std::to_string(code % unit / 100) + "." +
         std::to_string(code % 100);
}

Library::Library(std::unique_ptr<Calls> calls) : calls_(std::move(calls)) {}
Library::~Library() = default;

Result<std::shared_ptr<const Library>> Library::open(const std::vector<std::string>& names) {
  auto opened = os::DynamicLibrary::open(names, os::Unload::kNever);
  if (!opened)
    return Error(ErrorCode::kEnvironment, "NCCL is missing: " + opened.error().message,
                 std::string(kRemedy));
  const std::shared_ptr<Library> library(new Library(std::make_unique<Calls>(std::move(*opened))));
  const std::string lacking = library->calls_->find();
  const Calls& calls = *library->calls_;
  if (calls.getVersion == nullptr || calls.getVersion(&library->version_) != abi::kSuccess) {
    return Error(ErrorCode::kEnvironment, library->path() + " is not NCCL: it tells no version",
                 std::string(kRemedy));
  }
  if (library->version_ < kOldest || !lacking.empty()) {
    return Error(ErrorCode::kEnvironment,
                 "NCCL " + library->versionText() + " (" + library->path() + ") is too old" +
                     (lacking.empty() ? "" : ": it lacks " + lacking),
                 std::string(kRemedy));
  }
  return std::shared_ptr<const Library>(library);
}

std::string Library::versionText() const { return nccl::versionText(version_); }
std::string Library::path() const { return calls_->library.path(); }

Result<UniqueId> Library::uniqueId() const {
  abi::UniqueId raw{};
  const abi::Return code = calls_->getUniqueId(&raw);
  if (code != abi::kSuccess) {
    return calls_->error(code, "make an NCCL id")
        .withRemedy("NCCL_SOCKET_IFNAME names the interface its ranks meet on");
  }
  UniqueId id{};
  std::memcpy(id.data(), raw.bytes, id.size());
  return id;
}

}  // namespace railhead::nccl
