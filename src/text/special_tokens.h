// Finds special tokens in text: those whose text stands for one id and is not split.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/text/prefix_index.h"
#include "src/text/vocabulary.h"

namespace windlass {

struct SpecialToken {
  std::int32_t id = 0;
  std::string text;
  bool is_control = true;    // found only where special tokens are parsed
  bool takes_left = false;   // white space before it belongs to it
  bool takes_right = false;  // ... after it
  bool whole_word = false;   // not beside a letter, digit or underscore
};

// Thread-compatible; const methods are thread-safe.
class SpecialTokens {
 public:
  struct Match {
    std::size_t begin;  // with the white space that it takes
    std::size_t end;
    std::int32_t id;
  };

  // Tokens with an empty text are left out.
  explicit SpecialTokens(const std::vector<SpecialToken>& tokens);
  SpecialTokens(const SpecialTokens&) = delete;  // the index refers to the patterns
  SpecialTokens& operator=(const SpecialTokens&) = delete;

  bool empty() const { return ids_.empty(); }
  // The first special token at or after `from`; where several begin, the longest. Control tokens
  // count only if `control`. Cost: one table lookup a byte where no token begins with that byte.
  std::optional<Match> find(std::string_view text, std::size_t from, bool control) const;
  // By the whole text; the lowest id of equal ones.
  std::optional<std::int32_t> id_of(std::string_view text) const;
  std::int64_t size_bytes() const;

 private:
  // The longest pattern at `at`: its place in ids_, -1 for none.
  std::int32_t longest(std::string_view text, std::size_t at, bool control) const;

  struct Flags {
    bool takes_left, takes_right, whole_word;
  };

  Vocabulary patterns_;            // kControl or kUserDefined
  std::vector<std::int32_t> ids_;  // of each pattern
  std::vector<Flags> flags_;
  PrefixIndex index_;
};

}  // namespace windlass
