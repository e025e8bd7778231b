// gpu-check: proves src/gpu/cuda and the NCCL backend on a machine with a real GPU. run.sh beside
// this runs all of it. Changes no setting of a GPU.
#include "src/base/text.h"
#include "tests/support/gpu_check/checks.h"

#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace railhead::testing_support {
namespace {

constexpr const char* kUsage =
    "usage: gpu-check facts|kernels|collectives|dead-peer|late-peer [--NAME VALUE]...\n"
    "Prints JSON. For all: --cuda LIBRARY (libcuda.so.1). kernels: --bytes N (1 GiB).\n"
    "The others, one process for each rank: --rank R --ranks N --meet FOLDER [--device D]\n"
    "  [--nccl LIBRARY] [--launch direct|thread] [--log FILE] [--largest BYTES] (64 MiB)\n"
    "example: gpu-check kernels --bytes 268435456\n"
    "Exit codes: 0 all is right, 2 bad usage, 3 a check failed, 4 something is missing here.\n";

using Options = std::map<std::string, std::string>;

std::optional<Options> parse(int count, char** arguments) {
  Options out;
  for (int i = 2; i < count; i += 2) {
    const std::string_view name = arguments[i];
    if (!name.starts_with("--") || i + 1 >= count) return std::nullopt;
    out[std::string(name.substr(2))] = arguments[i + 1];
  }
  return out;
}

std::string textOf(const Options& options, const std::string& name, const std::string& other) {
  const auto found = options.find(name);
  return found == options.end() ? other : found->second;
}

std::uint64_t numberOf(const Options& options, const std::string& name, std::uint64_t other) {
  return parseUnsigned(textOf(options, name, std::to_string(other))).value_or(other);
}

Result<Json> run(std::string_view what, const Options& options) {
  const std::string cuda = textOf(options, "cuda", "libcuda.so.1");
  if (what == "facts") return checkFacts(cuda);
  if (what == "kernels") return checkKernels(cuda, numberOf(options, "bytes", 1UL << 30));
  RankOptions rank;
  rank.cudaLibrary = cuda;
  rank.ncclLibrary = textOf(options, "nccl", "libnccl.so.2");
  rank.device = textOf(options, "device", "");
  rank.meeting = textOf(options, "meet", ".");
  rank.rank = static_cast<int>(numberOf(options, "rank", 0));
  rank.ranks = static_cast<int>(numberOf(options, "ranks", 1));
  rank.largest = numberOf(options, "largest", rank.largest);
  rank.log = textOf(options, "log", "");
  if (textOf(options, "launch", "direct") == "thread") rank.launch = nccl::Launch::kByThread;
  if (what == "collectives") return checkCollectives(rank);
  if (what == "dead-peer") return checkFault(rank, true);
  if (what == "late-peer") return checkFault(rank, false);
  return Error(ErrorCode::kInvalidArgument, kUsage);
}

}  // namespace
}  // namespace railhead::testing_support

int main(int count, char** arguments) {
  using namespace railhead;  // NOLINT(google-build-using-namespace)
  const auto options = testing_support::parse(count, arguments);
  if (count < 2 || !options) {
    std::fputs(testing_support::kUsage, stderr);
    return static_cast<int>(ExitCode::kUsage);
  }
  const auto seen = testing_support::run(arguments[1], *options);
  if (!seen) {
    std::fprintf(stderr, "gpu-check %s: %s\n", arguments[1], seen.error().describe().c_str());
    return static_cast<int>(exitCodeFor(seen.error().code));
  }
  std::printf("%s\n", seen->dump(1).c_str());
  return 0;
}
