// Checks of option values that CLI11's own let pass.
#pragma once

namespace CLI {
class Validator;
}

namespace railhead::usage {

// As CLI::Range of real numbers, and no NaN: it is on neither side of a bound.
CLI::Validator realRange(double least, double most);

// As CLI::AsSizeValue(false), "4MiB"; a sign, or more than 64 bits, is refused and not wrapped.
CLI::Validator sizeValue();

}  // namespace railhead::usage
