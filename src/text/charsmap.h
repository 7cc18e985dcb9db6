// SentencePiece's precompiled character map: strings and what they become (NFKC and more), found by
// the longest match in a double-array trie (darts-clone's layout).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace windlass {

// Thread-compatible; const methods are thread-safe.
class Charsmap {
 public:
  // The blob: u32 trie size in bytes, the trie's units (u32), then replacement strings that end
  // with NUL. Error(kBadFile), naming `source`, when sizes disagree.
  Charsmap(std::string_view blob, std::string_view source);
  // Appends the text with every match replaced, leftmost longest. REQUIRES: valid UTF-8.
  void append_mapped(std::string_view text, std::string& mapped) const;
  std::int64_t size_bytes() const;

 private:
  // The longest key that `text` begins with: its length, 0 for none, and its replacement.
  std::size_t longest(std::string_view text, std::string_view& replacement) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

}  // namespace windlass
