// What option values become, and checks of them that CLI11's own let pass.
#pragma once

#include "src/base/result.h"

#include <string>

namespace CLI {
class Validator;
}

namespace railhead::usage {

// As CLI::Range of real numbers, and no NaN: it is on neither side of a bound.
CLI::Validator realRange(double least, double most);

// As CLI::AsSizeValue(false), "4MiB"; a sign, or more than 64 bits, is refused and not wrapped.
CLI::Validator sizeValue();

// The path from the root on, without ".", ".." and a "/" at its end. kNotFound: it begins in a
// working folder that is not there any more.
Result<std::string> absolutePath(const std::string& path);

}  // namespace railhead::usage
