// Rewrites text before it is cut into words: a list of steps, as tokenizer files name them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/text/charsmap.h"
#include "src/text/regex.h"

namespace windlass {

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

struct Prepend {
  std::string text;
};
struct ReplaceText {
  std::string pattern;  // not empty
  std::string text;
};
struct ReplaceMatches {
  Regex regex;
  std::string text;
};
struct Lowercase {};
// Removes marks: all, or only those that take no space (Mn).
struct StripAccents {
  bool only_nonspacing = false;
};
struct StripSpaces {
  bool left = true;
  bool right = true;
};
// Removes the spaces at both ends and makes one of each run of them.
struct CollapseSpaces {};
// Removes control characters, makes white space spaces.
struct CleanText {
  // White space that is also a control character (U+000B, U+000C, U+0085) is one of those; tab and
  // line ends never are.
  bool drops_control_space = false;
};
// Puts spaces around each Chinese character.
struct SpaceChinese {};

using NormalStep =
    std::variant<Prepend, ReplaceText, ReplaceMatches, UnicodeForm, Lowercase, StripAccents,
                 StripSpaces, CollapseSpaces, CleanText, SpaceChinese, Charsmap>;

// Owner-thread (expressions share PCRE2's match data).
class Normalizer {
 public:
  void add(NormalStep step) { steps_.push_back(std::move(step)); }
  bool empty() const { return steps_.empty(); }
  // Rewrites `text`; an empty one stays so. Cost: linear, some copies. REQUIRES: valid UTF-8.
  void apply(std::string& text) const;
  std::int64_t size_bytes() const;

 private:
  std::vector<NormalStep> steps_;
};

}  // namespace windlass
