// A range of code points as sequences of byte ranges, so that grammars can be matched on bytes and
// a character may span tokens.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "src/text/grammar/expression.h"

namespace windlass {

struct Utf8Sequence {
  std::array<std::uint8_t, 4> first{}, last{};  // byte i is in [first[i], last[i]]
  std::size_t size_bytes = 0;
};

// Appends the sequences, apart from each other, whose union is the range without surrogates.
// REQUIRES: 0 <= first, last <= 0x10FFFF.
void append_utf8_sequences(const CodeRange& range, std::vector<Utf8Sequence>& sequences);

}  // namespace windlass
