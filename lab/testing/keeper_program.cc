// A keeper alone, for tests that do not build the whole command.
#include "lab/keeper/keeper.h"

#include <cstdlib>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  return static_cast<int>(railhead::lab::runKeeper(railhead::os::UniqueFd(std::atoi(argv[1])),
                                                   railhead::os::HostPaths()));
}
