// Reads an InlineNetwork from JSON. Only .cc files include this header.
#pragma once

#include "src/attach/inline_network.h"
#include "src/cni/json_input.h"

namespace railhead::attach {

// kInvalidArgument names the key, its value and what is allowed; kUnsupported for an "ipam", as
// addresses belong to VFs here.
Result<InlineNetwork> parseInlineNetwork(const cni::Json& config);

}  // namespace railhead::attach
