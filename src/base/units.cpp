#include "src/base/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "src/base/error.h"

namespace windlass {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};

constexpr std::array kUnits = {
    Unit{"B", 1},          Unit{"K", 1024.0},     Unit{"KiB", 1024.0},    Unit{"KB", 1e3},
    Unit{"M", 1048576.0},  Unit{"MiB", 1048576.0}, Unit{"MB", 1e6},       Unit{"G", 1073741824.0},
    Unit{"GiB", 1073741824.0}, Unit{"GB", 1e9},   Unit{"T", 1099511627776.0},
    Unit{"TiB", 1099511627776.0}, Unit{"TB", 1e12},
};

}  // namespace

std::int64_t parse_size(std::string_view text, std::string_view what) {
  if (text == "0") return 0;
  double number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  if (status != std::errc{} || !std::isfinite(number) || number < 0) {
    fail(ErrorCode::kUsage, "{}: '{}' is not a size; write a number and a unit, such as 24GiB or 500MB",
         what, text);
  }
  if (unit.empty()) {
    fail(ErrorCode::kUsage, "{}: '{}' has no unit; write {}GiB or {}MiB", what, text, text, text);
  }
  for (const Unit& known : kUnits) {
    if (known.name != unit) continue;
    const double size = number * known.bytes;
    if (size > 0x1p60) fail(ErrorCode::kUsage, "{}: {} is larger than 1 EiB", what, text);
    return static_cast<std::int64_t>(size);
  }
  fail(ErrorCode::kUsage, "{}: unknown unit '{}' in '{}'; use B, KiB, MiB, GiB, TiB, KB, MB, GB or TB",
       what, unit, text);
}

std::string format_size(std::int64_t size_bytes) {
  const double size = static_cast<double>(size_bytes);
  if (std::abs(size) >= 1073741824.0) return fmt::format("{:.2f} GiB", size / 1073741824.0);
  if (std::abs(size) >= 1048576.0) return fmt::format("{:.1f} MiB", size / 1048576.0);
  if (std::abs(size) >= 1024.0) return fmt::format("{:.1f} KiB", size / 1024.0);
  return fmt::format("{} B", size_bytes);
}

std::string format_rate(double bytes_per_s) {
  return fmt::format("{:.2f} GiB/s", bytes_per_s / 1073741824.0);
}

std::string format_seconds(double seconds) {
  if (seconds >= 100) return fmt::format("{:.0f} s", seconds);
  if (seconds >= 1) return fmt::format("{:.2f} s", seconds);
  if (seconds >= 1e-3) return fmt::format("{:.1f} ms", seconds * 1e3);
  return fmt::format("{:.1f} us", seconds * 1e6);
}

}  // namespace windlass
