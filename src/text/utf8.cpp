// UTF-8: of streams by one look at the lead byte, then ranges; of whole texts by utf8proc.
#include "src/text/utf8.h"

#include <utf8proc.h>

#include <array>
#include <cstring>

#include "src/base/check.h"

namespace windlass {
namespace {

// What a lead byte asks for: the character's length and the range of its second byte (later ones
// are 80..BF).
struct Lead {
  std::size_t length = 0;  // 0: no character begins with this byte
  unsigned second_min = 0x80;
  unsigned second_max = 0xBF;
};

Lead lead_of(unsigned byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xC2) return {0};  // a continuation byte, or C0/C1: overlong
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};  // below A0: overlong
  if (byte == 0xED) return {3, 0x80, 0x9F};  // above 9F: surrogates
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};  // below 90: overlong
  if (byte < 0xF4) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};  // above 8F: past U+10FFFF
  return {0};
}

}  // namespace

Utf8Unit next_utf8(std::string_view bytes) {
  WINDLASS_CHECK(!bytes.empty());
  const Lead lead = lead_of(static_cast<unsigned char>(bytes[0]));
  if (lead.length == 0) return {Utf8Kind::kInvalid, 1};
  for (std::size_t i = 1; i < lead.length; ++i) {
    if (i == bytes.size()) return {Utf8Kind::kUnfinished, i};
    const unsigned byte = static_cast<unsigned char>(bytes[i]);
    const unsigned min = i == 1 ? lead.second_min : 0x80;
    const unsigned max = i == 1 ? lead.second_max : 0xBF;
    if (byte < min || byte > max) return {Utf8Kind::kInvalid, i};
  }
  return {Utf8Kind::kCharacter, lead.length};
}

CodePoint next_code_point(std::string_view bytes) {
  WINDLASS_CHECK(!bytes.empty());
  utf8proc_int32_t value = -1;
  const utf8proc_ssize_t size =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(bytes.data()),
                       static_cast<utf8proc_ssize_t>(bytes.size()), &value);
  if (size <= 0) return {-1, 1};
  return {value, static_cast<std::size_t>(size)};
}

void append_utf8(std::int32_t code_point, std::string& text) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t size = utf8proc_encode_char(code_point, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
}

std::size_t valid_utf8_bytes(std::string_view bytes) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080ull;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    std::uint64_t eight = kHighBits;
    if (rest.size() >= sizeof(eight)) std::memcpy(&eight, rest.data(), sizeof(eight));
    if ((eight & kHighBits) == 0) {  // all ASCII
      rest.remove_prefix(sizeof(eight));
      continue;
    }
    const CodePoint point = next_code_point(rest);
    if (point.value < 0) break;
    rest.remove_prefix(point.size_bytes);
  }
  return bytes.size() - rest.size();
}

std::string repair_utf8(std::string_view bytes) {
  std::string repaired;
  repaired.reserve(bytes.size());
  while (!bytes.empty()) {
    const CodePoint point = next_code_point(bytes);
    repaired += point.value < 0 ? kReplacementCharacter : bytes.substr(0, point.size_bytes);
    bytes.remove_prefix(point.size_bytes);
  }
  return repaired;
}

}  // namespace windlass
