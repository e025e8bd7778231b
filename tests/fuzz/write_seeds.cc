// write_seeds SEEDS FOLDER: makes a corpus for libFuzzer, a file for each seed.
#include "tests/fuzz/seeds.h"

#include <filesystem>
#include <fstream>
#include <iostream>

namespace railhead::fuzz {
namespace {

Result<void> writeSeeds(const std::string& path, const std::string& folder) {
  RAILHEAD_TRY_ASSIGN(const auto seeds, readSeeds(path));
  std::error_code failed;
  std::filesystem::remove_all(folder, failed);
  std::filesystem::create_directories(folder, failed);
  for (const auto& seed : seeds) {
    const std::string file = folder + "/" + seed.name;
    std::ofstream out(file, std::ios::binary);
    out << seed.bytes;
    out.close();
    if (!out) return Error(ErrorCode::kIo, "write " + file);
  }
  return {};
}

}  // namespace
}  // namespace railhead::fuzz

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: write_seeds SEEDS FOLDER\n";
    return 2;
  }
  const auto written = railhead::fuzz::writeSeeds(argv[1], argv[2]);
  if (written.has_value()) return 0;
  std::cerr << "write_seeds: " << written.error().describe() << '\n';
  return 1;
}
