// Progress of long work on standard error: a bar on a terminal, or JSON lines for programs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pipeline/engine.h"

namespace windlass {

// Owner-thread. At most 10 updates a second are drawn.
class ProgressDisplay {
 public:
  // mode: auto (a bar when standard error is a terminal), bar, json, off.
  explicit ProgressDisplay(std::string_view mode);
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  // Counts are bytes where `what` is "load" or "write", else things.
  void update(std::int64_t done, std::int64_t total, const char* what);
  // A line of its own about what is done, for people: not with off or json.
  void say(std::string_view line);
  // Takes the bar off the screen, before anything else is printed.
  void clear();
  // Draws, and throws Error(kInterrupted) once Ctrl-C came. Must not outlive the display.
  Progress callback();

 private:
  enum class Mode { kOff, kBar, kJson };
  void draw_bar(std::int64_t done, std::int64_t total, const char* what);

  Mode mode_ = Mode::kOff;
  bool quiet_ = false;  // no lines either
  bool drawn_ = false;
  double last_draw_s_ = 0;
};

}  // namespace windlass
