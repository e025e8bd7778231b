#include "src/report/terminal/live_line.h"

#include "src/report/terminal/text_width.h"

#include <ostream>

namespace railhead::report {

void LiveLine::show(std::string_view text) {
  if (!style_.terminal) return;
  shown_ = true;
  // The last column stays empty: some terminals go on to the next line behind it.
  out_ << "\r\x1b[K" << cutToWidth(printable(text), style_.columns - 1) << std::flush;
}

void LiveLine::clear() {
  if (shown_) out_ << "\r\x1b[K" << std::flush;
  shown_ = false;
}

void LiveLine::keep() {
  if (shown_) out_ << '\n' << std::flush;
  shown_ = false;
}

}  // namespace railhead::report
