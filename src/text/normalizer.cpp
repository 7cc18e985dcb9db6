// The steps of a normalizer, over utf8proc's tables.
#include "src/text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "src/base/check.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<signed char>(c) >= 0; });
}

// Visits the characters in order: visit(code point, its bytes).
template <typename Visit>
void for_each_character(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const CodePoint point = next_code_point(text);
    visit(point.value, text.substr(0, point.size_bytes));
    text.remove_prefix(point.size_bytes);
  }
}

bool is_white_space(std::int32_t c) {
  if ((c >= 0x09 && c <= 0x0D) || c == 0x85) return true;
  const utf8proc_category_t category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

bool is_control(std::int32_t c) {
  const utf8proc_category_t category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_CO;
}

// The ranges of the published BERT tokenizers; 2B920 (Unicode has 2B820) is theirs.
bool is_chinese(std::int32_t c) {
  constexpr std::array<std::pair<std::int32_t, std::int32_t>, 8> kRanges = {{{0x4E00, 0x9FFF},
                                                                             {0x3400, 0x4DBF},
                                                                             {0x20000, 0x2A6DF},
                                                                             {0x2A700, 0x2B73F},
                                                                             {0x2B740, 0x2B81F},
                                                                             {0x2B920, 0x2CEAF},
                                                                             {0xF900, 0xFAFF},
                                                                             {0x2F800, 0x2FA1F}}};
  return std::any_of(kRanges.begin(), kRanges.end(),
                     [&](const auto& range) { return c >= range.first && c <= range.second; });
}

// Canonical order: marks between two starters, by combining class. utf8proc's own ordering is
// quadratic in the length of such a run, and a text may be one run of a million marks.
void order_marks(std::vector<std::int32_t>& characters) {
  const auto class_of = [](std::int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (auto begin = characters.begin(); begin != characters.end();) {
    if (class_of(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, characters.end(), [&](std::int32_t c) { return class_of(c) == 0; });
    std::stable_sort(begin, end,
                     [&](std::int32_t a, std::int32_t b) { return class_of(a) < class_of(b); });
    begin = end;
  }
}

void decompose(std::string_view text, bool compatible, std::vector<std::int32_t>& characters) {
  const int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
  std::array<std::int32_t, 32> parts{};  // the longest decomposition has 18
  int boundary = UTF8PROC_BOUNDCLASS_START;
  for_each_character(text, [&](std::int32_t c, std::string_view) {
    const utf8proc_ssize_t n =
        utf8proc_decompose_char(c, parts.data(), static_cast<utf8proc_ssize_t>(parts.size()),
                                static_cast<utf8proc_option_t>(options), &boundary);
    WINDLASS_CHECK(n >= 0 && n <= static_cast<utf8proc_ssize_t>(parts.size()), c, n);
    characters.insert(characters.end(), parts.begin(), parts.begin() + n);
  });
}

void apply(UnicodeForm form, std::string& text) {
  if (is_ascii(text)) return;
  std::vector<std::int32_t> characters;
  characters.reserve(text.size());
  decompose(text, form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd, characters);
  order_marks(characters);
  if (form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc) {
    const utf8proc_ssize_t n = utf8proc_normalize_utf32(
        characters.data(), static_cast<utf8proc_ssize_t>(characters.size()),
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    WINDLASS_CHECK(n >= 0, n);
    characters.resize(static_cast<std::size_t>(n));
  }
  text.clear();
  for (const std::int32_t c : characters) append_utf8(c, text);
}

void apply(const Prepend& step, std::string& text) { text.insert(0, step.text); }

// Puts in place of each range that `find(from, range)` gives, in order.
template <typename Find>
void replace_all(const Find& find, const std::string& by, std::string& text) {
  std::string replaced;
  std::size_t done = 0;
  std::size_t from = 0;
  Regex::Range match{};
  while (from <= text.size() && find(from, match)) {
    replaced.append(text, done, match.begin - done).append(by);
    done = match.end;
    from = done;
    if (match.begin == match.end) {
      if (from == text.size()) break;
      from += next_code_point(std::string_view(text).substr(from)).size_bytes;
    }
  }
  if (done == 0 && replaced.empty()) return;
  replaced.append(text, done);
  text = std::move(replaced);
}

void apply(const ReplaceText& step, std::string& text) {
  replace_all(
      [&](std::size_t from, Regex::Range& match) {
        const std::size_t at = text.find(step.pattern, from);
        match = {at, at + step.pattern.size()};
        return at != std::string::npos;
      },
      step.text, text);
}

void apply(const ReplaceMatches& step, std::string& text) {
  replace_all(
      [&](std::size_t from, Regex::Range& match) {
        return step.regex.find(text, from, match) && match.begin >= from;
      },
      step.text, text);
}

void apply(const Lowercase&, std::string& text) {
  std::string lower;
  lower.reserve(text.size());
  for_each_character(text, [&](std::int32_t c, std::string_view) {
    // The one character whose lower case is two: dotted I becomes i and the dot.
    if (c == 0x130)
      lower += "i\xCC\x87";
    else
      append_utf8(utf8proc_tolower(c), lower);
  });
  text = std::move(lower);
}

// Keeps the characters for which keep(c).
template <typename Keep>
void filter(const Keep& keep, std::string& text) {
  std::string kept;
  kept.reserve(text.size());
  for_each_character(text, [&](std::int32_t c, std::string_view bytes) {
    if (keep(c)) kept += bytes;
  });
  text = std::move(kept);
}

void apply(const StripAccents& step, std::string& text) {
  if (is_ascii(text)) return;
  filter(
      [&](std::int32_t c) {
        const utf8proc_category_t category = utf8proc_category(c);
        const bool is_other_mark =
            category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
        return category != UTF8PROC_CATEGORY_MN && (step.only_nonspacing || !is_other_mark);
      },
      text);
}

void apply(const StripSpaces& step, std::string& text) {
  std::size_t begin = 0;
  std::size_t end = 0;  // of the last character that is no space
  bool seen = false;
  std::size_t at = 0;
  for_each_character(text, [&](std::int32_t c, std::string_view bytes) {
    if (!is_white_space(c)) {
      if (!seen) begin = at;
      seen = true;
      end = at + bytes.size();
    }
    at += bytes.size();
  });
  if (!seen) begin = at;  // nothing but spaces
  if (!step.left) begin = 0;
  if (!step.right) end = text.size();
  text = begin < end ? text.substr(begin, end - begin) : std::string();
}

void apply(const CollapseSpaces&, std::string& text) {
  std::string collapsed;
  for (const char c : text) {
    if (c == ' ' && (collapsed.empty() || collapsed.back() == ' ')) continue;
    collapsed += c;
  }
  if (collapsed.ends_with(' ')) collapsed.pop_back();
  text = std::move(collapsed);
}

void apply(const CleanText& step, std::string& text) {
  std::string clean;
  clean.reserve(text.size());
  for_each_character(text, [&](std::int32_t c, std::string_view bytes) {
    const bool is_line_space = c == '\t' || c == '\n' || c == '\r';
    if (is_line_space || (is_white_space(c) && !(step.drops_control_space && is_control(c))))
      clean += ' ';
    else if (c != 0 && c != 0xFFFD && !is_control(c))
      clean += bytes;
  });
  text = std::move(clean);
}

void apply(const SpaceChinese&, std::string& text) {
  if (is_ascii(text)) return;
  std::string spaced;
  for_each_character(text, [&](std::int32_t c, std::string_view bytes) {
    if (is_chinese(c))
      spaced.append(" ").append(bytes).append(" ");
    else
      spaced += bytes;
  });
  text = std::move(spaced);
}

void apply(const Charsmap& map, std::string& text) {
  std::string mapped;
  mapped.reserve(text.size());
  map.append_mapped(text, mapped);
  text = std::move(mapped);
}

}  // namespace

void Normalizer::apply(std::string& text) const {
  for (const NormalStep& step : steps_) {
    if (text.empty()) return;
    std::visit([&](const auto& known) { windlass::apply(known, text); }, step);
  }
}

std::int64_t Normalizer::size_bytes() const {
  auto size_bytes = static_cast<std::int64_t>(steps_.capacity() * sizeof(NormalStep));
  for (const NormalStep& step : steps_) {
    if (const auto* replace = std::get_if<ReplaceMatches>(&step)) {
      size_bytes += replace->regex.size_bytes();
    }
    if (const auto* map = std::get_if<Charsmap>(&step)) size_bytes += map->size_bytes();
  }
  return size_bytes;
}

}  // namespace windlass
