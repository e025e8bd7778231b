#include "src/tune/space.h"

#include "src/base/text.h"

#include <algorithm>

namespace railhead::tune {
namespace {

bool isOneOf(std::string_view value, const std::vector<std::string>& values) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

bool matches(std::string_view value, const std::vector<std::string>& values) {
  return values.empty() ? value != kDefault : isOneOf(value, values);
}

bool isMet(const Need& need, std::string_view ownValue, const Setting& setting) {
  return !matches(ownValue, need.values) || matches(setting.value(need.knob), need.oneOf);
}

// A knob's value as a number; the default, and what is no number, as `otherwise`.
std::uint64_t numberOf(const Setting& setting, const std::string& knob, std::uint64_t otherwise) {
  return parseUnsigned(setting.value(knob)).value_or(otherwise);
}

Error illegal(std::string_view knob, std::string_view value, const std::string& allowed) {
  return {ErrorCode::kInvalidArgument,
          std::string(knob) + " is " + inQuotes(value) + "; allowed: " + allowed};
}

}  // namespace

const Knob* Space::find(std::string_view name) const {
  const auto found =
      std::find_if(knobs.begin(), knobs.end(), [&](const Knob& knob) { return knob.name == name; });
  return found == knobs.end() ? nullptr : &*found;
}

std::vector<const Knob*> Space::ofLayer(Layer layer) const {
  std::vector<const Knob*> out;
  for (const Knob& knob : knobs) {
    if (knob.layer == layer) out.push_back(&knob);
  }
  return out;
}

Setting Space::part(const Setting& setting, Layer layer) const {
  Setting out;
  for (const auto& [name, value] : setting.values()) {
    const Knob* knob = find(name);
    if (knob != nullptr && knob->layer == layer) out.set(name, value);
  }
  return out;
}

Result<void> Space::check(const Setting& setting) const {
  for (const auto& [name, value] : setting.values()) {
    const Knob* knob = find(name);
    if (knob == nullptr) {
      return Error(ErrorCode::kInvalidArgument, "no knob of this platform is named " + name);
    }
    if (!isOneOf(value, knob->values)) {
      return illegal(name, value, "default, " + join(knob->values, ", "));
    }
    for (const Need& need : knob->needs) {
      if (isMet(need, value, setting)) continue;
      return illegal(name, value,
                     "that only with " + need.knob +
                         (need.oneOf.empty() ? " set" : " at " + join(need.oneOf, ", ")));
    }
  }
  for (const ProductLimit& limit : products) {
    const auto first = numberOf(setting, limit.first, 1);
    if (first * numberOf(setting, limit.second, 1) <= limit.most) continue;
    return illegal(limit.first, setting.value(limit.first),
                   "at most " + std::to_string(limit.most) + " times " + limit.second);
  }
  for (const OrderLimit& limit : orders) {
    if (setting.value(limit.lower) == kDefault || setting.value(limit.upper) == kDefault) continue;
    if (numberOf(setting, limit.lower, 0) <= numberOf(setting, limit.upper, 0)) continue;
    return illegal(limit.lower, setting.value(limit.lower), "at most " + limit.upper);
  }
  return {};
}

bool Space::carries(const Setting& setting, std::string_view operation) const {
  return std::all_of(reaches.begin(), reaches.end(), [&](const Reach& reach) {
    return setting.value(reach.knob) != reach.value || isOneOf(operation, reach.operations);
  });
}

std::vector<Setting> Space::steps(const Setting& from, const Knob& knob) const {
  std::vector<Setting> out;
  const auto offer = [&](const Setting& setting) {
    if (isLegal(setting)) out.push_back(setting);
  };
  const auto changedTo = [&](std::string_view value) {
    Setting changed = from.with(knob.name, value);
    for (const Knob& other : knobs) {
      for (const Need& need : other.needs) {
        if (need.knob == knob.name && !isMet(need, changed.value(other.name), changed)) {
          changed.set(other.name, kDefault);
        }
      }
    }
    return changed;
  };
  if (from.value(knob.name) != kDefault) offer(changedTo(kDefault));
  for (const std::string& value : knob.values) {
    if (value == from.value(knob.name)) continue;
    const Setting changed = changedTo(value);
    const auto unmet = std::find_if(knob.needs.begin(), knob.needs.end(),
                                    [&](const Need& need) { return !isMet(need, value, changed); });
    const Knob* needed = unmet == knob.needs.end() ? nullptr : find(unmet->knob);
    if (needed == nullptr) {
      offer(changed);
      continue;
    }
    for (const std::string& brought : unmet->oneOf.empty() ? needed->values : unmet->oneOf) {
      offer(changed.with(needed->name, brought));
    }
  }
  return out;
}

Result<std::vector<Setting>> Space::all(Layer layer, std::size_t most) const {
  std::vector<Setting> out{Setting()};
  const auto tooMany = [&] {
    return Error(ErrorCode::kExhausted,
                 "the space has more than " + std::to_string(most) + " settings of one layer");
  };
  // Settings that lack a need may still get it from a later knob, so legality is judged at the end.
  for (const Knob* knob : ofLayer(layer)) {
    const std::size_t before = out.size();
    if (before * (knob->values.size() + 1) > 8 * most) return tooMany();
    for (const std::string& value : knob->values) {
      for (std::size_t i = 0; i < before; ++i) out.push_back(out[i].with(knob->name, value));
    }
  }
  std::erase_if(out, [&](const Setting& setting) { return !isLegal(setting); });
  if (out.size() > most) return tooMany();
  return out;
}

}  // namespace railhead::tune
