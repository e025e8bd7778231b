#include "src/tune/export.h"
#include "src/tune/profile.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

bool railhead::fuzz::tunedProfile(std::string_view input) {
  const auto profile = tune::parseProfile(input, "profile.yaml");
  if (!taken(profile)) return false;
  const auto text = tune::writeProfile(*profile);
  must(taken(text), "what is read can be written");
  const auto again = tune::parseProfile(*text, "profile.yaml");
  must(taken(again) && *again == *profile, "and comes back as it was");
  const auto table = tune::tunerTable(*profile);
  must(taken(table) && taken(tune::parseTable(*table, "table")), "its table is one");
  return true;
}
