#include "src/os/clock.h"

#include <thread>

namespace railhead::os {

void SystemClock::sleepFor(Duration duration) { std::this_thread::sleep_for(duration); }

}  // namespace railhead::os
