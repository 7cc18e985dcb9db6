// The alphabet of byte-level BPE (GPT-2's): each byte is written as one printable character, so
// that a vocabulary file holds any bytes as plain text. Printable Latin-1 bytes stand for
// themselves; the other 68, in order, are U+0100 on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace windlass {

// Appends the bytes that `text` stands for. False, and nothing appended, when a character is not of
// the alphabet.
bool append_alphabet_bytes(std::string_view text, std::vector<char>& bytes);
// The other way: appends the characters that stand for `bytes`.
void append_alphabet_text(std::string_view bytes, std::string& text);

}  // namespace windlass
