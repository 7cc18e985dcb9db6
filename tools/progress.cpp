#include "tools/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tools/interrupt.h"

namespace windlass {
namespace {

constexpr double kDrawEvery_s = 0.1;
constexpr std::int64_t kBarCells = 30;

bool counts_bytes(std::string_view what) {
  return what == "check" || what == "load" || what == "write";
}

}  // namespace

ProgressDisplay::ProgressDisplay(std::string_view mode) {
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  if (mode == "bar" || (mode == "auto" && terminal)) mode_ = Mode::kBar;
  if (mode == "json") mode_ = Mode::kJson;
  quiet_ = mode == "off" || mode == "json";
}

ProgressDisplay::~ProgressDisplay() { clear(); }

void ProgressDisplay::update(std::int64_t done, std::int64_t total, const char* what) {
  if (mode_ == Mode::kOff) return;
  const double now = now_s();
  const bool last = done >= total;
  if (!last && now - last_draw_s_ < kDrawEvery_s) return;
  last_draw_s_ = now;
  if (mode_ == Mode::kBar) {
    draw_bar(done, total, what);
    if (last) clear();
    return;
  }
  fmt::print(stderr, "{{\"progress\":{{\"what\":\"{}\",\"done\":{},\"total\":{}}}}}\n", what, done,
             total);
}

void ProgressDisplay::say(std::string_view line) {
  if (quiet_) return;
  clear();
  fmt::print(stderr, "{}\n", line);
}

void ProgressDisplay::draw_bar(std::int64_t done, std::int64_t total, const char* what) {
  const std::int64_t safe_total = std::max<std::int64_t>(total, 1);
  const std::int64_t cells = std::clamp<std::int64_t>(
      static_cast<std::int64_t>(static_cast<double>(done) / static_cast<double>(safe_total) *
                                kBarCells),
      0, kBarCells);
  const std::string counts = counts_bytes(what)
                                 ? fmt::format("{} of {}", format_size(done), format_size(total))
                                 : fmt::format("{} of {}", done, total);
  fmt::print(stderr, "\r\x1b[K{:<8} [{:#<{}}{: <{}}] {}", what, "", cells, "", kBarCells - cells,
             counts);
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressDisplay::clear() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

Progress ProgressDisplay::callback() {
  return [this](std::int64_t done, std::int64_t total, const char* what) {
    throw_if_interrupted();
    update(done, total, what);
  };
}

}  // namespace windlass
