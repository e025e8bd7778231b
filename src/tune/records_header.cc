#include "src/tune/records_header.h"

#include "src/base/text.h"
#include "src/digest/sha256.h"
#include "src/tune/profile_text.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::tune {
namespace {

constexpr std::uint64_t kSchema = 1;
constexpr std::size_t kMaxHeaderBytes = 6 * RecordsHeader::kMaxFabric + 1024;

std::string textOfNeed(const Need& need) {
  return join(need.values, ",") + '>' + need.knob + '=' + join(need.oneOf, ",");
}

// Every part in its order: the order of knobs and values is that of the search, too.
std::string textOfSpace(const Space& space) {
  std::string out;
  for (const Knob& knob : space.knobs) {
    out += "knob " + knob.name + (knob.layer == Layer::kPerSize ? " size " : " process ") +
           join(knob.values, ",");
    for (const Need& need : knob.needs) out += ' ' + textOfNeed(need);
    out += '\n';
  }
  for (const ProductLimit& limit : space.products) {
    out += "product " + limit.first + ' ' + limit.second + ' ' + std::to_string(limit.most) + '\n';
  }
  for (const OrderLimit& limit : space.orders) {
    out += "order " + limit.lower + ' ' + limit.upper + '\n';
  }
  for (const Reach& reach : space.reaches) {
    out += "reach " + reach.knob + ' ' + reach.value + ' ' + join(reach.operations, ",") + '\n';
  }
  return out;
}

std::string textOfObjective(const Objective& objective) {
  std::string sizes;
  for (std::size_t i = 0; i < objective.sizes().size(); ++i) {
    const Size& size = objective.sizes()[i];
    sizes += size.operation + ' ' + std::to_string(size.bytes) +
             (size.overlapped ? " overlapped " : " alone ") + numberText(objective.weights()[i]) +
             '\n';
  }
  return std::string(objectiveName(objective.kind())) + ' ' + digest::sha256Hex(sizes);
}

nlohmann::json jsonOf(const RecordsHeader& header) {
  return {{"schema", kSchema},
          {"space", header.space},
          {"objective", header.objective},
          {"seed", header.seed},
          {"fabric", header.fabric}};
}

}  // namespace

RecordsHeader headerOf(const Space& space, const Objective& objective, std::uint64_t seed,
                       std::string_view fabric) {
  return {digest::sha256Hex(textOfSpace(space)), textOfObjective(objective), seed,
          std::string(fabric.substr(0, RecordsHeader::kMaxFabric))};
}

std::string encodeHeader(const RecordsHeader& header) {
  return jsonOf(header).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<std::string_view> checkHeader(std::string_view text, const RecordsHeader& own,
                                     const std::string& source) {
  const auto end = text.substr(0, kMaxHeaderBytes).find('\n');
  if (end == std::string_view::npos && text.size() < kMaxHeaderBytes) return std::string_view();
  const auto there =
      nlohmann::json::parse(text.substr(0, std::min(end, kMaxHeaderBytes)), nullptr, false);
  if (!there.is_object() || there.find("schema") == there.end()) {
    return Error(ErrorCode::kCorrupt, source + ":1: is no header of trial records",
                 "resume with the file that --resume's first run wrote, or leave it out");
  }
  // Compared as encodeHeader() writes it, where bytes that are no UTF-8 are replaced.
  const auto here = nlohmann::json::parse(encodeHeader(own));
  for (const auto& [name, value] : here.items()) {
    const auto found = there.find(name);
    if (found != there.end() && *found == value) continue;
    const std::string was = found == there.end() ? "missing" : found->dump().substr(0, 200);
    return Error(ErrorCode::kInvalidArgument,
                 source + ": the records are of another search: " + name + " is " + was +
                     " there and " + value.dump().substr(0, 200) + " now",
                 "resume with the objective, sizes, seed and hardware of the first run, or begin "
                 "with another file");
  }
  return text.substr(end + 1);
}

}  // namespace railhead::tune
