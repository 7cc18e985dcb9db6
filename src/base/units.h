// Byte counts as people write and read them. Sizes are 1024-based with an i (GiB), 1000-based without (GB).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace windlass {

inline constexpr std::int64_t kKiB = std::int64_t{1} << 10;
inline constexpr std::int64_t kMiB = std::int64_t{1} << 20;
inline constexpr std::int64_t kGiB = std::int64_t{1} << 30;

// "24GiB", "1.5GiB", "500MB" (5e8), "64M"/"64MiB" alike (a bare letter is 1024-based, as in cgroups); "0" alone needs no
// unit. Throws Error(kUsage) naming `what` ("--ram") for anything else, negative or above 2^60.
std::int64_t parse_size(std::string_view text, std::string_view what);

// "1.37 GiB", "64.0 MiB", "512 B".
std::string format_size(std::int64_t size_bytes);
// "0.93 GiB/s".
std::string format_rate(double bytes_per_s);
// "1.2 s", "34 ms", "5.1 us".
std::string format_seconds(double seconds);

constexpr std::int64_t align_down(std::int64_t value, std::int64_t alignment) {
  return value / alignment * alignment;
}
constexpr std::int64_t align_up(std::int64_t value, std::int64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace windlass
