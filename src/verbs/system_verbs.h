// Verbs over libibverbs.
#pragma once

#include "src/verbs/verbs.h"

namespace railhead::verbs {

class SystemVerbs final : public Verbs {
 public:
  Result<std::vector<DeviceInfo>> listDevices() override;
  Result<std::unique_ptr<DeviceContext>> open(const std::string& device) override;
};

}  // namespace railhead::verbs
