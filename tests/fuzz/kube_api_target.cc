#include "src/kube/api/nad.h"
#include "src/kube/api/wire_json.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

namespace railhead::fuzz {
namespace {

void checkNad(const kube::Nad& nad) {
  must(!nad.name.empty() && nad.name.find('/') == std::string::npos, "a NAD has a name");
  must(nad.qualifiedName().size() <= 63U + 1 + 253, "names are bounded");
  must(nad.config.size() <= kube::kMaxNadConfig, "a configuration is bounded");
}

bool object(std::string_view input) {
  const auto nad = kube::parseNad(input);
  if (nad.has_value()) checkNad(*nad);
  return taken(nad);
}

bool listPage(std::string_view input) {
  const auto page = kube::parseListPage(input);
  if (!taken(page)) return false;
  for (const auto& one : page->objects) object(one);
  return true;
}

bool watchLine(std::string_view input) {
  const auto line = kube::parseWatchLine(input);
  if (!taken(line)) return false;
  must(line->event.has_value() || line->errorStatus >= 0, "a line is an event or an error");
  if (line->event) object(line->event->object);
  return true;
}

bool nads(const Result<std::vector<kube::Nad>>& read) {
  if (!taken(read)) return false;
  for (const auto& nad : *read) checkNad(nad);
  const auto again = kube::decodeNads(kube::encodeNads(*read));
  must(again.has_value() && again->size() == read->size(), "NADs can be kept");
  for (std::size_t i = 0; i < read->size(); ++i)
    must((*again)[i].qualifiedName() == (*read)[i].qualifiedName(), "under their names");
  return true;
}

}  // namespace

bool kubeApi(std::string_view input) {
  must(kube::statusMessage(input).size() <= kMaxMessage, "a message is short");
  must(kube::statusReason(input).size() <= 64, "a reason is short");
  const bool page = listPage(input);
  const bool line = watchLine(input);
  const bool one = object(input);
  const bool manifest = nads(kube::parseNadManifest(input, "a.yaml"));
  const bool kept = nads(kube::decodeNads(input));
  return page || line || one || manifest || kept;
}

}  // namespace railhead::fuzz
