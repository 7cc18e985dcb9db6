// PCRE2 behind Regex: translation, counted memory, JIT with the interpreter as the fallback.
#include "src/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#include "src/base/error.h"
#include "src/text/character_sets.h"
#include "src/text/oniguruma.h"

namespace windlass {
namespace {

// The longest published expression has 700 bytes.
constexpr std::size_t kMaxExpressionBytes = 16 << 10;
// Backtracking steps of one match, and the interpreter's memory for them: a published expression
// needs about one step a byte of its piece.
constexpr std::uint32_t kMatchLimit = 10'000'000;
constexpr std::uint32_t kHeapLimitKib = 256 << 10;

// PCRE2's allocations are counted, so that size_bytes() is exact. The block's size lies before it.
constexpr std::size_t kPrefixBytes = alignof(std::max_align_t);

void* counted_malloc(std::size_t size_bytes, void* held_bytes) {
  auto* block = static_cast<std::byte*>(std::malloc(size_bytes + kPrefixBytes));
  if (block == nullptr) return nullptr;
  *reinterpret_cast<std::size_t*>(block) = size_bytes + kPrefixBytes;
  *static_cast<std::int64_t*>(held_bytes) += static_cast<std::int64_t>(size_bytes + kPrefixBytes);
  return block + kPrefixBytes;
}

void counted_free(void* pointer, void* held_bytes) {
  if (pointer == nullptr) return;
  std::byte* block = static_cast<std::byte*>(pointer) - kPrefixBytes;
  *static_cast<std::int64_t*>(held_bytes) -=
      static_cast<std::int64_t>(*reinterpret_cast<std::size_t*>(block));
  std::free(block);
}

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 128> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

// Writes the translation of one expression.
class Translator {
 public:
  Translator(std::string_view expression, std::string_view source)
      : expression_(expression), source_(source) {}

  std::string run() {
    while (at_ < expression_.size()) {
      const char c = expression_[at_++];
      if (c == '\\' && at_ < expression_.size()) {
        escape(expression_[at_++]);
      } else {
        plain(c);
      }
    }
    return std::move(out_);
  }

 private:
  void escape(char letter) {
    const std::string_view small = shorthand_set(letter);
    const std::string_view large = shorthand_set(static_cast<char>(letter | 0x20));
    if (!small.empty()) {
      out_.append(in_class_ ? "" : "[").append(small).append(in_class_ ? "" : "]");
    } else if (letter >= 'A' && letter <= 'Z' && !large.empty() && !in_class_) {
      out_.append("[^").append(large).append("]");
    } else if (letter == 'u' && at_ + 4 <= expression_.size()) {
      out_.append("\\x{").append(expression_.substr(at_, 4)).append("}");
      at_ += 4;
    } else {
      out_.append({'\\', letter});
    }
  }

  void plain(char c) {
    out_ += c;
    if (!in_class_) {
      in_class_ = c == '[';
      // A bracket that comes first closes nothing.
      for (const char first : {'^', ']'}) {
        if (in_class_ && next() == first) out_ += expression_[at_++];
      }
    } else if (c == ']') {
      in_class_ = false;
    } else if ((c == '[' && next() != ':') || (c == '&' && next() == '&')) {
      fail(ErrorCode::kUnsupported, "{}: an expression with a class inside of a class", source_);
    } else if (c == '[') {  // a named class such as [:alpha:], up to its own bracket
      const std::size_t end = std::min(expression_.find(']', at_), expression_.size() - 1);
      out_.append(expression_.substr(at_, end + 1 - at_));
      at_ = end + 1;
    }
  }

  char next() const { return at_ < expression_.size() ? expression_[at_] : '\0'; }

  std::string_view expression_;
  std::string_view source_;
  std::string out_;
  std::size_t at_ = 0;
  bool in_class_ = false;
};

std::string translate_plain(std::string_view expression, std::string_view source) {
  // "\s+$" takes quadratic time in a run of spaces that does not end the text, since each of them
  // is tried as the beginning. Said so that only the first one is:
  if (expression == R"(\s+$)") expression = R"((?<!\s)\s++\z)";
  return Translator(expression, source).run();
}

}  // namespace

struct Regex::Compiled {
  std::int64_t held_bytes = 0;  // must not move: the context below points to it
  pcre2_general_context* general = nullptr;
  pcre2_match_context* limits = nullptr;
  pcre2_code* code = nullptr;
  pcre2_match_data* match = nullptr;
  bool has_jit = false;

  Compiled() : general(pcre2_general_context_create(counted_malloc, counted_free, &held_bytes)) {
    if (general == nullptr) throw std::bad_alloc();
  }
  ~Compiled() {
    pcre2_match_data_free(match);
    pcre2_code_free(code);
    pcre2_match_context_free(limits);
    pcre2_general_context_free(general);
  }
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;

  void compile(const std::string& expression, std::string_view source) {
    pcre2_compile_context* options = pcre2_compile_context_create(general);
    if (options == nullptr) throw std::bad_alloc();
    pcre2_set_newline(options, PCRE2_NEWLINE_LF);  // what a dot does not take
    int error = 0;
    PCRE2_SIZE at = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                         PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, options);
    pcre2_compile_context_free(options);
    if (code == nullptr) {
      fail(ErrorCode::kUnsupported, "{}: the expression cannot be compiled (at character {}: {})",
           source, at, pcre2_message(error));
    }
    // Where the system forbids code made at run time, matching is slower and no different.
    has_jit = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
    match = pcre2_match_data_create(1, general);
    limits = pcre2_match_context_create(general);
    if (match == nullptr || limits == nullptr) throw std::bad_alloc();
    pcre2_set_match_limit(limits, kMatchLimit);
    pcre2_set_heap_limit(limits, kHeapLimitKib);
  }
};

Regex::Regex(std::string_view expression, std::string_view source, RegexSyntax syntax)
    : compiled_(std::make_unique<Compiled>()) {
  if (expression.size() > kMaxExpressionBytes) {
    fail(ErrorCode::kUnsupported, "{}: an expression of {} bytes; the most is {}", source,
         expression.size(), kMaxExpressionBytes);
  }
  compiled_->compile(syntax == RegexSyntax::kOniguruma ? translate_oniguruma(expression, source)
                                                       : translate_plain(expression, source),
                     source);
}

Regex::Regex(Regex&&) noexcept = default;
Regex::~Regex() = default;

bool Regex::find(std::string_view text, std::size_t from, Range& match) const {
  const Compiled& regex = *compiled_;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int found = PCRE2_ERROR_JIT_STACKLIMIT;
  if (regex.has_jit) {
    found = pcre2_jit_match(regex.code, subject, text.size(), from, 0, regex.match, regex.limits);
  }
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
    found = pcre2_match(regex.code, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                        regex.match, regex.limits);
  }
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0) {
    fail(ErrorCode::kUnsupported, "splitting {} bytes of text for the tokenizer failed: {}",
         text.size(), pcre2_message(found));
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(regex.match);
  // \K can set the beginning past the end; such a match is taken as empty.
  match = {range[0] < range[1] ? range[0] : range[1], range[1]};
  return true;
}

std::int64_t Regex::size_bytes() const {
  std::size_t jit_bytes = 0;
  pcre2_pattern_info(compiled_->code, PCRE2_INFO_JITSIZE, &jit_bytes);
  return compiled_->held_bytes + static_cast<std::int64_t>(sizeof(Compiled) + jit_bytes);
}

}  // namespace windlass
