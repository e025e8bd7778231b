#include "src/tune_run/live_choice.h"

#include "plugins/nccl-tuner/live_table.h"
#include "src/base/text.h"
#include "src/tune/table.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace railhead::tune {
namespace {

// The names stand in the order of NCCL's numbers.
template <std::size_t kCount>
Result<std::uint32_t> numberOf(const std::array<std::string_view, kCount>& names,
                               std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<std::uint32_t>(found - names.begin());
  return Error(ErrorCode::kInvalidArgument, "NCCL has no " + inQuotes(name));
}

}  // namespace

LiveChoices::LiveChoices(os::UniqueFd file, nccl_tuner::LiveTable* table)
    : file_(std::move(file)), table_(table) {}
LiveChoices::LiveChoices(LiveChoices&& other) noexcept
    : file_(std::move(other.file_)), table_(std::exchange(other.table_, nullptr)) {}
LiveChoices::~LiveChoices() {
  if (table_ != nullptr) ::munmap(table_, sizeof *table_);
}

Result<LiveChoices> LiveChoices::create() {
  os::UniqueFd file(::memfd_create("railhead-live-choices", MFD_CLOEXEC));
  if (!file) return Error::fromErrno(errno, "make a file in memory");
  if (::ftruncate(file.get(), sizeof(nccl_tuner::LiveTable)) != 0)
    return Error::fromErrno(errno, "size a file in memory");
  void* at = ::mmap(nullptr, sizeof(nccl_tuner::LiveTable), PROT_READ | PROT_WRITE, MAP_SHARED,
                    file.get(), 0);
  if (at == MAP_FAILED) return Error::fromErrno(errno, "map a file in memory");
  return LiveChoices(std::move(file), static_cast<nccl_tuner::LiveTable*>(at));
}

std::string LiveChoices::path() const { return "/proc/self/fd/" + std::to_string(file_.get()); }

Result<void> LiveChoices::choose(const Setting& choice) {
  nccl_tuner::LiveChoice live = nccl_tuner::kNcclDecides;
  if (choice.value("algorithm") != kDefault) {
    RAILHEAD_TRY_ASSIGN(live.algorithm, numberOf(kAlgorithms, choice.value("algorithm")));
    RAILHEAD_TRY_ASSIGN(live.protocol, numberOf(kProtocols, choice.value("protocol")));
    live.channels = static_cast<std::uint32_t>(parseUnsigned(choice.value("channels")).value_or(0));
  }
  nccl_tuner::writeLive(*table_, live);
  return {};
}

}  // namespace railhead::tune
