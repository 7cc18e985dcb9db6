// The byte-level alphabet, computed from its rule.
#include "src/text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "src/text/utf8.h"

namespace windlass {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr int kAlphabetEnd = 0x100 + 68;  // 256 - (94 + 12 + 82) bytes do not stand for themselves

// Code point to byte; -1 where the code point is not of the alphabet.
constexpr std::array<std::int16_t, kAlphabetEnd> make_byte_of() {
  std::array<std::int16_t, kAlphabetEnd> byte_of{};
  for (auto& byte : byte_of) byte = -1;
  std::size_t next = 0x100;
  for (int byte = 0; byte < 0x100; ++byte) {
    const std::size_t code = stands_for_itself(byte) ? static_cast<std::size_t>(byte) : next++;
    byte_of[code] = static_cast<std::int16_t>(byte);
  }
  return byte_of;
}

constexpr auto kByteOf = make_byte_of();

constexpr std::array<std::uint16_t, 256> make_code_of() {
  std::array<std::uint16_t, 256> code_of{};
  for (std::size_t code = 0; code < kByteOf.size(); ++code) {
    if (kByteOf[code] >= 0) {
      code_of[static_cast<std::size_t>(kByteOf[code])] = static_cast<std::uint16_t>(code);
    }
  }
  return code_of;
}

constexpr auto kCodeOf = make_code_of();

}  // namespace

bool append_alphabet_bytes(std::string_view text, std::vector<char>& bytes) {
  const std::size_t size_before = bytes.size();
  while (!text.empty()) {
    const CodePoint point = next_code_point(text);
    if (point.value < 0 || point.value >= kAlphabetEnd ||
        kByteOf[static_cast<std::size_t>(point.value)] < 0) {
      bytes.resize(size_before);
      return false;
    }
    bytes.push_back(static_cast<char>(kByteOf[static_cast<std::size_t>(point.value)]));
    text.remove_prefix(point.size_bytes);
  }
  return true;
}

void append_alphabet_text(std::string_view bytes, std::string& text) {
  for (const char byte : bytes) append_utf8(kCodeOf[static_cast<unsigned char>(byte)], text);
}

}  // namespace windlass
