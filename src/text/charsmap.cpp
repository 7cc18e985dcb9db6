// The double-array walk. A unit holds the offset to its children, the label by which it was
// reached, and whether a key ends there; a value unit has bit 31 set. Every index is checked: the
// blob comes from a file.
#include "src/text/charsmap.h"

#include <cstring>

#include "src/base/error.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1u) != 0; }
std::uint32_t value_of(std::uint32_t unit) { return unit & 0x7FFFFFFFu; }
std::uint32_t label_of(std::uint32_t unit) { return unit & 0x800000FFu; }
std::uint32_t offset_of(std::uint32_t unit) { return unit >> 10 << ((unit & 0x200u) >> 6); }

}  // namespace

Charsmap::Charsmap(std::string_view blob, std::string_view source) {
  std::uint32_t trie_bytes = 0;
  if (blob.size() >= sizeof(trie_bytes)) {
    std::memcpy(&trie_bytes, blob.data(), sizeof(trie_bytes));
    blob.remove_prefix(sizeof(trie_bytes));
  }
  if (trie_bytes == 0 || trie_bytes % sizeof(std::uint32_t) != 0 || trie_bytes >= blob.size()) {
    fail(ErrorCode::kBadFile, "{}: a character map of {} bytes with a trie of {}", source,
         blob.size(), trie_bytes);
  }
  units_.resize(trie_bytes / sizeof(std::uint32_t));
  std::memcpy(units_.data(), blob.data(), trie_bytes);
  replacements_ = blob.substr(trie_bytes);
}

std::size_t Charsmap::longest(std::string_view text, std::string_view& replacement) const {
  std::size_t length = 0;
  std::size_t place = offset_of(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    place ^= byte;
    if (place >= units_.size() || label_of(units_[place]) != byte) break;
    const std::uint32_t unit = units_[place];
    place ^= offset_of(unit);
    if (!has_leaf(unit) || place >= units_.size()) continue;
    const std::uint32_t at = value_of(units_[place]);
    if (at >= replacements_.size()) continue;
    length = i + 1;
    replacement = std::string_view(replacements_).substr(at);
    replacement = replacement.substr(0, replacement.find('\0'));
  }
  return length;
}

void Charsmap::append_mapped(std::string_view text, std::string& mapped) const {
  while (!text.empty()) {
    std::string_view replacement;
    std::size_t length = longest(text, replacement);
    if (length == 0) {
      length = next_code_point(text).size_bytes;
      replacement = text.substr(0, length);
    }
    mapped += replacement;
    text.remove_prefix(length);
  }
}

std::int64_t Charsmap::size_bytes() const {
  return static_cast<std::int64_t>(units_.capacity() * sizeof(units_[0]) +
                                   replacements_.capacity());
}

}  // namespace windlass
