// The text that Prometheus scrapes (exposition format 0.0.4), built anew for each scrape from what
// the program knows at that moment: nothing is registered, nothing is kept.
#pragma once

#include "src/metrics/histogram.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::metrics {

enum class Kind { kGauge, kCounter, kHistogram };

using Labels = std::vector<std::pair<std::string_view, std::string>>;

// Not thread-safe. Label values may be any bytes; they are escaped, and what is not UTF-8 is
// replaced by '?'.
class Exposition {
 public:
  Exposition();
  ~Exposition();
  Exposition(const Exposition&) = delete;
  Exposition& operator=(const Exposition&) = delete;

  // Begins a family; what follows belongs to it. Each name once. A family without samples is not
  // written.
  void family(Kind kind, std::string_view name, std::string_view help);
  void sample(const Labels& labels, double value);           // of a gauge or a counter
  void sample(const Labels& labels, const HistogramValue&);  // of a histogram

  std::string takeText();  // everything so far; ends the family
  const std::vector<std::string>& names()
      const;  // of every family begun, also those without samples

 private:
  // A family is written as soon as the next one begins: a sample of the library's takes ten times
  // its text.
  void endFamily();
  struct Family;  // the library's
  std::unique_ptr<Family> family_;
  std::string text_;
  std::vector<std::string> names_;
};

}  // namespace railhead::metrics
