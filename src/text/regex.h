// One regular expression of a tokenizer file, matched by PCRE2 with JIT. The files write for other
// engines (Oniguruma, Rust's regex): what those mean by \s, \w and \d is translated.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace windlass {

// Owner-thread: PCRE2's match data is shared by all calls.
class Regex {
 public:
  struct Range {
    std::size_t begin;
    std::size_t end;
  };

  // `source` names the file or setting for errors. Error(kUnsupported) for an expression that does
  // not compile, or is longer than 16 KiB.
  Regex(std::string_view expression, std::string_view source);
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

// The expression with \s, \S, \w, \W, \d, \D, \h and \uXXXX of those engines written out for PCRE2.
// Error(kUnsupported) for a class inside of a class, which PCRE2 has not.
std::string translate_expression(std::string_view expression, std::string_view source);

}  // namespace windlass
