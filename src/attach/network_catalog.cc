#include "src/attach/network_catalog.h"

#include "src/attach/nad_config.h"
#include "src/base/text.h"

#include <algorithm>

namespace railhead::attach {
namespace {

constexpr std::size_t kMaxFiles = 256;  // looked at in one folder
constexpr std::size_t kMaxNamesShown = 32;

bool isConfiguration(const std::string& file) {
  return file.ends_with(".conf") || file.ends_with(".conflist") || file.ends_with(".json");
}

}  // namespace

Result<Network> LayeredCatalog::find(const std::string& networkNamespace, const std::string& name) {
  if (auto own = configured_.find(networkNamespace, name)) {
    Network network;
    network.resourceName = own->resourceName;
    network.rails = std::move(own);
    return network;
  }
  const auto nad = nads_ != nullptr ? nads_->find(networkNamespace, name) : std::nullopt;
  if (!nad && nads_ != nullptr && !nads_->isComplete()) {
    return Error(ErrorCode::kUnavailable,
                 "network " + inQuotes(networkNamespace + "/" + name) +
                     " is not known: the NetworkAttachmentDefinitions have not been listed yet",
                 "see in the agent's log whether it reaches the API server");
  }
  if (!nad) return unknown(networkNamespace, name);
  const std::string where = "NetworkAttachmentDefinition " + nad->podNamespace + "/" + nad->name;
  if (!trim(nad->config).empty()) return networkFrom(*nad, nad->config).addContext(where);
  RAILHEAD_TRY_ASSIGN(const std::string text, fileFor(name).addContext(where));
  return networkFrom(*nad, text).addContext(where);
}

bool LayeredCatalog::useSoftRoce(const std::string& resource) {
  if (configured_.useSoftRoce(resource)) return true;
  if (nads_ == nullptr) return false;
  const auto names = nads_->names();
  return std::any_of(names.begin(), names.end(), [&](const std::string& qualified) {
    const auto slash = qualified.find('/');
    if (slash == std::string::npos) return false;
    const auto nad = nads_->find(qualified.substr(0, slash), qualified.substr(slash + 1));
    if (!nad || nad->resourceName != resource) return false;
    const auto network = find(nad->podNamespace, nad->name);
    return network.has_value() && network->rails && network->rails->rdma == RdmaUse::kSoft;
  });
}

Result<std::string> LayeredCatalog::fileFor(const std::string& name) {
  for (const std::string& folder : folders_) {
    RAILHEAD_TRY_ASSIGN(std::string text, fileIn(folder, name));
    if (!text.empty()) return text;
  }
  return Error(ErrorCode::kNotFound,
               "spec.config is empty, and no file in " + join(folders_, " or ") + " has the name " +
                   inQuotes(name),
               "write spec.config, or put the configuration there");
}

// Empty when the folder has none, or is not there.
Result<std::string> LayeredCatalog::fileIn(const std::string& folder, const std::string& name) {
  const auto names = files_.listDirectory(folder);
  if (!names.has_value() && names.error().code == ErrorCode::kNotFound) return std::string();
  if (!names.has_value()) return names.error();
  std::size_t looked = 0;
  for (const std::string& file : *names) {
    if (!isConfiguration(file) || ++looked > kMaxFiles) continue;
    auto text = files_.readFile(folder + "/" + file, kMaxNadConfig);
    if (text.has_value() && configurationName(*text) == name) return text;
  }
  return std::string();
}

Error LayeredCatalog::unknown(const std::string& networkNamespace, const std::string& name) {
  std::vector<std::string> known = configured_.names();
  if (nads_ != nullptr) {
    for (std::string& nad : nads_->names()) known.push_back(std::move(nad));
  }
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  const std::size_t more = known.size() > kMaxNamesShown ? known.size() - kMaxNamesShown : 0;
  known.resize(known.size() - more);
  std::string there = known.empty() ? "no network is configured" : "there is " + join(known, ", ");
  if (more > 0) there += " and " + std::to_string(more) + " more";
  return Error(ErrorCode::kNotFound,
               "network " + inQuotes(networkNamespace + "/" + name) + " does not exist: " + there,
               nads_ != nullptr
                   ? "name one of these, or create a NetworkAttachmentDefinition"
                   : "name a configured network, or add it to the agent's configuration");
}

}  // namespace railhead::attach
