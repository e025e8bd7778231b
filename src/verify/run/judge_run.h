// From the ranks' accounts to the judgement of each pair and direction that moved data, and the
// report of it all (docs/reference/verify.md). Pure.
#pragma once

#include "src/verify/run/rank_account.h"
#include "src/verify/verdict.h"

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace railhead::verify {

// Rank r sends to r + 1: one direction for each rank. One rank alone has none.
std::vector<Judgement> judgeRun(const std::vector<RankAccount>& accounts);

// What all of it comes to: the one verdict of all directions, mixed where they differ, unproven
// where one is.
Verdict overall(const std::vector<Judgement>& judgements);

struct VerifyReport {
  std::vector<RankAccount> ranks;
  std::vector<Judgement> judgements;
  Expectation expectation;
  ExpectationResult expected;
};
std::string toJson(const VerifyReport& report);
// Of a direction: "evidence[].{source,what,where,supports,value}".
nlohmann::json evidenceJson(const std::vector<Evidence>& evidence);

}  // namespace railhead::verify
