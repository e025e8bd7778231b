// Arithmetic on host buffers of a run-time element type. Pure functions.
#pragma once

#include "src/collective/call.h"

#include <cstddef>
#include <span>

namespace railhead::collective {

// into[i] += from[i], as the type has it: whole numbers wrap, half types round to nearest even
// after an addition in float. Both hold the same number of whole elements.
void addElements(ElementType type, std::span<std::byte> into, std::span<const std::byte> from);

// The bytes of `value` (exact for 0..127 in every type) at `at`.
void storeNumber(ElementType type, std::uint32_t value, std::byte* at);

}  // namespace railhead::collective
