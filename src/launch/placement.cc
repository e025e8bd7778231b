#include "src/launch/placement.h"

#include "src/base/text.h"

#include <algorithm>
#include <cctype>

namespace railhead::launch {
namespace {

constexpr std::uint64_t kMaxLocalRanks = 64;
constexpr std::size_t kMaxHosts = 1024;

// `field` is where the text stands: "--on".
Error bad(std::string_view field, std::string_view text, const std::string& why) {
  return Error(ErrorCode::kInvalidArgument, std::string(field) + " " + inQuotes(text) + ": " + why,
               "give local:N, lab, ssh:HOST,HOST or kubernetes[:CONTEXT]");
}

// What ssh takes as a destination, and never an option of it.
bool isHost(std::string_view host) {
  return !host.empty() && host.size() <= 253 && host.front() != '-' &&
         std::all_of(host.begin(), host.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 ||
                  std::string_view("._-@:[]").find(static_cast<char>(c)) != std::string_view::npos;
         });
}

Result<Placement> parseSsh(std::string_view field, std::string_view text, std::string_view hosts) {
  Placement out;
  if (hosts.empty()) return bad(field, text, "expected hosts, like ssh:spark-a,spark-b");
  out.kind = Placement::Kind::kSsh;
  for (const auto host : split(hosts, ',')) {
    if (!isHost(host))
      return bad(field, text, "host " + inQuotes(host) + " is none that ssh takes");
    out.hosts.emplace_back(host);
  }
  if (out.hosts.size() > kMaxHosts) return bad(field, text, "more than 1024 hosts");
  return out;
}

}  // namespace

Result<Placement> Placement::parse(std::string_view text, std::string_view field) {
  const auto colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const bool more = colon != std::string_view::npos;
  const std::string_view rest = more ? text.substr(colon + 1) : std::string_view();
  Placement out;
  if (kind == "local") {
    const auto count = more ? parseUnsigned(rest) : std::optional<std::uint64_t>();
    if (!count || *count < 1 || *count > kMaxLocalRanks) {
      return bad(field, text, "expected local:N with N from 1 to 64");
    }
    out.ranks = static_cast<int>(*count);
    return out;
  }
  if (kind == "ssh") return parseSsh(field, text, rest);
  if (kind == "lab" && !more) {
    out.kind = Kind::kLab;
    return out;
  }
  if (kind == "kubernetes") {
    if (more && (rest.empty() || rest.front() == '-' || rest.size() > 253)) {
      return bad(field, text, "expected the name of a kubectl context behind the colon");
    }
    out.kind = Kind::kKubernetes;
    out.context = rest;
    return out;
  }
  return bad(field, text, "it is none of the places that ranks can run");
}

std::string Placement::toString() const {
  switch (kind) {
    case Kind::kLocal:
      return "local:" + std::to_string(ranks);
    case Kind::kLab:
      return "lab";
    case Kind::kSsh:
      return "ssh:" + join(hosts, ",");
    case Kind::kKubernetes:
      return context.empty() ? "kubernetes" : "kubernetes:" + context;
  }
  return "";
}

}  // namespace railhead::launch
