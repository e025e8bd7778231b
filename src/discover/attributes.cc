#include "src/discover/attributes.h"

#include "src/base/text.h"

namespace railhead::discover {

Attributes Attributes::below(std::string_view name) const {
  return {files_, directory_ + "/" + std::string(name)};
}

std::string Attributes::text(std::string_view name) const {
  constexpr std::size_t kPage = 4096;  // sysfs gives no more
  auto content = files_.readFile(directory_ + "/" + std::string(name), kPage);
  if (!content.has_value()) return {};
  return std::string(trim(*content).substr(0, kMaxLength));
}

std::optional<std::uint64_t> Attributes::number(std::string_view name) const {
  const std::string value = text(name);
  return value.starts_with("0x") ? parseHex(value) : parseUnsigned(value);
}

int Attributes::integer(std::string_view name, int low, int high, int otherwise) const {
  const std::string value = text(name);
  const bool negative = value.starts_with('-');
  const auto magnitude = parseUnsigned(std::string_view(value).substr(negative ? 1 : 0));
  if (!magnitude || *magnitude > 0x7fffffff) return otherwise;
  const int number = negative ? -static_cast<int>(*magnitude) : static_cast<int>(*magnitude);
  return number < low || number > high ? otherwise : number;
}

Mac Attributes::mac(std::string_view name) const {
  auto parsed = Mac::parse(text(name));
  return parsed.has_value() ? *parsed : Mac{};
}

std::string Attributes::linkName(std::string_view name) const {
  auto target = files_.linkName(directory_ + "/" + std::string(name));
  return target.has_value() ? target->substr(0, kMaxLength) : std::string();
}

std::vector<std::string> Attributes::entries(std::string_view name, std::size_t limit) const {
  auto names = files_.listDirectory(directory_ + "/" + std::string(name));
  if (!names.has_value()) return {};
  if (names->size() > limit) names->resize(limit);
  return std::move(*names);
}

}  // namespace railhead::discover
