// The pre-tokenizers that tokenizer.ggml.pre names: which published expressions cut the text, and
// what else a family does.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace windlass {

struct SplitFamily {
  // Each cuts the pieces that the one before left, at the beginning and end of each match; unused
  // ones are null.
  std::array<const char*, 6> expressions{};
  bool whole_words = false;  // a piece that is a token is that token, whatever the merges
  bool adds_bos = false;     // unless the file says otherwise
  bool adds_sep = false;     // a separator token after the text
};

struct NamedSplitFamily {
  std::string_view name;
  SplitFamily family;
};
std::span<const NamedSplitFamily> split_families();

// Error(kUnsupported) naming `source`, an unknown pre-tokenizer, the nearest known and all known.
const SplitFamily& find_split_family(std::string_view name, std::string_view source);

}  // namespace windlass
