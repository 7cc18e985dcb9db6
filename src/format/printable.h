// Text out of a file, made fit for a one-line message: no control bytes, bounded length.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace windlass {

// Control bytes and bytes past ASCII become \xNN; what is past 80 bytes becomes "...".
inline std::string printable(std::string_view text) {
  constexpr std::size_t kShown = 80;
  std::string out;
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", byte);
    }
  }
  if (text.size() > kShown) out += "...";
  return out;
}

}  // namespace windlass
