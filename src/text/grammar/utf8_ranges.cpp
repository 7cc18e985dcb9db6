#include "src/text/grammar/utf8_ranges.h"

#include <algorithm>

namespace windlass {
namespace {

struct SizeClass {
  std::int32_t first, last;  // code points of one encoded size, surrogates left out
};
constexpr SizeClass kSizeClasses[] = {
    {0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, 0x10FFFF}};

std::size_t encode(std::int32_t code_point, std::array<std::uint8_t, 4>& bytes) {
  const auto byte = [](std::int32_t value) { return static_cast<std::uint8_t>(value); };
  const auto rest = [&](int shift) { return byte(0x80 | ((code_point >> shift) & 0x3F)); };
  if (code_point < 0x80) {
    bytes = {byte(code_point)};
    return 1;
  }
  if (code_point < 0x800) {
    bytes = {byte(0xC0 | (code_point >> 6)), rest(0)};
    return 2;
  }
  if (code_point < 0x10000) {
    bytes = {byte(0xE0 | (code_point >> 12)), rest(6), rest(0)};
    return 3;
  }
  bytes = {byte(0xF0 | (code_point >> 18)), rest(12), rest(6), rest(0)};
  return 4;
}

// Of one encoded size: cut until each continuation byte runs through its whole range or is fixed.
void append_split(std::int32_t first, std::int32_t last, std::vector<Utf8Sequence>& sequences) {
  for (int shift = 6; shift <= 18; shift += 6) {
    const std::int32_t mask = (1 << shift) - 1;
    if ((first & ~mask) == (last & ~mask)) continue;
    if (first > 0x7F && (first & mask) != 0) {
      append_split(first, first | mask, sequences);
      append_split((first | mask) + 1, last, sequences);
      return;
    }
    if (first > 0x7F && (last & mask) != mask) {
      append_split(first, (last & ~mask) - 1, sequences);
      append_split(last & ~mask, last, sequences);
      return;
    }
  }
  Utf8Sequence sequence;
  sequence.size_bytes = encode(first, sequence.first);
  encode(last, sequence.last);
  sequences.push_back(sequence);
}

}  // namespace

void append_utf8_sequences(const CodeRange& range, std::vector<Utf8Sequence>& sequences) {
  for (const SizeClass& size : kSizeClasses) {
    const std::int32_t first = std::max(range.first, size.first);
    const std::int32_t last = std::min(range.last, size.last);
    if (first <= last) append_split(first, last, sequences);
  }
}

}  // namespace windlass
