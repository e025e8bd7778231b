#include "src/metrics/exposition.h"

#include <limits>
#include <utility>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace railhead::metrics {
namespace {

prometheus::MetricType libraryType(Kind kind) {
  switch (kind) {
    case Kind::kGauge:
      return prometheus::MetricType::Gauge;
    case Kind::kCounter:
      return prometheus::MetricType::Counter;
    case Kind::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

// The bytes that may follow a leading one (Unicode, table 3-7): no overlong form, no surrogate,
// nothing beyond U+10FFFF.
bool fitsSecond(unsigned char lead, unsigned char second) {
  const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  return low <= second && second <= high;
}

// One malformed byte in a name that came from sysfs must not cost the whole scrape.
std::string valid(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80                    ? 1
                               : lead >= 0xc2 && lead <= 0xdf ? 2
                               : (lead & 0xf0) == 0xe0        ? 3
                               : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                              : 0;
    bool good = length > 0 && i + length <= text.size();
    for (std::size_t k = 1; good && k < length; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      good = k == 1 ? fitsSecond(lead, byte) : (byte & 0xc0) == 0x80;
    }
    if (good) {
      out.append(text, i, length);
      i += length;
    } else {
      out += '?';
      ++i;
    }
  }
  return out;
}

prometheus::ClientMetric withLabels(const Labels& labels) {
  prometheus::ClientMetric metric;
  metric.label.reserve(labels.size());
  for (const auto& [name, value] : labels) {
    metric.label.push_back({std::string(name), valid(value)});
  }
  return metric;
}

}  // namespace

struct Exposition::Family {
  prometheus::MetricFamily family;
};

Exposition::Exposition() : family_(std::make_unique<Family>()) {}
Exposition::~Exposition() = default;

void Exposition::family(Kind kind, std::string_view name, std::string_view help) {
  endFamily();
  family_->family = {std::string(name), std::string(help), libraryType(kind), {}};
  names_.emplace_back(name);
}

void Exposition::endFamily() {
  if (!family_->family.metric.empty()) {
    text_ += prometheus::TextSerializer().Serialize({family_->family});
  }
  family_->family = {};
}

void Exposition::sample(const Labels& labels, double value) {
  auto& family = family_->family;
  auto metric = withLabels(labels);
  if (family.type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(std::move(metric));
}

void Exposition::sample(const Labels& labels, const HistogramValue& value) {
  auto metric = withLabels(labels);
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < value.counts.size(); ++i) {
    count += value.counts[i];
    metric.histogram.bucket.push_back({count, i < value.bounds.size()
                                                  ? value.bounds[i]
                                                  : std::numeric_limits<double>::infinity()});
  }
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum = value.sum;
  family_->family.metric.push_back(std::move(metric));
}

std::string Exposition::takeText() {
  endFamily();
  return std::exchange(text_, {});
}

const std::vector<std::string>& Exposition::names() const { return names_; }

}  // namespace railhead::metrics
