#include "src/agent/delivery/fabric.h"

#include "src/discover/twins.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace railhead::agent {
namespace {

using Texts = std::vector<std::string>;

std::string pciIds(const discover::PciFunction& function) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%04x:%04x", unsigned{function.vendor},
                unsigned{function.device});
  return text.data();
}

SeenRail seenRail(const discover::Node& node, const discover::Rail& rail) {
  SeenRail seen;
  const auto* pf = discover::findPf(node, rail.pf);
  if (pf == nullptr) return seen;
  seen.pf = pciIds(*pf);
  if (pf->speed) seen.link = pf->speed->toString();
  seen.pfMtu = pf->mtu;
  const auto* vf = discover::findVf(*pf, rail.vfIndex);
  if (vf == nullptr) return seen;
  seen.vf = pciIds(*vf);
  seen.vfMtu = vf->mtu;
  return seen;
}

// Those of the rails of so many sets, sorted; empty when one is not known.
Texts ofSets(const std::vector<SeenRail>& rails, std::string SeenRail::*field, std::size_t sets) {
  Texts texts;
  for (const auto& rail : rails) {
    if ((rail.*field).empty()) return {};
    texts.insert(texts.end(), sets, rail.*field);
  }
  std::sort(texts.begin(), texts.end());
  return texts;
}

// What ranks say of a device that is none of hardware (soft-roce), or does not tell its rate.
bool tells(const Texts& texts) {
  return !texts.empty() && std::none_of(texts.begin(), texts.end(), [](const auto& text) {
    return text == "soft-roce" || text == "unknown";
  });
}

bool isAmong(const Texts& tuned, const Texts& there) {
  return std::is_permutation(tuned.begin(), tuned.end(), there.begin(), there.end());
}

// The profile's fabric, with what this rail set has in place of what it says.
tune::Fingerprint fabricOf(const tune::Fingerprint& tuned, const std::vector<SeenRail>& rails) {
  tune::Fingerprint there = tuned;
  if (rails.empty() || tuned.nics.empty()) return there;  // over sockets: no word of any NIC
  const bool whole = tuned.nics.size() % rails.size() == 0;
  const std::size_t sets = whole ? tuned.nics.size() / rails.size() : 1;
  const Texts vfs = ofSets(rails, &SeenRail::vf, sets);
  const Texts pfs = ofSets(rails, &SeenRail::pf, sets);
  const bool same = isAmong(tuned.nics, vfs) || isAmong(tuned.nics, pfs);
  if (tells(tuned.nics) && !same && !vfs.empty()) there.nics = vfs;
  const Texts links = ofSets(rails, &SeenRail::link, sets);
  if (tells(tuned.links) && !links.empty() && !isAmong(tuned.links, links)) there.links = links;
  for (const auto& rail : rails) {
    const auto is = [&](int mtu) { return static_cast<std::uint64_t>(mtu) == tuned.mtu; };
    const int known = rail.vfMtu > 0 ? rail.vfMtu : rail.pfMtu;
    if (known > 0 && !is(rail.vfMtu) && !is(rail.pfMtu))
      there.mtu = static_cast<std::uint64_t>(known);
  }
  return there;
}

}  // namespace

SeenFabric seenFabric(const advertise::RailPicture& picture) {
  SeenFabric seen;
  for (const auto& set : picture.rails.offered) {
    std::vector<SeenRail> rails;
    for (const auto& rail : set.rails) rails.push_back(seenRail(picture.known, rail));
    if (std::find(seen.sets.begin(), seen.sets.end(), rails) == seen.sets.end())
      seen.sets.push_back(std::move(rails));
  }
  return seen;
}

Result<void> belongsHere(const tune::Profile& profile, const SeenFabric& seen) {
  Result<void> outcome;
  for (const auto& rails : seen.sets) {
    auto here = tune::matches(profile, fabricOf(profile.fabric, rails));
    if (here.has_value()) return here;
    if (outcome.has_value()) outcome = std::move(here);
  }
  return outcome;
}

}  // namespace railhead::agent
