// Pre-tokenizers through PCRE2 with JIT. A family is a list of expressions: each cuts the pieces
// that the one before left, matches and the text between them alike becoming pieces (Hugging Face's
// "isolated" behaviour). A piece is matched on its own, so a lookahead never sees past its end: "
// 1" is cut at the digit before the spaces are judged.
#include "src/text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <cstdlib>
#include <span>

#include "src/base/check.h"
#include "src/base/error.h"

namespace windlass {
namespace {

// The published expressions mean Unicode's White_Space by \s; PCRE2's own \s also takes U+180E,
// which left that property in Unicode 6.3. Inside a class: TAB to CR, NEL, and the separators.
#define WINDLASS_SPACE R"(\x09-\x0D\x{85}\p{Z})"

constexpr const char* kDigit = R"(\p{N})";
constexpr const char* kGpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{L}\p{N})" WINDLASS_SPACE
    R"(]+|[)" WINDLASS_SPACE R"(]+(?![^)" WINDLASS_SPACE R"(])|[)" WINDLASS_SPACE R"(]+)";
#undef WINDLASS_SPACE

struct Family {
  std::string_view name;  // tokenizer.ggml.pre
  std::array<const char*, 2> expressions;
};

// To add a family: one row, and its golden file in tests/golden/tokenizer.
constexpr Family kFamilies[] = {
    {"smollm", {kDigit, kGpt2Words}},
};

const Family& find_family(std::string_view name) {
  for (const Family& family : kFamilies) {
    if (family.name == name) return family;
  }
  fail(ErrorCode::kUnsupported, "unknown pre-tokenizer '{}' (tokenizer.ggml.pre); supported: {}",
       name, PreTokenizer::names());
}

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

}  // namespace

struct PreTokenizer::Regexes {
  std::int64_t held_bytes = 0;  // must not move: the context below points to it
  pcre2_general_context* context = nullptr;
  std::vector<pcre2_code*> codes;
  std::vector<pcre2_match_data*>
      matches;  // one a level: a level's match is read while the next one runs

  Regexes() : context(pcre2_general_context_create(counted_malloc, counted_free, &held_bytes)) {
    if (context == nullptr) throw std::bad_alloc();
  }
  ~Regexes() {
    for (pcre2_match_data* match : matches) pcre2_match_data_free(match);
    for (pcre2_code* code : codes) pcre2_code_free(code);
    pcre2_general_context_free(context);
  }
  Regexes(const Regexes&) = delete;
  Regexes& operator=(const Regexes&) = delete;

  void compile(const char* expression) {
    pcre2_compile_context* options = pcre2_compile_context_create(context);
    if (options == nullptr) throw std::bad_alloc();
    int error = 0;
    PCRE2_SIZE at = 0;
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression),
                                     PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &at, options);
    pcre2_compile_context_free(options);
    WINDLASS_CHECK(code != nullptr, expression, at, pcre2_message(error));
    codes.push_back(code);
    // Where the system forbids code made at run time, matching is slower and no different.
    static_cast<void>(pcre2_jit_compile(code, PCRE2_JIT_COMPLETE));
    pcre2_match_data* match = pcre2_match_data_create(1, context);
    if (match == nullptr) throw std::bad_alloc();
    matches.push_back(match);
  }
};

PreTokenizer::PreTokenizer(std::string_view name) {
  const Family& family = find_family(name);
  regexes_ = std::make_unique<Regexes>();
  for (const char* expression : family.expressions) regexes_->compile(expression);
}

PreTokenizer::~PreTokenizer() = default;

void PreTokenizer::split(std::string_view text, const Visit& visit) const {
  split_from(0, text, visit);
}

void PreTokenizer::split_from(std::size_t level, std::string_view text, const Visit& visit) const {
  if (level == regexes_->codes.size()) {
    visit(text);
    return;
  }
  pcre2_match_data* match = regexes_->matches[level];
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  std::size_t done = 0;
  while (done < text.size()) {
    const int found = pcre2_match(regexes_->codes[level], subject, text.size(), done,
                                  PCRE2_NO_UTF_CHECK, match, nullptr);
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) {
      fail(ErrorCode::kUnsupported, "splitting {} bytes of text for the tokenizer failed: {}",
           text.size(), pcre2_message(found));
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match);
    const std::size_t begin = found < 0 ? text.size() : range[0];
    const std::size_t end = found < 0 ? text.size() : range[1];
    WINDLASS_CHECK(found < 0 || end > begin, level, begin, end);
    if (begin > done) split_from(level + 1, text.substr(done, begin - done), visit);
    if (end > begin) split_from(level + 1, text.substr(begin, end - begin), visit);
    done = end;
  }
}

std::int64_t PreTokenizer::size_bytes() const {
  std::int64_t size_bytes =
      regexes_->held_bytes + static_cast<std::int64_t>(sizeof(Regexes)) +
      static_cast<std::int64_t>((regexes_->codes.capacity() + regexes_->matches.capacity()) *
                                sizeof(void*));
  for (const pcre2_code* code : regexes_->codes) {
    std::size_t jit_bytes = 0;
    pcre2_pattern_info(code, PCRE2_INFO_JITSIZE, &jit_bytes);
    size_bytes += static_cast<std::int64_t>(jit_bytes);
  }
  return size_bytes;
}

std::string PreTokenizer::names() {
  std::string names;
  for (const Family& family : kFamilies) {
    if (!names.empty()) names += ", ";
    names += family.name;
  }
  return names;
}

}  // namespace windlass
