// One regular expression of a tokenizer, matched by PCRE2 with JIT.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace windlass {

enum class RegexSyntax {
  kOwn,        // of this program's tables: PCRE2's, with \s \w \d \h as in character_sets.h, \uXXXX
  kOniguruma,  // of a tokenizer.json (oniguruma.h)
};

// Owner-thread: PCRE2's match data is shared by all calls.
class Regex {
 public:
  struct Range {
    std::size_t begin;
    std::size_t end;
  };

  // `source` names the file or setting for errors. Error(kUnsupported) for an expression that does
  // not compile, or is longer than 16 KiB.
  Regex(std::string_view expression, std::string_view source,
        RegexSyntax syntax = RegexSyntax::kOwn);
  Regex(Regex&&) noexcept;
  ~Regex();

  // The first match that begins at or after `from`; it may be empty. REQUIRES: valid UTF-8, `from`
  // at a character. Error(kUnsupported) where matching takes more than PCRE2's limits allow.
  bool find(std::string_view text, std::size_t from, Range& match) const;
  // Heap held by PCRE2, its compiled machine code included.
  std::int64_t size_bytes() const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace windlass
