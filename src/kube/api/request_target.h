// The URL's path and query of a call. Pure. Private to src/kube/api.
#pragma once

#include "src/kube/api/api_server.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::kube {

using Query = std::vector<std::pair<std::string, std::string>>;

// kInvalidArgument: a part is empty where it must not be, longer than 253 characters, or has
// characters that no Kubernetes name has.
Result<std::string> collectionTarget(const Collection& collection, const Query& query = {});
Result<std::string> objectTarget(const ObjectName& name, std::string_view subresource = {});

}  // namespace railhead::kube
