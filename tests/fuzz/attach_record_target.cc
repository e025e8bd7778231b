#include "src/attach/journal.h"
#include "src/attach/network_status.h"
#include "src/json/json.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

#include <nlohmann/json.hpp>

namespace railhead::fuzz {

bool attachRecord(std::string_view input) {
  const auto attachment = attach::decodeAttachment(input);
  if (!taken(attachment)) return false;
  const std::string written = attach::encodeAttachment(*attachment);
  const auto again = attach::decodeAttachment(written);
  must(again.has_value(), "a record that was read can be written and read");
  must(attach::encodeAttachment(*again) == written, "and stays the same");

  attach::CniRequest request;
  request.id = attachment->id;
  request.networkName = attachment->networkName;
  request.prevResult = R"({"interfaces":[{"name":"eth0","sandbox":"/x"}]})";
  const auto status = attach::networkStatus(request, *attachment);
  if (taken(status)) must(json::parse(*status, "status").has_value(), "the status is JSON");
  return true;
}

}  // namespace railhead::fuzz
