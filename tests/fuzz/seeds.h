// Seeds of the fuzz targets, from text files (seeds/TARGET.seeds):
//
//   # what stands before the first seed is comment
//   ==== NAME [refused] [escaped] [from PATH]
//   the seed's text, up to the next such line; the last newline is not part of it
//
// refused: the target does not take it. escaped: "\xNN" is a byte and a line's end is nothing, for
// inputs that are not text. from: the content of that file, below the working directory.
#pragma once

#include "src/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace railhead::fuzz {

struct Seed {
  std::string name;
  bool refused = false;
  std::string bytes;
};

// kCorrupt names the line; kNotFound the file.
Result<std::vector<Seed>> parseSeeds(std::string_view text);
Result<std::vector<Seed>> readSeeds(const std::string& path);

}  // namespace railhead::fuzz
